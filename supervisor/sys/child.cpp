#include "supervisor/sys/child.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <tuple>

namespace modelguard::sys {

namespace {
constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Identity {
    uid_t uid{0};
    gid_t gid{0};
    std::vector<gid_t> groups;
};

// Everything the child needs, made before fork(): between fork and exec only async-signal-safe calls are allowed.
struct Plan {
    std::string program;
    std::vector<char*> argv;
    std::vector<char*> environment;
    const char* directory{"/"};
    std::optional<Identity> identity;
    int input{-1}, output{-1}, error_output{-1}, report{-1};
    pid_t parent{0};
};

// How the child tells its parent that it did not get as far as the program.
struct Failure {
    int step{0};
    int sys_errno{0};
};
enum Step { step_files, step_directory, step_identity, step_exec };
constexpr std::array kStepNames{"connect standard files", "change directory", "change user", "execute"};

void name_of(const std::string& assignment, std::string& name) {
    name = assignment.substr(0, assignment.find('=') + 1);
}

// Later assignments win; the service manager's socket is ours alone.
std::vector<std::string> make_environment(const std::vector<std::string>& wanted) {
    const char* path = std::getenv("PATH");
    std::vector<std::string> result{"PATH=" + (path && *path ? std::string(path) : std::string(kDefaultPath)),
                                    "LANG=C.UTF-8"};
    std::string name;
    for (const std::string& assignment : wanted) {
        name_of(assignment, name);
        if (name.size() < 2 || name == "NOTIFY_SOCKET=") continue;
        std::erase_if(result, [&](const std::string& present) { return present.starts_with(name); });
        result.push_back(assignment);
    }
    return result;
}

Result<std::string> find_program(const std::string& word, const std::vector<std::string>& environment) {
    if (word.empty()) return fail(ErrorKind::invalid_config, "no program is named");
    if (word.find('/') != std::string::npos) return word;
    constexpr std::string_view kPathName = "PATH=";
    std::string_view rest;
    for (const std::string& assignment : environment)
        if (assignment.starts_with(kPathName)) rest = std::string_view(assignment).substr(kPathName.size());
    while (!rest.empty()) {
        const std::string_view folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        if (!folder.starts_with('/')) continue;  // a relative entry would depend on where we happen to stand
        std::string candidate = std::string(folder) + "/" + word;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return fail(ErrorKind::not_found, "no program '" + word + "' in PATH");
}

Result<std::optional<Identity>> find_identity(const std::string& user) {
    if (user.empty()) return std::nullopt;
    constexpr std::size_t kRecordBytes = 16u << 10;  // a passwd line; longer ones do not occur
    std::vector<char> buffer(kRecordBytes);
    passwd record{};
    passwd* found = nullptr;
    const int r = ::getpwnam_r(user.c_str(), &record, buffer.data(), buffer.size(), &found);
    if (r != 0 && r != ENOENT && r != ESRCH) return fail_errno("look up user " + user, r);
    if (!found) return fail(ErrorKind::not_found, "no user '" + user + "' on this device");
    if (found->pw_uid == ::geteuid() && found->pw_uid == ::getuid()) return std::nullopt;
    Identity identity{found->pw_uid, found->pw_gid, {}};
    int count = 64;  // NGROUPS_MAX is 65536; the call says how many there are
    identity.groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(user.c_str(), found->pw_gid, identity.groups.data(), &count) < 0) {
        identity.groups.resize(static_cast<std::size_t>(count));
        if (::getgrouplist(user.c_str(), found->pw_gid, identity.groups.data(), &count) < 0)
            return fail(ErrorKind::io, "cannot list the groups of " + user);
    }
    identity.groups.resize(static_cast<std::size_t>(count));
    return identity;
}

// Above 2, so that the child's dup2() calls cannot overwrite one of its own sources.
Result<Fd> above_standard(Fd fd) {
    if (fd.get() > STDERR_FILENO) return fd;
    const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0) return fail_errno("duplicate descriptor", errno);
    return Fd(moved);
}

struct Pipe {
    Fd read_end;
    Fd write_end;
};
Result<Pipe> make_pipe(bool nonblocking_read) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make pipe", errno);
    Pipe pipe{Fd(ends[0]), Fd(ends[1])};
    // Only our end: the program expects an ordinary, blocking standard output.
    if (nonblocking_read && ::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0)
        return fail_errno("set up pipe", errno);
    MG_TRY(pipe.read_end, above_standard(std::move(pipe.read_end)));
    MG_TRY(pipe.write_end, above_standard(std::move(pipe.write_end)));
    return pipe;
}

