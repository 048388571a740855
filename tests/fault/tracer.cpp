// fault_tracer: runs a command and lets a fault hit it, or one of its children, at a chosen file-changing system call.
//
//   fault_tracer --state DIR [--allow DIR]… [--report FILE] [--log FILE] [--wait-for-signal]
//                [--at N --do FAULT [--named TEXT] [--lasting MS]] -- COMMAND …
//
// FAULT: kill-before, kill-after, torn (a write is cut in half, then kill); short (a write is cut in half and says so);
// ENOSPC, EDQUOT, EIO, EROFS, EMFILE (the call is not made and fails so). Only calls about files below DIR count, and
// of these only the ones that the fault can happen to; EMFILE counts every open. --named: only those whose text, as the
// report has it, holds TEXT. --lasting: from the N-th call on all of them fail for so many milliseconds. SIGUSR1:
// counting begins here (with
// --wait-for-signal nothing counts before). With --log SIGUSR2 writes a mark into the log. SIGTERM: everything is
// killed. A kill takes the whole tree of processes at once. The report: counts for each fault, what was hit, and calls
// that changed something outside DIR and the allowed directories.

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "tests/fault/calls.hpp"
#include "tests/fault/oplog.hpp"

namespace {

using namespace modelguard::fault;

volatile std::sig_atomic_t g_begin = 0, g_mark = 0, g_stop = 0;

struct Options {
    std::string state, report, log, fault, named;
    std::vector<std::string> allow;
    long at{0};
    std::chrono::milliseconds lasting{0};
    bool wait_for_signal{false};
    char** command{nullptr};
};

bool takes_space(const Call& call) {
    switch (call.kind) {
        case Kind::open: return (call.flags & O_CREAT) != 0;
        case Kind::write:
        case Kind::resize:
        case Kind::rename:
        case Kind::mkdir:
        case Kind::symlink:
        case Kind::link:
        case Kind::sync: return true;
        case Kind::remove:
        case Kind::mode:
        case Kind::other: return false;
    }
    return false;
}

struct Fault {
    const char* name;
    int error;  // 0: a kill
    bool (*can_hit)(const Call&);
};
constexpr std::array kFaults{
    Fault{"kill-before", 0, [](const Call& call) { return call.changes; }},
    Fault{"kill-after", 0, [](const Call& call) { return call.changes; }},
    Fault{"torn", 0, [](const Call& call) { return call.can_be_torn && call.size > 1; }},
    Fault{"short", 0, [](const Call& call) { return call.can_be_torn && call.size > 1; }},
    Fault{"ENOSPC", ENOSPC, [](const Call& call) { return call.changes && takes_space(call); }},
    Fault{"EDQUOT", EDQUOT, [](const Call& call) { return call.changes && takes_space(call); }},
    Fault{"EIO", EIO, [](const Call& call) { return call.changes; }},
    Fault{"EROFS", EROFS, [](const Call& call) { return call.changes && call.kind != Kind::sync; }},
    Fault{"EMFILE", EMFILE, [](const Call& call) { return call.kind == Kind::open; }},
};

class Tracer {
  public:
    explicit Tracer(const Options& options) : options_(options), log_(options.log), armed_(!options.wait_for_signal) {}
    bool start();
    void run();
    bool write_report() const;

  private:
    struct Running {
        Call call;
        OpLog::Before before;
        bool then_kill{false};
    };
    void stopped(pid_t pid, int status);
    void before_call(pid_t pid);
    void after_call(pid_t pid);
    void take_signals();
    bool is_hit(const Call& call);
    bool hit(pid_t pid, const Call& call);
    void kill_all();
    static void go_on(pid_t pid, int signal = 0) { ::ptrace(PTRACE_CONT, pid, 0, signal); }

