#include "supervisor/sys/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>

#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

using namespace std::chrono_literals;

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }

struct ProcessTest : ::testing::Test {
    std::unique_ptr<Loop> loop = make_loop();

    ProcessEnd run(ProcessSpec spec) {
        std::optional<ProcessEnd> end;
        const Result<Process> process = spawn(*loop, std::move(spec), [&](ProcessEnd e) { end = std::move(e); });
        EXPECT_TRUE(process.has_value()) << process.error().what;
        EXPECT_FALSE(end.has_value());
        EXPECT_TRUE(run_until(*loop, [&] { return end.has_value(); }));
        return end.value_or(ProcessEnd{});
    }
    ProcessEnd shell(const std::string& script) { return run({.argv = {"/bin/sh", "-c", script}}); }
    ErrorKind refused(ProcessSpec spec) {
        const Result<Process> process = spawn(*loop, std::move(spec), [](const ProcessEnd&) { FAIL(); });
        EXPECT_FALSE(process.has_value());
        run_pending(*loop);
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
        return process ? ErrorKind::internal : process.error().kind;
    }
    /// The grandchild's pid, once the script has written it.
    pid_t pid_in(const Path& file) {
        pid_t pid = -1;
        EXPECT_TRUE(poll_until(*loop, [&] { return static_cast<bool>(std::ifstream(file) >> pid); }));
        return pid;
    }
    bool dies(pid_t pid) {
        return poll_until(*loop, [&] {
            // As init's child it is gone at once; where nobody reaps, a zombie is dead too.
            std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
            std::string number, name, state;
            return !(stat >> number >> name >> state) || state == "Z" || !is_alive(pid);
        });
    }
};

TEST_F(ProcessTest, output_of_both_streams_comes_together_by_default) {
    const ProcessEnd end = shell("echo out; echo err >&2");
    EXPECT_TRUE(end.ok());
    EXPECT_EQ(end.output, "out\nerr\n");
    EXPECT_EQ(end.error_output, "");
    EXPECT_FALSE(end.truncated);
    EXPECT_EQ(end.describe(), "exit status 0");
}

TEST_F(ProcessTest, streams_come_apart_on_request) {
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "echo out; echo err >&2"}, .separate_stdout = true});
    EXPECT_EQ(end.output, "out\n");
    EXPECT_EQ(end.error_output, "err\n");
}

TEST_F(ProcessTest, exit_status_and_signal_are_told_apart) {
    const ProcessEnd exited = shell("exit 3");
    EXPECT_EQ(exited.exit_status, 3);
    EXPECT_EQ(exited.signal, 0);
    EXPECT_FALSE(exited.ok());
    EXPECT_EQ(exited.describe(), "exit status 3");

    const ProcessEnd killed = shell("kill -TERM $$");
    EXPECT_EQ(killed.exit_status, -1);
    EXPECT_EQ(killed.signal, SIGTERM);
    EXPECT_FALSE(killed.ok());
    EXPECT_EQ(killed.describe(), "killed by signal 15");
}

TEST_F(ProcessTest, output_beyond_the_cap_is_read_and_dropped) {
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "head -c 3000000 /dev/zero; exit 4"}, .output_cap = 1000});
    EXPECT_EQ(end.exit_status, 4);
    EXPECT_EQ(end.output, std::string(1000, '\0'));
    EXPECT_TRUE(end.truncated);
}

TEST_F(ProcessTest, output_of_exactly_the_cap_is_not_truncated) {
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "printf 0123456789"}, .output_cap = 10});
    EXPECT_EQ(end.output, "0123456789");
    EXPECT_FALSE(end.truncated);
}

TEST_F(ProcessTest, large_output_arrives_whole) {
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "head -c 5000000 /dev/zero"}, .output_cap = 6u << 20});
    EXPECT_EQ(end.output.size(), 5'000'000U);
    EXPECT_FALSE(end.truncated);
}

TEST_F(ProcessTest, deadline_kills_the_whole_group) {
    const TempDir dir;
    const Path file = dir / "pid";
    std::optional<ProcessEnd> end;
    const Result<Process> process =
        spawn(*loop, {.argv = {"/bin/sh", "-c", "sleep 1000 & echo $! >" + file.native() + "; wait"}, .timeout = 300ms},
              [&](ProcessEnd e) { end = std::move(e); });
    ASSERT_TRUE(process.has_value());
    const pid_t grandchild = pid_in(file);

    ASSERT_TRUE(run_until(*loop, [&] { return end.has_value(); }));

    EXPECT_TRUE(end->timed_out);
    EXPECT_FALSE(end->ok());
    EXPECT_EQ(end->signal, SIGKILL);
    EXPECT_EQ(end->describe(), "no end within 300ms");
    EXPECT_TRUE(dies(grandchild));
}

