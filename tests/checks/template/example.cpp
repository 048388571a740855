// `example`: the model server answers `path` with at most `max` bytes. A template: copy it to checks/NAME.cpp, put NAME
// for `example`, add MG_KIND(NAME) to checks/kinds.def and write tests/checks/NAME_test.cpp. Nothing else is needed:
// errors, `modelguard kinds`, the JSON schema and modelguard-checks(7) come from the descriptor at the end.

#include <fmt/format.h>

#include "checks/run.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_example;

namespace {

constexpr Usec kTimeout = std::chrono::seconds(5);

constexpr std::array kParams{
    ParamSpec{.name = "path", .default_text = "/", .help = "What is asked of the server."},
    ParamSpec{.name = "max",
              .type = ParamType::integer,
              .unit = "bytes",
              .required = true,
              .help = "The longest answer that passes.",
              .minimum = 0,
              .maximum = 1 << 20},
};

struct ExampleParams {
    std::string path;
    std::int64_t max{0};
};

// One pass. What could not be measured is inconclusive; only what says something about the version fails.
class ExampleRun final : public Run {
  public:
    ExampleRun(const CheckContext& context, Done done, const ExampleParams& params) : Run(context, std::move(done)) {
        sys::HttpRequest request{.url = context.target.endpoint + params.path};
        request.timeout = kTimeout;
        exchange(std::move(request), [this, max = params.max](const Result<sys::HttpReply>& reply) {
            if (!reply) return finish(inconclusive("unreachable", reply.error().what));
            const auto bytes = static_cast<std::int64_t>(reply->body.size());
            const bool ok = bytes <= max;
            finish({.verdict = ok ? core::VerdictKind::pass : core::VerdictKind::fail,
                    .code = ok ? "ok" : "too_long",
                    .text = fmt::format("{} bytes (max {})", bytes, max),
                    .measured = static_cast<double>(bytes),
                    .limit = static_cast<double>(max),
                    .unit = "bytes",
                    .probes = 1});
        });
    }
};

class Example final : public Check {
  public:
    explicit Example(ExampleParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<ExampleRun>(context, std::move(done), params_);
    }

  private:
    ExampleParams params_;
};

// The parameters are right by their table; what they mean together is checked here.
Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    ExampleParams compiled{.path = text_param(params, "path"), .max = integer_param(params, "max")};
    if (!compiled.path.starts_with('/'))
        return fail(ErrorKind::invalid_config, "path: expected a path of the server, as in /health");
    return std::make_unique<Example>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_example{
    .name = "example",
    .summary = "The model server's answer to a GET is not too long.",
    .params = kParams,
    .make = make,
};

}  // namespace modelguard::checks
