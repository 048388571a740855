// `systemd_unit`: what systemd says of a unit: it runs, has run for a while, and was not restarted too often.
// Source: systemd.unit(5), systemd.service(5), org.freedesktop.systemd1(5).

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <ctime>

#include "checks/restarts.hpp"
#include "checks/run.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_systemd_unit;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array kParams{
    ParamSpec{.name = "unit",
              .required = true,
              .help = "The unit; the model's own or one listed under `units:` in modelguard.yaml."},
    ParamSpec{.name = "sub_state", .help = "What its SubState must be, as in running. Absent: any."},
    kMaxRestartsParam,
    kRestartsWithinParam,
    kStableForParam,
};
constexpr Usec kAnswerTimeout = seconds(5);
constexpr Usec kFirstInterval = milliseconds(50);
constexpr Usec kLongestInterval = milliseconds(500);

struct UnitParams {
    std::string unit, sub_state;
    RestartLimits limits;
};

Usec monotonic_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return seconds(now.tv_sec) + std::chrono::duration_cast<Usec>(std::chrono::nanoseconds(now.tv_nsec));
}

/// "failed (exit-code, status 1)": as `systemctl status` puts it.
std::string described(const sys::UnitState& state) {
    std::string text = fmt::format("{} ({})", state.active_state, state.sub_state);
    if (state.result.empty() || state.result == "success") return text;
    text += ", last result " + state.result;
    if (state.exit_code == CLD_EXITED) text += fmt::format(", status {}", state.exit_status);
    if (state.exit_code == CLD_KILLED || state.exit_code == CLD_DUMPED)
        text += fmt::format(", signal {}", state.exit_status);
    return text;
}

class UnitRun final : public Run {
  public:
    UnitRun(const CheckContext& context, Done done, const UnitParams& params, RestartMemory& memory)
        : Run(context, std::move(done)), params_(params), memory_(memory), began_(sys::boottime_now()) {
        auto systemd = sys::Systemd::connect(context.loop);
        if (!systemd) {
            finish(inconclusive("no_bus", plain_line(systemd.error().what)));
            return;
        }
        systemd_ = std::move(*systemd);
        look();
    }

  private:
    void look() {
        ++probes_;
        systemd_->read_unit(params_.unit, kAnswerTimeout, [this](const Result<sys::UnitState>& state) {
            if (!state)
                return end(inconclusive(state.error().kind == ErrorKind::denied ? "denied" : "not_answered",
                                        fmt::format("{}: {}", params_.unit, plain_line(state.error().what))));
            judge(*state);
        });
    }

    void judge(const sys::UnitState& state) {
        restarts_ =
            memory_.count({.era = context_.era, .instance = {}, .counter = state.restarts, .at = sys::boottime_now()},
                          params_.limits.within);
        const std::string now = fmt::format("{} is {}", params_.unit, described(state));
        if (restarts_ > params_.limits.max_restarts)
            return end(
                failed("restarting", fmt::format("restarted {} times within {}, {} allowed; {}", restarts_,
                                                 format_age(params_.limits.within), params_.limits.max_restarts, now)));
        const std::string_view active = state.active_state;
        // No version brings a unit or takes one away: without one nothing is known about the version.
        if (active == "inactive" && state.load_state != "loaded")
            return end(inconclusive(state.load_state == "not-found" ? "no_such_unit" : "not_loaded",
                                    fmt::format("{} cannot be loaded ({}); see systemctl status {}", params_.unit,
                                                plain_line(state.load_state), params_.unit)));
        if (active == "active") return judge_active(state, now);
        if (active == "activating" || active == "reloading" || active == "deactivating" || state.has_job)
            return again(now, interval_);
        if (active == "inactive") return end(failed("inactive", now));
        if (active != "failed") return end(inconclusive("unknown_state", now));
        // systemd itself could not start anything: no memory, no file descriptors.
        if (state.result == "resources") return end(inconclusive("resources", now));
        end(failed(state.result == "oom-kill"          ? "oom"
                   : state.result == "start-limit-hit" ? "restarting"
                                                       : "failed",
                   fmt::format("{}; see journalctl -u {}", now, params_.unit)));
    }

    void judge_active(const sys::UnitState& state, const std::string& now) {
        if (!params_.sub_state.empty() && state.sub_state != params_.sub_state)
            return end(failed("sub_state", fmt::format("{} instead of {}", now, printable_name(params_.sub_state))));
        const Usec since = monotonic_now() - Usec{static_cast<std::int64_t>(state.active_since_usec)};
        if (state.active_since_usec != 0 && since < params_.limits.stable_for)
            return again(now, params_.limits.stable_for - since);
        end({.verdict = core::VerdictKind::pass, .code = "ok", .text = now});
    }

    /// Not yet: neutral until `ready_within` has run out.
    void again(const std::string& now, Usec pause) {
        const Usec left = context_.ready_within - (sys::boottime_now() - began_);
        if (left <= Usec{0})
            return end(
                failed("not_ready", fmt::format("not stable within {}: {}", format_age(context_.ready_within), now)));
        interval_ = std::min(interval_ * 2, kLongestInterval);
        after(std::min({pause, left, kLongestInterval}), [this] { look(); });
    }

    void end(CheckOutcome outcome) {
        outcome.measured = static_cast<double>(restarts_);
        outcome.limit = static_cast<double>(params_.limits.max_restarts);
        outcome.unit = "restarts";
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    const UnitParams& params_;
    RestartMemory& memory_;
    Instant began_;
    std::uint64_t restarts_{0};
    std::int64_t probes_{0};
    Usec interval_{kFirstInterval};
    std::unique_ptr<sys::Systemd> systemd_;
};

class SystemdUnit final : public Check {
  public:
    explicit SystemdUnit(UnitParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<UnitRun>(context, std::move(done), params_, memory_);
    }

  private:
    UnitParams params_;
    mutable RestartMemory memory_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    UnitParams compiled{.unit = text_param(params, "unit"), .sub_state = {}, .limits = restart_limits(params)};
    if (has_param(params, "sub_state")) compiled.sub_state = text_param(params, "sub_state");
    return std::make_unique<SystemdUnit>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_systemd_unit{
    .name = "systemd_unit",
    .summary = "systemd runs the unit, and did not restart it too often.",
    .params = kParams,
    .make = make,
    .needs_server = false,
};

}  // namespace modelguard::checks
