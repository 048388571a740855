// `http`: one HTTP exchange with any server of this device: its status, a text in its answer, a value in its JSON.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "checks/band.hpp"
#include "checks/protocol/answers.hpp"
#include "checks/run.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_http;

namespace {

using nlohmann::json;

constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST"};
constexpr std::array kJsonFields{
    ParamSpec{.name = "pointer", .required = true, .help = "Where the value stands, as in /checks/0/state (RFC 6901)."},
    ParamSpec{.name = "equals", .help = "What it must be; a text, number or boolean written as text."},
    kMinParam,
    kMaxParam,
};
constexpr std::array kParams{
    ParamSpec{.name = "url", .required = true, .help = "The whole URL, as in http://127.0.0.1:8080/health."},
    ParamSpec{.name = "method", .default_text = "GET", .help = "The request's method.", .choices = kMethods},
    ParamSpec{.name = "headers", .type = ParamType::text_list, .help = "Request headers, each \"Name: value\"."},
    ParamSpec{.name = "body", .help = "The request's body."},
    ParamSpec{.name = "status", .default_text = "200-299", .help = "Statuses that pass, as in 200-299,404."},
    ParamSpec{.name = "contains", .help = "A text that the body must hold."},
    ParamSpec{.name = "json",
              .type = ParamType::object,
              .help = "A value in the body's JSON, and what it must be.",
              .fields = kJsonFields},
    ParamSpec{.name = "timeout",
              .type = ParamType::duration,
              .unit = "seconds",
              .default_text = "5s",
              .help = "Until then the whole answer must be there.",
              .minimum = 0.01,
              .maximum = 3600},
};
constexpr std::size_t kMaxBody = 1u << 20;
constexpr int kAttempts = 3;
constexpr Usec kPause = std::chrono::milliseconds(100);

struct StatusRange {
    int first, last;
};

struct HttpParams {
    sys::HttpRequest request;
    std::string status_text;
    std::vector<StatusRange> status;
    std::string contains;
    std::optional<json::json_pointer> pointer;
    std::string pointer_text;
    std::optional<std::string> equals;
    std::optional<Band> band;
};

/// A JSON value as an integrator would write it: texts without quotes.
std::string shown(const json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

class HttpRun final : public Run {
  public:
    HttpRun(const CheckContext& context, Done done, const HttpParams& params)
        : Run(context, std::move(done)), params_(params) {
        attempt();
    }

  private:
    void attempt() {
        ++probes_;
        exchange(params_.request, [this](const Result<sys::HttpReply>& reply) {
            if (!reply && reply.error().kind == ErrorKind::unavailable && probes_ < kAttempts)
                return after(kPause * probes_, [this] { attempt(); });
            CheckOutcome outcome = reply ? judge_reply(*reply) : judge_error(reply.error());
            outcome.probes = probes_;
            finish(std::move(outcome));
        });
    }

    CheckOutcome judge_error(const Error& error) const {
        const std::string_view code = error.kind == ErrorKind::timed_out     ? "timed_out"
                                      : error.kind == ErrorKind::unavailable ? "unreachable"
                                                                             : "malformed_reply";
        return failed(std::string(code), fmt::format("{}: {}", params_.request.url, plain_line(error.what)));
    }

    CheckOutcome judge_reply(const sys::HttpReply& reply) const {
        const bool right = std::ranges::any_of(params_.status, [&](const StatusRange& range) {
            return reply.status >= range.first && reply.status <= range.last;
        });
        const std::string took = format_age(reply.total);
        if (!right)
            return failed("status", fmt::format("{} answered HTTP {} instead of {}: {}", params_.request.url,
                                                reply.status, params_.status_text, plain_line(reply.body)));
        if (!params_.contains.empty() && reply.body.find(params_.contains) == std::string::npos)
            return failed("text_missing", fmt::format("{} answered without '{}': {}", params_.request.url,
                                                      printable_name(params_.contains), plain_line(reply.body)));
        if (params_.pointer) return judge_json(reply.body);
        CheckOutcome outcome{.verdict = core::VerdictKind::pass,
                             .code = "ok",
                             .text = fmt::format("HTTP {} after {}", reply.status, took)};
        outcome.measured = std::chrono::duration<double>(reply.total).count();
        outcome.limit = std::chrono::duration<double>(params_.request.timeout).count();
        outcome.unit = "s";
        return outcome;
    }

    CheckOutcome judge_json(const std::string& body) const {
        const json document = parse_answer(body).value;
        if (document.is_discarded())
            return failed("malformed_reply",
                          fmt::format("{} answered no JSON: {}", params_.request.url, plain_line(body)));
        if (!document.contains(*params_.pointer))
            return failed("value_missing",
                          fmt::format("{} answered JSON without {}", params_.request.url, params_.pointer_text));
        const json& value = document.at(*params_.pointer);
        const std::string what = params_.pointer_text;
        if (params_.equals) {
            if (shown(value) != *params_.equals)
                return failed("other_value", fmt::format("{} is {} instead of {}", what, plain_line(shown(value), 80),
                                                         printable_name(*params_.equals)));
            if (!params_.band)
                return {.verdict = core::VerdictKind::pass,
                        .code = "ok",
                        .text = fmt::format("{} is {}", what, plain_line(shown(value), 80))};
        }
        if (!params_.band) return {.verdict = core::VerdictKind::pass, .code = "ok", .text = what + " is there"};
        if (!value.is_number())
            return failed("not_a_number", fmt::format("{} is {}, not a number", what, plain_line(shown(value), 80)));
        return judge(*params_.band, what, value.get<double>());
    }

    const HttpParams& params_;
    int probes_{0};
};

class Http final : public Check {
  public:
    explicit Http(HttpParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<HttpRun>(context, std::move(done), params_);
    }

  private:
    HttpParams params_;
};

Result<std::vector<StatusRange>> parse_status(std::string_view text) {
    std::vector<StatusRange> ranges;
    const char* at = text.data();
    const char* const last = text.data() + text.size();
    const auto number = [&](int& value) {
        const auto [end, error] = std::from_chars(at, last, value);
        at = end;
        return error == std::errc{} && value >= 100 && value <= 599;
    };
    while (true) {
        StatusRange range{};
        bool right = number(range.first);
        range.last = range.first;
        if (right && at != last && *at == '-') {
            ++at;
            right = number(range.last) && range.last >= range.first;
        }
        if (!right || (at != last && *at != ','))
            return fail(ErrorKind::invalid_config,
                        fmt::format("status: found '{}'; expected statuses and ranges, as in 200-299,404",
                                    printable_name(text)));
        ranges.push_back(range);
        if (at == last) return ranges;
        ++at;
    }
}

Result<void> read_json(const ParamMap& params, HttpParams& compiled) {
    compiled.pointer_text = text_param(params, "pointer");
    MG_TRY(compiled.pointer, with_context(parse_pointer(compiled.pointer_text, "/state"), "json.pointer"));
    if (has_param(params, "equals")) compiled.equals = text_param(params, "equals");
    if (has_param(params, "min") || has_param(params, "max")) {
        MG_TRY(compiled.band, with_context(band_param(params, ""), "json"));
    }
    return {};
}

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    HttpParams compiled{.request = {}, .status_text = text_param(params, "status")};
    compiled.request.url = text_param(params, "url");
    compiled.request.method = text_param(params, "method");
    compiled.request.timeout = duration_param(params, "timeout");
    compiled.request.max_body = kMaxBody;
    if (has_param(params, "body")) compiled.request.body = text_param(params, "body");
    if (!compiled.request.body.empty() && compiled.request.method != "POST")
        return fail(ErrorKind::invalid_config, "body: only a POST has one; add method: POST");
    if (has_param(params, "headers")) compiled.request.headers = text_list_param(params, "headers");
    for (const std::string& header : compiled.request.headers)
        if (header.find(": ") == std::string::npos || header.find_first_of("\r\n") != std::string::npos)
            return fail(ErrorKind::invalid_config,
                        fmt::format("headers: found '{}'; expected \"Name: value\"", printable_name(header)));
    MG_TRY(compiled.status, parse_status(compiled.status_text));
    if (has_param(params, "contains")) compiled.contains = text_param(params, "contains");
    if (has_param(params, "json")) MG_CHECK(read_json(object_param(params, "json"), compiled));
    return std::make_unique<Http>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_http{
    .name = "http",
    .summary = "A URL of this device answers with the status, text or JSON value that is expected.",
    .params = kParams,
    .make = make,
    .needs_server = false,
    .late = true,
};

}  // namespace modelguard::checks