[[noreturn]] void give_up(const Plan& plan, Step step) {
    const Failure failure{step, errno};
    std::ignore = ::write(plan.report, &failure, sizeof failure);
    ::_exit(127);
}

void reset_signals() {
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number)
        std::ignore = ::sigaction(number, &plain, nullptr);  // KILL, STOP: EINVAL
    sigset_t none;
    sigemptyset(&none);
    std::ignore = ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void run_child(const Plan& plan) {
    ::setsid();  // own session and group: one kill reaches all, and a terminal's Ctrl-C does not
    reset_signals();
    if (::dup2(plan.input, STDIN_FILENO) < 0 || ::dup2(plan.output, STDOUT_FILENO) < 0 ||
        ::dup2(plan.error_output, STDERR_FILENO) < 0)
        give_up(plan, step_files);
    // All of ours are CLOEXEC; a library's, or one we inherited, may not be. Kernels before 5.11 do without.
    std::ignore = ::syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, CLOSE_RANGE_CLOEXEC);
    if (plan.identity) {
        const Identity& who = *plan.identity;
        if (::setgroups(who.groups.size(), who.groups.data()) != 0 || ::setresgid(who.gid, who.gid, who.gid) != 0 ||
            ::setresuid(who.uid, who.uid, who.uid) != 0)
            give_up(plan, step_identity);
    }
    if (::chdir(plan.directory) != 0) give_up(plan, step_directory);
    // A killed supervisor starts over; what it was waiting for must not go on behind its back. After setresuid(), which
    // clears it; and the parent may be gone already.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent) ::_exit(127);
    ::execve(plan.program.c_str(), plan.argv.data(), plan.environment.data());
    give_up(plan, step_exec);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (std::string& word : words)
        result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

// Nothing to read: the exec has closed the pipe, the program runs.
Result<void> wait_for_exec(int report, const Plan& plan) {
    Failure failure;
    ssize_t count = 0;
    do {
        count = ::read(report, &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    if (count != sizeof failure) return {};
    const bool about_directory = failure.step == step_directory;
    return fail_errno(std::string(kStepNames.at(static_cast<std::size_t>(failure.step))) + " " +
                          (about_directory ? plan.directory : plan.program.c_str()),
                      failure.sys_errno);
}
}  // namespace

Result<Child> start_child(ProcessSpec& spec) {
    if (spec.argv.empty()) return fail(ErrorKind::invalid_config, "no program is named");
    std::vector<std::string> environment = make_environment(spec.environment);
    Plan plan;
    MG_TRY(plan.program, find_program(spec.argv.front(), environment));
    MG_TRY(plan.identity, find_identity(spec.user));
    plan.argv = pointers(spec.argv);
    plan.environment = pointers(environment);
    if (!spec.directory.empty()) plan.directory = spec.directory.c_str();

    if (!spec.input) spec.input = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!spec.input) return fail_errno("open /dev/null", errno);
    MG_TRY(const Fd input, above_standard(std::move(spec.input)));
    MG_TRY(Pipe output, make_pipe(true));
    Pipe error_output;
    if (spec.separate_stdout) {
        MG_TRY(error_output, make_pipe(true));
    }
    MG_TRY(Pipe report, make_pipe(false));
    plan.input = input.get();
    plan.output = output.write_end.get();
    plan.error_output = spec.separate_stdout ? error_output.write_end.get() : plan.output;
    plan.report = report.write_end.get();
    plan.parent = ::getpid();

    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork", errno);
    if (pid == 0) run_child(plan);

    report.write_end.reset();
    Result<void> started = wait_for_exec(report.read_end.get(), plan);
    Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (started && !pidfd) started = fail_errno("watch child", errno);
    if (!started) {
        std::ignore = ::kill(-pid, SIGKILL);
        std::ignore = ::waitpid(pid, nullptr, 0);
        return std::unexpected(std::move(started).error());
    }
    return Child{pid, std::move(pidfd), std::move(output.read_end), std::move(error_output.read_end)};
}

void reap_later(Loop& loop, pid_t pid) {
    // Floating: the loop owns the source; sd-event reaps the child after the callback.
    std::ignore = sd_event_add_child(
        loop.raw(), nullptr, pid, WEXITED, [](sd_event_source*, const siginfo_t*, void*) { return 0; }, nullptr);
}

}  // namespace modelguard::sys