TEST_F(ProcessTest, deadline_holds_against_a_child_that_ignores_signals) {
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "trap '' TERM INT HUP; sleep 1000"}, .timeout = 50ms});
    EXPECT_TRUE(end.timed_out);
}

TEST_F(ProcessTest, grandchild_that_holds_the_pipe_is_not_waited_for_and_killed) {
    const TempDir dir;
    const Path file = dir / "pid";
    const Instant before = boottime_now();

    const ProcessEnd end = shell("sleep 1000 & echo $! >" + file.native() + "; echo done");

    EXPECT_TRUE(end.ok());
    EXPECT_EQ(end.output, "done\n");
    EXPECT_LT(boottime_now() - before, 5s);
    EXPECT_TRUE(dies(pid_in(file)));
}

TEST_F(ProcessTest, daemonised_grandchild_does_not_hold_the_end_back) {
    const TempDir dir;
    const Path file = dir / "pid";
    // In a session of its own it survives our kill, pipe and all: the 100 ms are the end of the wait.
    const ProcessEnd end = shell("setsid sh -c 'echo $$ >" + file.native() + "; exec sleep 1000' & exit 0");
    EXPECT_TRUE(end.ok());
    const pid_t survivor = pid_in(file);
    EXPECT_TRUE(is_alive(survivor));
    EXPECT_EQ(::kill(survivor, SIGKILL), 0);
}

TEST_F(ProcessTest, output_written_just_before_the_end_is_not_lost) {
    for (int i = 0; i < 50; ++i)
        ASSERT_EQ(shell("printf last").output, "last");
}

TEST_F(ProcessTest, what_cannot_be_executed_is_an_error_of_spawn) {
    const TempDir dir;
    std::ofstream(dir / "plain") << "#!/bin/sh\n";
    EXPECT_EQ(refused({.argv = {}}), ErrorKind::invalid_config);
    EXPECT_EQ(refused({.argv = {""}}), ErrorKind::invalid_config);
    EXPECT_EQ(refused({.argv = {"/nonexistent/program"}}), ErrorKind::not_found);
    EXPECT_EQ(refused({.argv = {"modelguard-no-such-program"}}), ErrorKind::not_found);
    EXPECT_EQ(refused({.argv = {dir / "plain"}}), ErrorKind::denied);
    EXPECT_EQ(refused({.argv = {"/bin/true"}, .directory = "/nonexistent"}), ErrorKind::not_found);
    EXPECT_EQ(refused({.argv = {"/bin/true"}, .user = "modelguard-nobody-here"}), ErrorKind::not_found);
}

TEST_F(ProcessTest, programs_are_looked_up_in_the_path_of_the_child) {
    const TempDir dir;
    std::ofstream(dir / "stub") << "#!/bin/sh\necho stub \"$@\"\n";
    std::filesystem::permissions(dir / "stub", std::filesystem::perms::owner_all);

    const ProcessEnd end =
        run({.argv = {"stub", "a b", ""}, .environment = {"PATH=relative::" + dir.path().native() + ":/bin"}});

    EXPECT_EQ(end.output, "stub a b \n");
}

TEST_F(ProcessTest, environment_is_minimal_and_later_entries_win) {
    ASSERT_EQ(::setenv("NOTIFY_SOCKET", "/run/secret", 1), 0);
    ASSERT_EQ(::setenv("MODELGUARD_TEST_SECRET", "x", 1), 0);

    const ProcessEnd end =
        run({.argv = {"/usr/bin/env"},
             .environment = {"LANG=de", "A=1", "A=2", "NOTIFY_SOCKET=/run/other", "no-assignment", "PATH=/only"}});

    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("MODELGUARD_TEST_SECRET");
    EXPECT_EQ(end.output, "LANG=de\nA=2\nPATH=/only\n");
}

TEST_F(ProcessTest, input_is_what_was_given_or_empty) {
    const TempDir dir;
    std::ofstream(dir / "input") << "from the file";
    EXPECT_EQ(run({.argv = {"/bin/cat"}, .input = Fd(::open((dir / "input").c_str(), O_RDONLY | O_CLOEXEC))}).output,
              "from the file");
    EXPECT_EQ(run({.argv = {"/bin/cat"}}).output, "");
}

TEST_F(ProcessTest, working_directory_is_the_root_unless_given) {
    EXPECT_EQ(shell("pwd").output, "/\n");
    EXPECT_EQ(run({.argv = {"/bin/pwd"}, .directory = "/usr"}).output, "/usr\n");
}

