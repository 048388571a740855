// Any server that takes JSON by POST and answers JSON: the request from a template, the answer at a JSON pointer.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_http_json;

namespace {

using nlohmann::json;

constexpr std::size_t kMaxInferBody = 16u << 20;
constexpr std::size_t kMaxReadyBody = 64u << 10;
constexpr std::string_view kInputMark = "{input}";
constexpr std::string_view kPointerExample = "/predictions/0";
constexpr std::string_view kUniqueMark = "{unique}";

constexpr std::array kParams{
    ParamSpec{.name = "path", .required = true, .help = "Where inferences are asked for, as in /predict."},
    ParamSpec{.name = "answer",
              .required = true,
              .help = "Where the answer stands in the reply, as in /predictions/0 (RFC 6901)."},
    ParamSpec{.name = "body",
              .default_text = "{input}",
              .help = "The request's JSON; {input} becomes the item's input, {unique} a number that defeats caches."},
    ParamSpec{
        .name = "ready", .default_text = "/health", .help = "A path that answers 200 once the model can be asked."},
    ParamSpec{.name = "version",
              .help = "Where the reply names the version that answered, compared with served_version."},
};

struct HttpJsonParams {
    std::string path, body, ready;
    json::json_pointer answer;
    std::string answer_text;
    std::optional<json::json_pointer> version;
};

void replace_all(std::string& text, std::string_view mark, const std::string& by) {
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + by.size()))
        text.replace(at, mark.size(), by);
}

class HttpJson final : public Protocol {
  public:
    explicit HttpJson(HttpJsonParams params) : params_(std::move(params)) {}

    sys::HttpRequest ready_request(const Target& target) const override {
        return {.url = target.endpoint + params_.ready, .max_body = kMaxReadyBody};
    }

    ReadyAnswer classify_ready(const Target&, const Result<sys::HttpReply>& reply) const override {
        if (auto unready = unready_answer(reply)) return *std::move(unready);
        return {Outcome::ok, "HTTP 200"};
    }

    Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item, const InferShape&,
                                           std::uint64_t unique) const override {
        sys::HttpRequest request{.method = "POST", .url = target.endpoint + params_.path};
        request.headers = {"Content-Type: application/json", "Accept: application/json"};
        request.body = params_.body;
        replace_all(request.body, kUniqueMark, std::to_string(unique));
        replace_all(request.body, kInputMark, item.input);
        request.max_body = kMaxInferBody;
        return request;
    }

    InferAnswer read_infer(const Target& target, const InferShape& shape,
                           const Result<sys::HttpReply>& reply) const override {
        if (auto unreadable = unreadable_answer(reply)) return *std::move(unreadable);
        const ParsedAnswer parsed = parse_answer(reply->body);
        if (parsed.value.is_discarded()) return broken_answer(why_no_object(parsed, reply->body));
        InferAnswer answer{.outcome = Outcome::ok};
        if (params_.version && parsed.value.contains(*params_.version)) {
            const json& version = parsed.value.at(*params_.version);
            answer.model_version = plain_line(version.is_string() ? version.get<std::string>() : version.dump());
            if (!target.served_version.empty() && answer.model_version != target.served_version) {
                answer.outcome = Outcome::wrong_version;
                answer.detail =
                    fmt::format("serves version {} instead of {}", answer.model_version, target.served_version);
                return answer;
            }
        }
        if (!parsed.value.contains(params_.answer))
            return broken_answer(
                fmt::format("the answer has no {}: {}", params_.answer_text, plain_line(reply->body, 80)));
        const json& found = parsed.value.at(params_.answer);
        Values values{.bytes = found.is_string() || (found.is_array() && !found.empty() && found.front().is_string())};
        values.read(found);
        const std::size_t length = values.numbers.size();
        take_values(std::move(values), params_.answer_text, length, shape.argmax, answer);
        return answer;
    }

  private:
    HttpJsonParams params_;
};

Result<std::shared_ptr<const Protocol>> make(const ParamMap& params) {
    HttpJsonParams compiled{.path = text_param(params, "path"),
                            .body = text_param(params, "body"),
                            .ready = text_param(params, "ready"),
                            .answer = json::json_pointer(),
                            .answer_text = text_param(params, "answer"),
                            .version = {}};
    for (const auto& [name, path] : {std::pair{"path", &compiled.path}, std::pair{"ready", &compiled.ready}})
        if (!path->starts_with('/') || path->find_first_of(" \r\n#") != std::string::npos)
            return fail(ErrorKind::invalid_config,
                        fmt::format("{}: found '{}'; expected a path, as in /predict", name, printable_name(*path)));
    if (compiled.body.find(kInputMark) == std::string::npos)
        return fail(ErrorKind::invalid_config, "body: {input} is missing, so that every item would ask the same");
    MG_TRY(compiled.answer, with_context(parse_pointer(compiled.answer_text, kPointerExample), "answer"));
    if (has_param(params, "version")) {
        MG_TRY(compiled.version,
               with_context(parse_pointer(text_param(params, "version"), kPointerExample), "version"));
    }
    return std::make_shared<HttpJson>(std::move(compiled));
}

}  // namespace

const ProtocolKind kProtocolKind_http_json{
    .name = "http_json",
    .summary = "Any server that takes JSON by POST and answers JSON",
    .params = kParams,
    .make = make,
};

}  // namespace modelguard::checks