    const Options& options_;
    OpLog log_;
    bool armed_;
    std::chrono::steady_clock::time_point well_again_;  // the end of a lasting fault
    bool killed_{false};
    std::set<pid_t> processes_;
    std::map<pid_t, Running> running_;
    std::array<long, kFaults.size()> counts_{};
    std::string hit_;
    std::vector<std::string> outside_;
};

void install_filter() {
    std::vector<sock_filter> code;
    const auto load = [&](std::size_t offset) {
        code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
    };
    const auto calls = traced_calls();
    load(offsetof(seccomp_data, arch));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    load(offsetof(seccomp_data, nr));
    for (std::size_t i = 0; i < calls.size(); ++i)
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(calls[i]),
                                static_cast<std::uint8_t>(calls.size() - i), 0));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        fmt::print(stderr, "fault_tracer: seccomp: {}\n", std::strerror(errno));
        ::_exit(127);
    }
}

bool Tracer::start() {
    int gate[2];
    if (::pipe2(gate, O_CLOEXEC) != 0) return false;
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) {
        char ready = 0;
        ::close(gate[1]);
        if (::read(gate[0], &ready, 1) != 1) ::_exit(127);  // the tracer has the child now
        install_filter();
        ::execvp(options_.command[0], options_.command);
        ::_exit(127);
    }
    constexpr long kPtraceOptions = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                    PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SEIZE, child, 0, kPtraceOptions) != 0) {
        fmt::print(stderr, "fault_tracer: ptrace: {}\n", std::strerror(errno));
        return false;
    }
    processes_.insert(child);
    const bool told = ::write(gate[1], "g", 1) == 1;
    ::close(gate[0]);
    ::close(gate[1]);
    return told;
}

void Tracer::take_signals() {
    if (g_begin != 0) {
        g_begin = 0;
        armed_ = true;
        counts_ = {};
    }
    if (g_mark != 0) {
        g_mark = 0;
        log_.mark();
    }
    if (g_stop != 0 && !killed_) kill_all();
}

void Tracer::run() {
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, __WALL);
        take_signals();
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) return;
        if (WIFSTOPPED(status)) {
            stopped(pid, status);
        } else {
            processes_.erase(pid);
            running_.erase(pid);
        }
    }
}

void Tracer::stopped(pid_t pid, int status) {
    processes_.insert(pid);
    if (killed_) {
        ::kill(pid, SIGKILL);
        return;
    }
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (event == PTRACE_EVENT_SECCOMP) return before_call(pid);
    if (signal == (SIGTRAP | 0x80)) return after_call(pid);
    go_on(pid, event != 0 ? 0 : signal);
}

bool Tracer::is_hit(const Call& call) {
    if (!options_.named.empty() && !call.text().contains(options_.named)) return false;
    const bool lasts = std::chrono::steady_clock::now() < well_again_;
    bool hits = false;
    for (std::size_t i = 0; i < kFaults.size(); ++i) {
        if (!kFaults[i].can_hit(call)) continue;
        ++counts_[i];
        if (options_.fault == kFaults[i].name) hits = counts_[i] == options_.at || lasts;
    }
    return hits;
}

void Tracer::before_call(pid_t pid) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_SECCOMP)
        return go_on(pid);
    std::array<std::uint64_t, 6> arguments{};
    std::copy_n(info.seccomp.args, arguments.size(), arguments.begin());
    const auto call = describe(pid, info.seccomp.nr, arguments);
    if (!call) return go_on(pid);
    if (!call->is_below(options_.state)) {
        const bool leads_there = options_.state.starts_with(call->path + "/");  // the directories above it are made
        const bool allowed = leads_there || std::ranges::any_of(options_.allow, [&](const std::string& place) {
                                 return call->is_below(place);
                             });
        if (call->changes && call->kind != Kind::sync && !allowed)
            outside_.push_back(call->text() + " in " + call->path);
        return go_on(pid);
    }
    if (!armed_) return go_on(pid);
    if (is_hit(*call) && hit(pid, *call)) return;
    if (!log_ || !call->changes) return go_on(pid);
    running_[pid] = {*call, log_.before(*call), false};
    ::ptrace(PTRACE_SYSCALL, pid, 0, 0);
}

