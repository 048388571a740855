#include "tests/fault/calls.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>

namespace modelguard::fault {

namespace {

constexpr std::array kTraced{
    SYS_open,      SYS_openat,    SYS_openat2,   SYS_creat,    SYS_write,           SYS_pwrite64,        SYS_writev,
    SYS_pwritev,   SYS_pwritev2,  SYS_ftruncate, SYS_truncate, SYS_fallocate,       SYS_rename,          SYS_renameat,
    SYS_renameat2, SYS_unlink,    SYS_unlinkat,  SYS_mkdir,    SYS_mkdirat,         SYS_rmdir,           SYS_symlink,
    SYS_symlinkat, SYS_link,      SYS_linkat,    SYS_fsync,    SYS_fdatasync,       SYS_sync_file_range, SYS_syncfs,
    SYS_sync,      SYS_chmod,     SYS_fchmod,    SYS_fchmodat, SYS_copy_file_range, SYS_sendfile,        SYS_utimensat,
    SYS_setxattr,  SYS_lsetxattr, SYS_fsetxattr, SYS_chown,    SYS_fchown,          SYS_fchownat,        SYS_lchown,
    SYS_mknod,     SYS_mknodat,
};

class Process {
  public:
    explicit Process(pid_t pid) : pid_(pid) {}

    std::string text_at(std::uint64_t address) const {
        std::string text;
        std::array<char, 256> part{};
        while (text.size() < PATH_MAX) {
            // Not over the end of a page: the next one may not be there.
            const std::size_t room = std::min<std::size_t>(part.size(), 4096 - (address + text.size()) % 4096);
            const iovec local{part.data(), room};
            const iovec remote{reinterpret_cast<void*>(address + text.size()), room};
            const ssize_t count = ::process_vm_readv(pid_, &local, 1, &remote, 1, 0);
            if (count <= 0) return {};
            const std::string_view read(part.data(), static_cast<std::size_t>(count));
            const std::size_t end = read.find('\0');
            text += read.substr(0, end);
            if (end != std::string_view::npos) return text;
        }
        return {};
    }

    std::uint64_t word_at(std::uint64_t address) const {
        std::uint64_t word = 0;
        const iovec local{&word, sizeof word};
        const iovec remote{reinterpret_cast<void*>(address), sizeof word};
        return ::process_vm_readv(pid_, &local, 1, &remote, 1, 0) == sizeof word ? word : 0;
    }

    std::string link(const std::string& name) const {
        std::error_code error;
        return std::filesystem::read_symlink(fmt::format("/proc/{}/{}", pid_, name), error).string();
    }

    /// Absolute; a final link is not followed, as none of the calls here that create, rename or remove follows one.
    std::string path_at(std::uint64_t directory, std::uint64_t address) const {
        const std::string path = text_at(address);
        constexpr std::string_view kByHandle = "/proc/self/fd/";
        if (path.starts_with(kByHandle)) return link("fd/" + path.substr(kByHandle.size()));
        if (path.starts_with('/')) return std::filesystem::path(path).lexically_normal().string();
        const int fd = static_cast<int>(directory);
        const std::string base = fd == AT_FDCWD ? link("cwd") : link("fd/" + std::to_string(fd));
        return (std::filesystem::path(base) / path).lexically_normal().string();
    }

  private:
    pid_t pid_;
};

class Describer {
  public:
    Describer(pid_t pid, std::span<const std::uint64_t, 6> arguments) : process_(pid), a_(arguments) {}

