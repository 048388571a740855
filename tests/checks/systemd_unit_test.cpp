#include <stdlib.h>
#include <sys/wait.h>

#include "tests/checks/written_check.hpp"
#include "tests/sys/fake_systemd.hpp"

namespace modelguard::checks::test {
namespace {

using namespace std::chrono_literals;
using core::VerdictKind;
using sys::UnitState;

class SystemdUnitKind : public WrittenCheck {
  protected:
    void SetUp() override {
        WrittenCheck::SetUp();
        const std::string socket = (version_dir_ / "bus").string();
        manager_.emplace(*loop_, socket);
        ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket).c_str(), 1);
        context_->ready_within = 300ms;
    }
    void TearDown() override {
        ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        manager_.reset();
        WrittenCheck::TearDown();
    }
    static UnitState unit(const std::string& active, const std::string& sub, const std::string& result = "success",
                          std::uint32_t restarts = 0) {
        return {.load_state = "loaded",
                .active_state = active,
                .sub_state = sub,
                .result = result,
                .restarts = restarts,
                .active_since_usec = 1};
    }
    static UnitState running(std::uint32_t restarts = 0) { return unit("active", "running", "success", restarts); }
    CheckOutcome seen(std::vector<UnitState> states, const std::string& more = "") {
        manager_->unit_states = std::move(states);
        return run_written(kText + more);
    }

    const std::string kText = "kind: systemd_unit, unit: digits.service";
    std::optional<sys::test::FakeSystemd> manager_;
};

TEST_F(SystemdUnitKind, a_unit_that_runs_passes) {
    const CheckOutcome outcome = seen({running(5)});
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.text, "digits.service is active (running)");
    EXPECT_EQ(outcome.measured, 0) << "restarts from before nobody looked";
    EXPECT_EQ(outcome.unit, "restarts");
}

TEST_F(SystemdUnitKind, a_failed_unit_fails_at_once_with_how_it_ended) {
    UnitState state = unit("failed", "failed", "exit-code");
    state.exit_code = CLD_EXITED;
    state.exit_status = 3;
    const CheckOutcome outcome = seen({state});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "failed");
    EXPECT_EQ(outcome.probes, 1);
    EXPECT_EQ(outcome.text,
              "digits.service is failed (failed), last result exit-code, status 3; see journalctl -u digits.service");
    EXPECT_EQ(seen({unit("failed", "failed", "oom-kill")}).code, "oom");
    EXPECT_EQ(seen({unit("failed", "failed", "start-limit-hit")}).code, "restarting");
    EXPECT_EQ(seen({unit("inactive", "dead")}).code, "inactive");
}

TEST_F(SystemdUnitKind, starting_and_stopping_are_neutral_until_ready_within) {
    context_->ready_within = 10s;
    UnitState queued = unit("inactive", "dead");
    queued.has_job = true;
    const CheckOutcome started = seen({unit("deactivating", "stop-sigterm"), queued, unit("activating", "start"),
                                       unit("reloading", "reload"), running()});
    EXPECT_EQ(started.verdict, VerdictKind::pass) << started.text;
    EXPECT_EQ(started.probes, 5);

    context_->ready_within = 300ms;
    const CheckOutcome never = seen({unit("activating", "start")});
    EXPECT_EQ(never.verdict, VerdictKind::fail);
    EXPECT_EQ(never.code, "not_ready");
    EXPECT_EQ(never.text, "not stable within 300ms: digits.service is activating (start)");
}

TEST_F(SystemdUnitKind, a_restart_storm_fails_although_the_unit_is_never_failed) {
    const CheckOutcome storm = seen({unit("activating", "auto-restart", "signal", 2), running(3)});
    EXPECT_EQ(storm.verdict, VerdictKind::fail);
    EXPECT_EQ(storm.code, "restarting");
    EXPECT_EQ(storm.measured, 1);
    EXPECT_EQ(seen({unit("activating", "auto-restart", "signal", 2), running(3)}, ", max_restarts: 1").verdict,
              VerdictKind::pass);
}

TEST_F(SystemdUnitKind, a_unit_that_runs_for_a_moment_only_is_not_yet_well) {
    UnitState moment = running();
    // Later than now: at no look has it run for long enough.
    moment.active_since_usec = static_cast<std::uint64_t>(INT64_MAX / 2);
    EXPECT_EQ(seen({moment}).code, "not_ready");
    EXPECT_EQ(seen({moment, running()}).verdict, VerdictKind::pass);
}

TEST_F(SystemdUnitKind, restarts_between_passes_count_until_their_time_is_over_or_the_service_was_told) {
    const auto check = written(kText + ", within: 1h");
    const auto pass = [&](std::uint32_t restarts) {
        manager_->unit_states = {running(restarts)};
        return run(*check).verdict;
    };
    EXPECT_EQ(pass(2), VerdictKind::pass);
    EXPECT_EQ(pass(3), VerdictKind::fail);
    EXPECT_EQ(pass(3), VerdictKind::fail);
    ++context_->era;
    EXPECT_EQ(pass(3), VerdictKind::pass);
    EXPECT_EQ(pass(4), VerdictKind::fail);
    EXPECT_EQ(pass(0), VerdictKind::pass) << "somebody started it anew";
}

TEST_F(SystemdUnitKind, what_says_nothing_about_the_version_is_inconclusive) {
    for (const char* load_state : {"not-found", "masked", "bad-setting", "error"}) {
        UnitState state = unit("inactive", "dead");
        state.load_state = load_state;
        const CheckOutcome outcome = seen({state});
        EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive) << load_state;
        EXPECT_NE(outcome.text.find(load_state), std::string::npos) << outcome.text;
    }
    EXPECT_EQ(seen({unit("failed", "failed", "resources")}).code, "resources");
    EXPECT_EQ(seen({unit("maintenance", "odd")}).code, "unknown_state");
    EXPECT_EQ(seen({}).code, "not_answered");
    manager_->error_name = "org.freedesktop.DBus.Error.AccessDenied";
    const CheckOutcome denied = seen({running()});
    EXPECT_EQ(denied.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(denied.code, "denied");
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
    const CheckOutcome no_bus = seen({running()});
    EXPECT_EQ(no_bus.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(no_bus.code, "no_bus");
}

TEST_F(SystemdUnitKind, a_unit_whose_file_is_gone_while_it_runs_passes) {
    UnitState state = running();
    state.load_state = "not-found";
    EXPECT_EQ(seen({state}).verdict, VerdictKind::pass);
}

TEST_F(SystemdUnitKind, another_sub_state_fails_where_one_is_demanded) {
    const CheckOutcome outcome = seen({unit("active", "exited")}, ", sub_state: running");
    EXPECT_EQ(outcome.code, "sub_state");
    EXPECT_EQ(outcome.text, "digits.service is active (exited) instead of running");
    EXPECT_EQ(seen({unit("active", "exited")}).verdict, VerdictKind::pass);
}

TEST_F(SystemdUnitKind, only_units_that_the_device_lists_are_asked_about) {
    EXPECT_NE(refusal("kind: systemd_unit, unit: sshd.service").find("checks[0].unit"), std::string::npos);
    device_ = "{units: [sshd.service]}";
    manager_->unit_states = {running()};
    EXPECT_EQ(run_written("kind: systemd_unit, unit: sshd.service").verdict, VerdictKind::pass);
}

}  // namespace
}  // namespace modelguard::checks::test
