#include "tests/checks/bench_server.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class Exec : public CheckTest {
  protected:
    /// The device lists one command, `probe`.
    void device_has(const sys::Command& probe) {
        context_->run_command = [this, probe](std::string_view name, std::vector<std::string> environment,
                                              sys::CommandDone done) -> Result<std::unique_ptr<sys::CommandRun>> {
            if (name != "probe")
                return fail(ErrorKind::not_found, std::string(name) + ": no such command on this device");
            return sys::run_as_child(*loop_, probe, std::move(environment), std::move(done));
        };
    }
    CheckOutcome run_script(const std::string& script, ParamMap more = {}, Usec timeout = std::chrono::seconds(20)) {
        device_has({.argv = {"/bin/sh", "-c", script}, .user = "", .timeout = timeout});
        more.emplace("run", text("probe"));
        return run("exec", std::move(more));
    }
};

TEST_F(Exec, exit_status_zero_passes_with_the_first_line_as_the_reason) {
    const CheckOutcome outcome = run_script("echo; echo all is well; echo more");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass);
    EXPECT_EQ(outcome.code, "ok");
    EXPECT_EQ(outcome.text, "probe ended with status 0: all is well");
    EXPECT_EQ(outcome.measured, 0.0);
    EXPECT_EQ(outcome.probes, 1);
}

TEST_F(Exec, another_exit_status_fails) {
    const CheckOutcome outcome = run_script("echo disk is full >&2; exit 3");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "exit_status");
    EXPECT_EQ(outcome.text, "probe ended with status 3 instead of 0: disk is full");
    EXPECT_EQ(outcome.measured, 3.0);
}

TEST_F(Exec, the_expected_status_may_be_another_one) {
    EXPECT_EQ(run_script("exit 3", {{"expect_status", integer(3)}}).verdict, VerdictKind::pass);
    EXPECT_EQ(run_script("exit 0", {{"expect_status", integer(3)}}).code, "exit_status");
}

TEST_F(Exec, without_an_end_it_fails_in_time) {
    const CheckOutcome outcome = run_script("echo waiting; exec sleep 1000", {}, std::chrono::milliseconds(300));
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "timed_out");
    EXPECT_EQ(outcome.text, "probe did not end within 300ms: waiting");
    EXPECT_FALSE(outcome.measured.has_value());
}

TEST_F(Exec, killed_by_a_signal_fails) {
    const CheckOutcome outcome = run_script("kill -SEGV $$");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "signal");
    EXPECT_EQ(outcome.text, "probe was killed by signal 11");
}

TEST_F(Exec, knows_the_model_and_the_version) {
    write_file("weights", "w");
    const CheckOutcome outcome =
        run_script("test -f \"$MODELGUARD_VERSION_DIR/weights\" && echo \"$MODELGUARD_MODEL\"");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.text, "probe ended with status 0: digits");
}

TEST_F(Exec, output_cannot_steer_a_terminal_nor_fill_a_report) {
    const CheckOutcome outcome = run_script("printf '\\033[2Jok\\377'; head -c 100000 /dev/zero | tr '\\0' x");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass);
    EXPECT_TRUE(outcome.text.starts_with("probe ended with status 0: [2Jok?xxx")) << outcome.text;
    EXPECT_LT(outcome.text.size(), 250u);
}

TEST_F(Exec, a_command_that_the_device_does_not_list_is_inconclusive) {
    const CheckOutcome outcome = run_script("exit 0", {{"run", text("other")}});
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "unknown_command");
    EXPECT_EQ(outcome.text, "other: no such command on this device");

    context_->run_command = nullptr;
    EXPECT_EQ(run("exec", {{"run", text("probe")}}).code, "unknown_command");
}

TEST_F(Exec, a_command_that_cannot_be_started_is_inconclusive) {
    device_has({.argv = {"/nonexistent/probe"}, .user = "", .timeout = std::chrono::seconds(5)});
    const CheckOutcome outcome = run("exec", {{"run", text("probe")}});
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "not_run");
}

TEST(ExecParams, refuse_a_name_that_is_none) {
    for (const char* name : {"", "a\nb", " "}) {
        const auto made = find_kind("exec")->make({{"run", text(name)}});
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().kind, ErrorKind::invalid_config);
    }
}

}  // namespace
}  // namespace modelguard::checks::test