    Call open(const char* name, std::uint64_t directory, std::size_t path, std::uint64_t flags, std::uint64_t mode) {
        Call call = at(Kind::open, name, directory, path);
        call.flags = static_cast<int>(flags);
        call.mode = static_cast<unsigned>(mode);
        call.changes = (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
        return call;
    }
    Call at(Kind kind, const char* name, std::uint64_t directory, std::size_t path) {
        Call call{.kind = kind, .name = name};
        call.path = process_.path_at(directory, a_[path]);
        return call;
    }
    Call between(Kind kind, const char* name, std::uint64_t from, std::size_t path, std::uint64_t to,
                 std::size_t to_path) {
        Call call = at(kind, name, from, path);
        call.to = process_.path_at(to, a_[to_path]);
        return call;
    }
    Call fd(Kind kind, const char* name, std::size_t index = 0) {
        Call call{.kind = kind, .name = name};
        call.fd = static_cast<int>(a_[index]);
        call.path = process_.link("fd/" + std::to_string(call.fd));
        return call;
    }
    Call write(const char* name, bool has_offset) {
        Call call = fd(Kind::write, name);
        if (has_offset) call.offset = static_cast<std::int64_t>(a_[3]);
        return call;
    }
    Call plain_write(const char* name, bool has_offset) {
        Call call = write(name, has_offset);
        call.size = a_[2];
        call.can_be_torn = true;
        return call;
    }
    Call with_mode(Call call, std::uint64_t mode) {
        call.mode = static_cast<unsigned>(mode);
        return call;
    }

    std::optional<Call> describe(std::uint64_t number);

  private:
    Process process_;
    std::span<const std::uint64_t, 6> a_;
};

constexpr auto kHere = static_cast<std::uint64_t>(AT_FDCWD);

std::optional<Call> Describer::describe(std::uint64_t number) {
    switch (number) {
        case SYS_open: return open("open", kHere, 0, a_[1], a_[2]);
        case SYS_creat: return open("creat", kHere, 0, O_CREAT | O_TRUNC | O_WRONLY, a_[1]);
        case SYS_openat: return open("openat", a_[0], 1, a_[2], a_[3]);
        case SYS_openat2: return open("openat2", a_[0], 1, process_.word_at(a_[2]), process_.word_at(a_[2] + 8));
        case SYS_write: return plain_write("write", false);
        case SYS_pwrite64: return plain_write("pwrite64", true);
        case SYS_writev: return write("writev", false);
        case SYS_pwritev: return write("pwritev", true);
        case SYS_pwritev2: return write("pwritev2", true);
        case SYS_sendfile: return write("sendfile", false);
        case SYS_copy_file_range: return fd(Kind::write, "copy_file_range", 2);
        case SYS_ftruncate: {
            Call call = fd(Kind::resize, "ftruncate");
            call.size = a_[1];
            return call;
        }
        case SYS_truncate: {
            Call call = at(Kind::resize, "truncate", kHere, 0);
            call.size = a_[1];
            return call;
        }
        case SYS_fallocate: {
            Call call = fd(Kind::resize, "fallocate");
            call.size = (a_[1] & FALLOC_FL_KEEP_SIZE) != 0 ? 0 : a_[2] + a_[3];
            call.is_allocation = true;
            return call;
        }
        case SYS_rename: return between(Kind::rename, "rename", kHere, 0, kHere, 1);
        case SYS_renameat: return between(Kind::rename, "renameat", a_[0], 1, a_[2], 3);
        case SYS_renameat2: {
            Call call = between(Kind::rename, "renameat2", a_[0], 1, a_[2], 3);
            call.flags = static_cast<int>(a_[4]);
            return call;
        }
        case SYS_link: return between(Kind::link, "link", kHere, 0, kHere, 1);
        case SYS_linkat: return between(Kind::link, "linkat", a_[0], 1, a_[2], 3);
        case SYS_unlink: return at(Kind::remove, "unlink", kHere, 0);
        case SYS_unlinkat: return at(Kind::remove, "unlinkat", a_[0], 1);
        case SYS_rmdir: return at(Kind::remove, "rmdir", kHere, 0);
        case SYS_mkdir: return with_mode(at(Kind::mkdir, "mkdir", kHere, 0), a_[1]);
        case SYS_mkdirat: return with_mode(at(Kind::mkdir, "mkdirat", a_[0], 1), a_[2]);
        case SYS_symlink:
        case SYS_symlinkat: {
            const bool relative = number == SYS_symlinkat;
            Call call = relative ? at(Kind::symlink, "symlinkat", a_[1], 2) : at(Kind::symlink, "symlink", kHere, 1);
            call.target = process_.text_at(a_[0]);
            return call;
        }
        case SYS_fsync: return fd(Kind::sync, "fsync");
        case SYS_fdatasync: return fd(Kind::sync, "fdatasync");
        case SYS_sync_file_range: return fd(Kind::other, "sync_file_range");  // writes back; promises nothing
        case SYS_syncfs: {
            Call call = fd(Kind::sync, "syncfs");
            call.whole_file_system = true;
            return call;
        }
        case SYS_chmod: return with_mode(at(Kind::mode, "chmod", kHere, 0), a_[1]);
        case SYS_fchmod: return with_mode(fd(Kind::mode, "fchmod"), a_[1]);
        case SYS_fchmodat: return with_mode(at(Kind::mode, "fchmodat", a_[0], 1), a_[2]);
        case SYS_utimensat: return a_[1] == 0 ? fd(Kind::other, "utimensat") : at(Kind::other, "utimensat", a_[0], 1);
        case SYS_setxattr: return at(Kind::other, "setxattr", kHere, 0);
        case SYS_lsetxattr: return at(Kind::other, "lsetxattr", kHere, 0);
        case SYS_fsetxattr: return fd(Kind::other, "fsetxattr");
        case SYS_chown: return at(Kind::other, "chown", kHere, 0);
        case SYS_lchown: return at(Kind::other, "lchown", kHere, 0);
        case SYS_fchown: return fd(Kind::other, "fchown");
        case SYS_fchownat: return at(Kind::other, "fchownat", a_[0], 1);
        case SYS_mknod: return at(Kind::other, "mknod", kHere, 0);
        case SYS_mknodat: return at(Kind::other, "mknodat", a_[0], 1);
        case SYS_sync: return Call{.kind = Kind::sync, .name = "sync", .path = "/", .whole_file_system = true};
        default: return std::nullopt;
    }
}

}  // namespace

std::span<const int> traced_calls() { return kTraced; }

bool Call::is_below(const std::string& directory) const {
    const auto below = [&](const std::string& at) { return at == directory || at.starts_with(directory + "/"); };
    return below(path) || (!to.empty() && below(to));
}

std::string Call::text() const {
    const auto base = [](const std::string& at) { return at.substr(at.find_last_of('/') + 1); };
    std::string line = fmt::format("{} {}", name, base(path));
    if (!to.empty()) line += " to " + base(to);
    if (!target.empty()) line += " -> " + target;
    if (kind == Kind::write) line += fmt::format(" {}@{}", size, offset);
    return line;
}

std::optional<Call> describe(pid_t pid, std::uint64_t number, std::span<const std::uint64_t, 6> arguments) {
    auto call = Describer(pid, arguments).describe(number);
    if (!call || !call->path.starts_with('/') || call->path.starts_with("/dev/null") ||
        call->path.starts_with("/memfd:") || call->path.starts_with("/proc/"))
        return std::nullopt;
    return call;
}

}  // namespace modelguard::fault
