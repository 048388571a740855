#pragma once
// Which system calls change files, and what each is about: the part of the fault tracer that knows Linux, not ptrace.
// A stopped process is looked at from outside, through /proc/PID and process_vm_readv.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace modelguard::fault {

enum class Kind { open, write, resize, rename, remove, mkdir, symlink, link, sync, mode, other };

/// The numbers to give to seccomp: everything that describe() may have an answer for.
std::span<const int> traced_calls();

struct Call {
    Kind kind{Kind::other};
    const char* name{""};
    int fd{-1};               ///< that it goes to; -1: it names paths
    std::string path;         ///< absolute; of `fd` where there is one
    std::string to;           ///< of a rename or link
    std::string target;       ///< of a symbolic link
    int flags{0};             ///< of open, renameat2
    unsigned mode{0};         ///< of open, mkdir, chmod
    std::int64_t offset{-1};  ///< of a write that names it; -1: the descriptor's own
    std::uint64_t size{0};    ///< of a write, the new size of a resize; of fallocate where it ends
    bool is_allocation{false};
    bool whole_file_system{false};  ///< syncfs, sync
    bool can_be_torn{false};        ///< its length is its third argument
    bool changes{true};             ///< false: an open for reading

    bool is_below(const std::string& directory) const;
    std::string text() const;  ///< for reports: "pwrite64 state.db-wal 4096@32"
};

/// What the call that `pid` is stopped before is about. nullopt: sockets, pipes, devices and other things without a
/// name; calls that touch no file.
std::optional<Call> describe(pid_t pid, std::uint64_t number, std::span<const std::uint64_t, 6> arguments);

}  // namespace modelguard::fault