/// Lets the fault happen; true: the process has been dealt with.
bool Tracer::hit(pid_t pid, const Call& call) {
    if (hit_.empty()) {
        hit_ = call.text();
        well_again_ = std::chrono::steady_clock::now() + options_.lasting;
    }
    if (options_.fault == "kill-before") {
        kill_all();
        return true;
    }
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, pid, 0, &registers);
    for (const Fault& fault : kFaults) {
        if (fault.error == 0 || options_.fault != fault.name) continue;
        registers.orig_rax = static_cast<unsigned long long>(-1);  // no call
        registers.rax = static_cast<unsigned long long>(-fault.error);
        ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
        go_on(pid);
        return true;
    }
    const bool is_short = options_.fault == "short";
    if (is_short || options_.fault == "torn") {
        registers.rdx /= 2;
        ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    }
    running_[pid] = {call, log_.before(call), !is_short};
    ::ptrace(PTRACE_SYSCALL, pid, 0, 0);
    return true;
}

void Tracer::after_call(pid_t pid) {
    const auto found = running_.find(pid);
    if (found == running_.end()) return go_on(pid);
    const Running done = found->second;
    running_.erase(found);
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_EXIT)
        log_.after(pid, done.call, done.before, info.exit.rval);
    if (done.then_kill) return kill_all();
    go_on(pid);
}

/// SIGKILL also to who is stopped before a call: the kernel then leaves the call out.
void Tracer::kill_all() {
    killed_ = true;
    for (const pid_t pid : processes_)
        ::kill(pid, SIGKILL);
}

bool Tracer::write_report() const {
    if (options_.report.empty()) return true;
    std::FILE* file = std::fopen(options_.report.c_str(), "we");
    if (file == nullptr) return false;
    fmt::print(file, "{{\"hit\": \"{}\", \"counts\": {{", hit_);
    for (std::size_t i = 0; i < kFaults.size(); ++i)
        fmt::print(file, "{}\"{}\": {}", i == 0 ? "" : ", ", kFaults[i].name, counts_[i]);
    fmt::print(file, "}}, \"outside\": [");
    for (std::size_t i = 0; i < outside_.size(); ++i)
        fmt::print(file, "{}\"{}\"", i == 0 ? "" : ", ", outside_[i]);
    fmt::print(file, "]}}\n");
    return std::fclose(file) == 0;
}

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const bool has_value = i + 1 < argc;
        if (option == "--" && has_value) {
            options.command = argv + i + 1;
            break;
        }
        if (option == "--wait-for-signal") {
            options.wait_for_signal = true;
        } else if (!has_value) {
            return std::nullopt;
        } else if (const char* value = argv[++i]; option == "--state") {
            options.state = value;
        } else if (option == "--allow") {
            options.allow.emplace_back(value);
        } else if (option == "--report") {
            options.report = value;
        } else if (option == "--log") {
            options.log = value;
        } else if (option == "--do") {
            options.fault = value;
        } else if (option == "--named") {
            options.named = value;
        } else if (option == "--at") {
            options.at = std::strtol(value, nullptr, 10);
        } else if (option == "--lasting") {
            options.lasting = std::chrono::milliseconds(std::strtol(value, nullptr, 10));
        } else {
            return std::nullopt;
        }
    }
    const bool known =
        std::any_of(kFaults.begin(), kFaults.end(), [&](const Fault& f) { return options.fault == f.name; });
    if (options.state.empty() || options.command == nullptr || known != (options.at > 0)) return std::nullopt;
    return options;
}

void on_signal(int signal, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;  // no SA_RESTART: waitpid() returns
    ::sigaction(signal, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
    const auto options = parse(argc, argv);
    if (!options) {
        fmt::print(stderr, "usage: see the head of tests/fault/tracer.cpp\n");
        return 2;
    }
    on_signal(SIGUSR1, [](int) { g_begin = 1; });
    on_signal(SIGUSR2, [](int) { g_mark = 1; });
    on_signal(SIGTERM, [](int) { g_stop = 1; });
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    Tracer tracer(*options);
    if (!tracer.start()) return 127;
    tracer.run();
    return tracer.write_report() ? 0 : 1;
}
