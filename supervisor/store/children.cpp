// Entry points of the child processes, and how their end is read.

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>

#include "supervisor/store/child_exit.hpp"
#include "supervisor/store/import_stream.hpp"
#include "supervisor/store/tree.hpp"
#include "supervisor/store/version_json.hpp"

namespace modelguard::store {

namespace {

/// What a child that reads outside bytes does not need. Whatever fails here is not worth refusing the work for.
void give_up_rights() {
    constexpr rlim_t kDescriptors = 256;  // one for each level of a tree and a handful besides
    const rlimit descriptors{kDescriptors, kDescriptors};
    const rlimit no_core{0, 0};  // a core would hold a customer's model
    std::ignore = ::setrlimit(RLIMIT_NOFILE, &descriptors);
    std::ignore = ::setrlimit(RLIMIT_CORE, &no_core);
    std::ignore = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    std::ignore = ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::umask(077);
}

/// A trial may be under way, and its latencies must not be ours.
void be_nice() {
    constexpr int kNiceness = 10;
    std::ignore = ::setpriority(PRIO_PROCESS, 0, kNiceness);
}

/// Takes what nobody else wants, of the CPU and of the disk. What the system refuses of it costs others some of theirs.
void be_idle() {
    constexpr int kLeastNiceness = 19;
    constexpr int kIoOfThisProcess = 1;    // IOPRIO_WHO_PROCESS
    constexpr int kIoClassIdle = 3 << 13;  // IOPRIO_CLASS_IDLE; the C library has no names for these
    const sched_param none{};
    std::ignore = ::setpriority(PRIO_PROCESS, 0, kLeastNiceness);
    std::ignore = ::sched_setscheduler(0, SCHED_IDLE, &none);
    std::ignore = ::syscall(SYS_ioprio_set, kIoOfThisProcess, 0, kIoClassIdle);
}

/// The arguments behind `option`, wherever main() put it.
std::span<char*> arguments_after(int argc, char** argv, const char* option) {
    for (int at = 0; at < argc && at < 2; ++at)
        if (std::strcmp(argv[at], option) == 0) return {argv + at + 1, argv + argc};
    return {argv + argc, std::size_t{0}};
}

template <class Number>
bool read_number(const char* text, Number& into) {
    const char* end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, into);
    return error == std::errc{} && stopped == end;
}

int print(const std::string& json) {
    if (std::fwrite(json.data(), 1, json.size(), stdout) != json.size() || std::fflush(stdout) != 0)
        return report_error(errno_error("write the answer", errno));
    return exit_ok;
}

int usage(const char* option) {
    std::fprintf(stderr, "%s: wrong arguments\n", option);
    return exit_usage;
}

}  // namespace

int report_error(const Error& error) {
    std::fprintf(stderr, "%s\n", error.what.c_str());
    if (error.kind == ErrorKind::invalid_config || error.kind == ErrorKind::not_found) return exit_refused;
    return error.sys_errno == ENOSPC || error.sys_errno == EDQUOT ? exit_no_space : exit_io;
}

Error error_of_child(const sys::ProcessEnd& end, const std::string& what) {
    std::string line = end.error_output.substr(0, end.error_output.find('\n'));
    if (end.timed_out) return {ErrorKind::timed_out, what + ": " + end.describe(), 0};
    if (line.empty() || end.signal != 0) return {ErrorKind::unavailable, what + ": " + end.describe(), 0};
    switch (end.exit_status) {
        case exit_refused: return {ErrorKind::invalid_config, line, 0};
        case exit_no_space: return {ErrorKind::io, line, ENOSPC};
        case exit_io: return {ErrorKind::io, line, EIO};
        default: return {ErrorKind::internal, what + ": " + line, 0};
    }
}

int run_import_child(int argc, char** argv) try {
    const auto arguments = arguments_after(argc, argv, "--child-import");
    ImportLimits limits;
    if (arguments.size() != 7 || !read_number(arguments[1], limits.max_bytes) ||
        !read_number(arguments[2], limits.max_entries) || !read_number(arguments[3], limits.max_ratio) ||
        !read_number(arguments[4], limits.max_path) || !read_number(arguments[5], limits.max_depth) ||
        !read_number(arguments[6], limits.reserve_bytes) || limits.max_ratio == 0)
        return usage("--child-import");
    give_up_rights();
    be_nice();

    const sys::Path tree = arguments[0];
    Result<VersionInfo> info = import_stream(STDIN_FILENO, tree, limits);
    if (!info) {
        std::ignore = sys::remove_tree(tree);  // the daemon does it again; here it does not cost the loop's time
        return report_error(info.error());
    }
    return print(version_info_to_json(*info));
} catch (const std::exception& error) {
    return report_error({ErrorKind::internal, error.what(), 0});
}

int run_remove_child(int argc, char** argv) try {
    const auto arguments = arguments_after(argc, argv, "--child-remove");
    if (arguments.size() != 1) return usage("--child-remove");
    give_up_rights();
    be_nice();
    const Result<void> removed = sys::remove_tree(arguments[0]);
    return removed ? exit_ok : report_error(removed.error());
} catch (const std::exception& error) {
    return report_error({ErrorKind::internal, error.what(), 0});
}

int run_hash_child(int argc, char** argv) try {
    const auto arguments = arguments_after(argc, argv, "--child-hash");
    const bool idle = arguments.size() == 2 && std::strcmp(arguments[1], "idle") == 0;
    if (arguments.size() != 1 && !idle) return usage("--child-hash");
    give_up_rights();
    if (idle) be_idle();
    Result<TreeContent> content = read_tree(arguments[0]);
    if (!content) {
        // A file that the medium no longer gives back is not intact, whatever it would have held.
        if (content.error().sys_errno == EIO) content.error().kind = ErrorKind::invalid_config;
        return report_error(content.error());
    }
    const nlohmann::json answer{{"digest", content->digest.text},
                                {"stamps", stamps_to_json(std::move(content->stamps))}};
    return print(answer.dump());
} catch (const std::exception& error) {
    return report_error({ErrorKind::internal, error.what(), 0});
}

}  // namespace modelguard::store
