// `dns`: a name resolves, to what is expected. The question is asked as every program of the device asks it, with its
// nsswitch.conf: by getent (part of the C library on Debian and Fedora), since looking up blocks.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "checks/run.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/process.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_dns;

namespace {

constexpr std::array kParams{
    ParamSpec{.name = "lookup", .required = true, .help = "The host name to resolve, as in registry.example."},
    ParamSpec{.name = "expect",
              .type = ParamType::text_list,
              .help = "Addresses of which at least one must be in the answer. Absent: any answer."},
    ParamSpec{.name = "timeout",
              .type = ParamType::duration,
              .unit = "seconds",
              .default_text = "5s",
              .help = "Until then there must be an answer.",
              .minimum = 0.01,
              .maximum = 3600},
};
constexpr int kNotFound = 2;  // getent(1): a key was not found

struct DnsParams {
    std::string name;
    std::vector<std::string> expect;
    Usec timeout{0};
};

class DnsRun final : public Run {
  public:
    DnsRun(const CheckContext& context, Done done, const DnsParams& params)
        : Run(context, std::move(done)), params_(params) {
        sys::ProcessSpec spec;
        spec.argv = {"getent", "ahosts", params_.name};
        spec.timeout = params_.timeout;
        auto started = sys::spawn(context_.loop, std::move(spec), [this](const sys::ProcessEnd& end) { on_end(end); });
        if (started)
            process_ = std::move(*started);
        else
            finish(inconclusive("not_asked", fmt::format("getent: {}", started.error().what)));
    }

  private:
    void on_end(const sys::ProcessEnd& end) {
        CheckOutcome outcome = judge(end);
        outcome.probes = 1;
        finish(std::move(outcome));
    }

    CheckOutcome judge(const sys::ProcessEnd& end) const {
        if (end.timed_out)
            return failed("timed_out",
                          fmt::format("no answer about {} within {}", params_.name, format_age(params_.timeout)));
        if (end.exit_status == kNotFound) return failed("not_found", params_.name + " does not resolve");
        if (!end.ok())
            return inconclusive("not_asked", fmt::format("getent: {}: {}", end.describe(), plain_line(end.output)));
        std::vector<std::string> found;
        std::string_view rest = end.output;
        while (!rest.empty()) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), line.size() + 1));
            std::string address = plain_line(line.substr(0, line.find(' ')), 64);
            if (!address.empty() && std::ranges::find(found, address) == found.end())
                found.push_back(std::move(address));
        }
        const bool expected =
            params_.expect.empty() || std::ranges::any_of(params_.expect, [&](const std::string& address) {
                return std::ranges::find(found, address) != found.end();
            });
        const std::string answer = fmt::format("{} resolves to {}", params_.name, fmt::join(found, ", "));
        if (!expected)
            return failed("other_address",
                          fmt::format("{}; expected {}", plain_line(answer), fmt::join(params_.expect, " or ")));
        return {.verdict = core::VerdictKind::pass, .code = "ok", .text = plain_line(answer)};
    }

    const DnsParams& params_;
    sys::Process process_;
};

class Dns final : public Check {
  public:
    explicit Dns(DnsParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<DnsRun>(context, std::move(done), params_);
    }

  private:
    DnsParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    DnsParams compiled{.name = text_param(params, "lookup"), .expect = {}};
    compiled.timeout = duration_param(params, "timeout");
    const bool letters = std::ranges::all_of(compiled.name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
    if (compiled.name.empty() || compiled.name.size() > 253 || !letters || compiled.name.front() == '-')
        return fail(ErrorKind::invalid_config,
                    fmt::format("lookup: found '{}'; expected a host name, as in registry.example",
                                printable_name(compiled.name)));
    if (has_param(params, "expect")) compiled.expect = text_list_param(params, "expect");
    return std::make_unique<Dns>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_dns{
    .name = "dns",
    .summary = "A host name resolves, to one of the addresses that are expected.",
    .params = kParams,
    .make = make,
    .needs_server = false,
};

}  // namespace modelguard::checks
