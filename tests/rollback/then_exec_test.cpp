#include "tests/rollback/fixture.hpp"

namespace modelguard::rollback::test {
namespace {

using namespace std::chrono_literals;

struct ExecThenTest : RollbackTest {
    void shell(const std::string& script, Usec limit = 10s) {
        commands["reload"] = {.argv = {"/bin/sh", "-c", script}, .user = {}, .timeout = limit};
    }
    Outcome run(ThenVerb verb = ThenVerb::version_changed, const std::string& name = "reload") {
        return run_then(*find_then("exec"), text_params({{"run", name}}), verb);
    }
};

TEST_F(ExecThenTest, exit_status_0_is_done_and_the_command_knows_what_happened) {
    environment = {"MODELGUARD_MODEL=digits", "MODELGUARD_VERSION=" + v1.text};
    shell("echo \"$MODELGUARD_MODEL $MODELGUARD_VERSION $MODELGUARD_VERB\" >> " + (dir / "told").string());

    EXPECT_EQ(run().result, SwitchResult::done);
    EXPECT_EQ(run(ThenVerb::restart).result, SwitchResult::done);

    EXPECT_EQ(slurp(dir / "told"), "digits " + v1.text + " version_changed\ndigits " + v1.text + " restart\n");
}

TEST_F(ExecThenTest, other_exit_status_is_failed_with_the_last_line_as_reason) {
    shell("echo first; echo 'port is busy' >&2; exit 3");

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("'reload'"), std::string::npos) << outcome.why;
    EXPECT_NE(outcome.why.find("exit status 3"), std::string::npos) << outcome.why;
    EXPECT_TRUE(outcome.why.ends_with(": port is busy")) << outcome.why;
    EXPECT_EQ(outcome.why.find("first"), std::string::npos) << outcome.why;
}

TEST_F(ExecThenTest, command_without_an_end_is_killed_and_failed) {
    shell("exec tail -f /dev/null", 50ms);

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("50ms"), std::string::npos) << outcome.why;
}

TEST_F(ExecThenTest, command_killed_by_a_signal_is_failed) {
    shell("kill -KILL $$");

    EXPECT_EQ(run().result, SwitchResult::failed);
}

TEST_F(ExecThenTest, name_that_the_device_does_not_list_is_failed_and_named) {
    const Outcome outcome = run(ThenVerb::version_changed, "other");

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("'other'"), std::string::npos) << outcome.why;
}

TEST_F(ExecThenTest, program_that_does_not_exist_is_failed) {
    commands["reload"] = {.argv = {"/nonexistent/program"}, .user = {}, .timeout = 1s};

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_NE(outcome.why.find("/nonexistent/program"), std::string::npos) << outcome.why;
}

}  // namespace
}  // namespace modelguard::rollback::test