TEST_F(ProcessTest, no_descriptor_is_passed_on_not_even_without_cloexec) {
    const Fd leak(::fcntl(STDERR_FILENO, F_DUPFD, 77));  // deliberately without CLOEXEC
    ASSERT_TRUE(leak);
    EXPECT_EQ(run({.argv = {"/bin/ls", "/proc/self/fd"}}).output, "0\n1\n2\n3\n") << "3 is the directory it lists";
}

TEST_F(ProcessTest, signals_are_as_if_freshly_started) {
    const auto previous = std::signal(SIGPIPE, SIG_IGN);
    const ProcessEnd end = shell("grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr -d '\\n\\t'");
    std::signal(SIGPIPE, previous);
    EXPECT_EQ(end.output, "SigBlk:0000000000000000SigIgn:0000000000000000");
}

TEST_F(ProcessTest, child_leads_a_group_and_session_of_its_own) {
    const ProcessEnd end = shell("ps -o pid=,pgid=,sid= -p $$ 2>/dev/null || awk '{print $1,$5,$6}' /proc/$$/stat");
    std::istringstream words(end.output);
    pid_t pid = 0, group = 0, session = 0;
    ASSERT_TRUE(words >> pid >> group >> session) << end.output;
    EXPECT_EQ(group, pid);
    EXPECT_EQ(session, pid);
}

TEST_F(ProcessTest, another_user_brings_its_groups_and_loses_ours) {
    // Only root may change users; as anybody else the refusal is what there is to see.
    if (::geteuid() != 0) {
        EXPECT_EQ(refused({.argv = {"/usr/bin/id"}, .user = "root"}), ErrorKind::denied);
        return;
    }
    const passwd* nobody = ::getpwnam("nobody");
    ASSERT_NE(nobody, nullptr);
    const ProcessEnd end = run({.argv = {"/bin/sh", "-c", "id -u; id -g; id -G"}, .user = "nobody"});
    const std::string group = std::to_string(nobody->pw_gid);
    EXPECT_EQ(end.output, std::to_string(nobody->pw_uid) + "\n" + group + "\n" + group + "\n");
}

TEST_F(ProcessTest, our_own_user_needs_no_right) {
    const passwd* own = ::getpwuid(::geteuid());
    ASSERT_NE(own, nullptr);
    EXPECT_EQ(run({.argv = {"/usr/bin/id", "-u"}, .user = own->pw_name}).output, std::to_string(::geteuid()) + "\n");
}

TEST_F(ProcessTest, dropping_a_process_kills_its_group_reaps_it_and_is_silent) {
    const TempDir dir;
    const Path file = dir / "pid";
    bool called = false;
    Result<Process> process =
        spawn(*loop, {.argv = {"/bin/sh", "-c", "sleep 1000 & echo $! >" + file.native() + "; wait"}},
              [&](const ProcessEnd&) { called = true; });
    ASSERT_TRUE(process.has_value());
    const pid_t child = process->pid();
    const pid_t grandchild = pid_in(file);

    *process = Process();

    EXPECT_TRUE(dies(child));
    EXPECT_TRUE(dies(grandchild));
    EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD) << "a zombie is left";
    EXPECT_FALSE(called);
}

TEST_F(ProcessTest, callback_may_drop_its_process_and_start_another) {
    int ended = 0;
    Process process;
    std::function<void(ProcessEnd)> again = [&](const ProcessEnd& end) {
        EXPECT_TRUE(end.ok());
        if (++ended < 3) process = std::move(*spawn(*loop, {.argv = {"/bin/true"}}, again));
    };
    process = std::move(*spawn(*loop, {.argv = {"/bin/true"}}, again));
    EXPECT_TRUE(run_until(*loop, [&] { return ended == 3; }));
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(ProcessTest, child_does_not_outlive_a_killed_supervisor) {
    const TempDir dir;
    const Path file = dir / "pid";
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
        const auto own_loop = make_loop();
        const auto process =
            spawn(*own_loop, {.argv = {"/bin/sh", "-c", "echo $$ >" + file.native() + "; exec sleep 1000"}},
                  [](const ProcessEnd&) {});
        for (;;)
            ::pause();
    }
    const pid_t child = pid_in(file);

    ASSERT_EQ(::kill(supervisor, SIGKILL), 0);
    ASSERT_EQ(::waitpid(supervisor, nullptr, 0), supervisor);

    EXPECT_TRUE(dies(child));
}

}  // namespace
}  // namespace modelguard::sys::test
