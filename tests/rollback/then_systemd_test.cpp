#include <stdlib.h>

#include "tests/rollback/fixture.hpp"
#include "tests/sys/fake_systemd.hpp"

namespace modelguard::rollback::test {
namespace {

using namespace std::chrono_literals;

struct SystemdThenTest : RollbackTest {
    std::string socket = (dir / "bus").string();
    sys::test::FakeSystemd manager{*loop, socket};

    SystemdThenTest() {
        ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket).c_str(), 1);
        link_to(v1);
    }
    ~SystemdThenTest() override { ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS"); }

    Outcome run(const std::string& action = "restart", ThenVerb verb = ThenVerb::version_changed) {
        return run_then(*find_then("systemd"), text_params({{"unit", "digits.service"}, {"action", action}}), verb);
    }
};

TEST_F(SystemdThenTest, job_that_ends_as_done_is_done) {
    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::done) << outcome.why;
    EXPECT_EQ(manager.calls(), std::vector<std::string>{"RestartUnit digits.service replace"});
    EXPECT_TRUE(manager.was_subscribed());
}

TEST_F(SystemdThenTest, each_action_is_its_method_and_the_verb_restart_is_always_a_restart) {
    run("reload");
    run("reload-or-restart");
    run("start");
    run("reload", ThenVerb::restart);
    run("start", ThenVerb::restart);

    EXPECT_EQ(manager.calls(), (std::vector<std::string>{
                                   "ReloadUnit digits.service replace", "ReloadOrRestartUnit digits.service replace",
                                   "StartUnit digits.service replace", "RestartUnit digits.service replace",
                                   "RestartUnit digits.service replace"}));
}

TEST_F(SystemdThenTest, without_a_current_version_the_unit_is_stopped_but_one_that_only_reloads_is_reloaded) {
    ASSERT_TRUE(sys::remove_symlink(dir / "current").has_value());

    EXPECT_EQ(run("restart").result, SwitchResult::done);
    EXPECT_EQ(run("reload").result, SwitchResult::done);

    EXPECT_EQ(manager.calls(),
              (std::vector<std::string>{"StopUnit digits.service replace", "ReloadUnit digits.service replace"}));
}

TEST_F(SystemdThenTest, job_that_fails_is_failed_and_names_where_to_look) {
    for (const char* result : {"failed", "timeout", "dependency", "canceled", "skipped"}) {
        manager.job_result = result;
        const Outcome outcome = run();
        EXPECT_EQ(outcome.result, SwitchResult::failed);
        EXPECT_NE(outcome.why.find(result), std::string::npos) << outcome.why;
        EXPECT_NE(outcome.why.find("journalctl -u digits.service"), std::string::npos) << outcome.why;
    }
}

TEST_F(SystemdThenTest, end_of_another_job_is_not_mistaken_for_ours) {
    manager.other_jobs_end_too = true;

    EXPECT_EQ(run().result, SwitchResult::done);
}

TEST_F(SystemdThenTest, error_of_the_manager_is_failed_with_its_text) {
    for (const char* name : {"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.AccessDenied"}) {
        manager.error_name = name;
        const Outcome outcome = run();
        EXPECT_EQ(outcome.result, SwitchResult::failed);
        EXPECT_NE(outcome.why.find("it says no"), std::string::npos) << outcome.why;
        EXPECT_NE(outcome.why.find(name), std::string::npos) << outcome.why;
    }
}

TEST_F(SystemdThenTest, job_without_an_end_is_failed_at_the_timeout) {
    manager.hangs = true;
    timeout = 50ms;

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("50ms"), std::string::npos) << outcome.why;
}

TEST_F(SystemdThenTest, bus_that_goes_away_is_failed_at_once) {
    manager.hangs_up = true;

    const Instant begin = sys::boottime_now();
    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_LT(sys::boottime_now() - begin, timeout / 2) << "waited for the timeout: " << outcome.why;
}

TEST_F(SystemdThenTest, host_without_a_bus_is_failed_as_unsupported) {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("unsupported here"), std::string::npos) << outcome.why;
}

TEST_F(SystemdThenTest, dropping_it_calls_nobody) {
    manager.hangs = true;
    bool called = false;
    {
        const auto running =
            find_then("systemd")->start(service(), text_params({{"unit", "digits.service"}}), ThenVerb::version_changed,
                                        [&](const Outcome&) { called = true; });
        ASSERT_TRUE(run_until(*loop, [&] { return !manager.calls().empty(); }));
    }
    sys::test::run_pending(*loop);

    EXPECT_FALSE(called);
}

}  // namespace
}  // namespace modelguard::rollback::test
