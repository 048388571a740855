// `exec`: a command that the device lists (never an argv from a manifest). Its exit status is the verdict, the first
// line of its output the reason, as with greenboot's scripts.

#include <fmt/format.h>

#include "checks/check.hpp"
#include "checks/run.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_exec;

namespace {

constexpr std::array kParams{
    ParamSpec{.name = "run", .required = true, .help = "The name of a command in the device's modelguard.yaml."},
    ParamSpec{.name = "expect_status",
              .type = ParamType::integer,
              .unit = "exit status",
              .default_text = "0",
              .help = "The exit status that passes.",
              .maximum = 255},
};

struct ExecParams {
    std::string run;
    std::int64_t expect_status{0};
};

class ExecRun final : public Run {
  public:
    ExecRun(const CheckContext& context, Done done, const ExecParams& params)
        : Run(context, std::move(done)), params_(params) {
        begin();
    }

  private:
    void begin() {
        if (!context_.run_command)
            return finish(inconclusive("unknown_command", params_.run + ": this device lists no commands"));
        auto started = context_.run_command(params_.run,
                                            {"MODELGUARD_MODEL=" + context_.target.server_model,
                                             "MODELGUARD_VERSION_DIR=" + context_.version_dir.string()},
                                            [this](const Result<sys::ProcessEnd>& end) {
                                                if (end) return on_end(*end);
                                                not_run(end.error());
                                            });
        if (!started) return not_run(started.error());
        command_ = std::move(*started);
    }

    void not_run(const Error& error) {
        if (error.kind == ErrorKind::not_found) return finish(inconclusive("unknown_command", error.what));
        finish(inconclusive("not_run", fmt::format("{}: {}", params_.run, error.what)));
    }

    void on_end(const sys::ProcessEnd& end) {
        CheckOutcome outcome;
        const std::string said = plain_line(end.output);
        const std::string reason = said.empty() ? std::string() : ": " + said;
        if (end.timed_out) {
            outcome = failed("timed_out",
                             fmt::format("{} did not end within {}{}", params_.run, format_age(end.timeout), reason));
        } else if (end.signal != 0) {
            outcome = failed("signal", fmt::format("{} was killed by signal {}{}", params_.run, end.signal, reason));
        } else if (end.exit_status != params_.expect_status) {
            outcome = failed("exit_status", fmt::format("{} ended with status {} instead of {}{}", params_.run,
                                                        end.exit_status, params_.expect_status, reason));
        } else {
            outcome = {.verdict = core::VerdictKind::pass,
                       .code = "ok",
                       .text = fmt::format("{} ended with status {}{}", params_.run, end.exit_status, reason)};
        }
        if (!end.timed_out && end.signal == 0) outcome.measured = end.exit_status;
        outcome.limit = static_cast<double>(params_.expect_status);
        outcome.unit = "exit status";
        outcome.probes = 1;
        finish(std::move(outcome));
    }

    const ExecParams& params_;
    std::unique_ptr<sys::CommandRun> command_;
};

class Exec final : public Check {
  public:
    explicit Exec(ExecParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<ExecRun>(context, std::move(done), params_);
    }

  private:
    ExecParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    ExecParams compiled{.run = text_param(params, "run")};
    if (compiled.run.empty() || plain_line(compiled.run) != compiled.run)
        return fail(ErrorKind::invalid_config, "run: expected the name of a command in the device's modelguard.yaml");
    if (has_param(params, "expect_status")) compiled.expect_status = integer_param(params, "expect_status");
    return std::make_unique<Exec>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_exec{
    .name = "exec",
    .summary = "A command of the device: its exit status is the verdict, its first line of output the reason.",
    .params = kParams,
    .make = make,
    .needs_server = false,
};

}  // namespace modelguard::checks
