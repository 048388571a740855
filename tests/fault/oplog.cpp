#include "tests/fault/oplog.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstring>

namespace modelguard::fault {

namespace {

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += std::string("\\") + c;
        else if (static_cast<unsigned char>(c) < 0x20)
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + "\"";
}

struct stat stat_of(const std::string& path, int flags = AT_SYMLINK_NOFOLLOW) {
    struct stat found{};
    if (::fstatat(AT_FDCWD, path.c_str(), &found, flags) != 0) found.st_ino = 0;
    return found;
}

ino_t inode(const std::string& path) { return stat_of(path).st_ino; }

/// "dir":INO,"name":"NAME"
std::string place(const std::string& path, const char* suffix = "") {
    const std::size_t slash = path.find_last_of('/');
    return fmt::format("\"dir{0}\":{1},\"name{0}\":{2}", suffix, inode(path.substr(0, slash)),
                       quoted(path.substr(slash + 1)));
}

std::string by_handle(pid_t pid, int fd) { return fmt::format("/proc/{}/fd/{}", pid, fd); }

std::uint64_t position(pid_t pid, int fd) {
    const std::string name = fmt::format("/proc/{}/fdinfo/{}", pid, fd);
    std::FILE* file = std::fopen(name.c_str(), "re");
    std::uint64_t at = 0;
    if (file == nullptr) return 0;
    if (std::fscanf(file, "pos: %" SCNu64, &at) != 1) at = 0;
    std::fclose(file);
    return at;
}

}  // namespace

OpLog::OpLog(const std::string& file) {
    if (file.empty()) return;
    file_ = std::fopen(file.c_str(), "we");
    if (file_ == nullptr) fmt::print(stderr, "fault_tracer: {}: {}\n", file, std::strerror(errno));
}

OpLog::~OpLog() {
    if (file_ != nullptr) std::fclose(file_);
}

void OpLog::line(const std::string& text) {
    std::fputs(text.c_str(), file_);
    std::fputc('\n', file_);
    std::fflush(file_);
}

void OpLog::mark() {
    if (file_ != nullptr) line(fmt::format(R"({{"op":"mark","number":{}}})", ++marks_));
}

OpLog::Before OpLog::before(const Call& call) const {
    if (file_ == nullptr || call.fd >= 0) return {};
    const struct stat found = stat_of(call.path);
    return {.existed = found.st_ino != 0, .size = static_cast<std::uint64_t>(found.st_size)};
}

void OpLog::opened(const Call& call, const Before& before) {
    if (!before.existed && (call.flags & O_CREAT) != 0) {
        const struct stat made = stat_of(call.path);
        return line(fmt::format(R"({{"op":"create",{},"ino":{},"mode":{}}})", place(call.path), made.st_ino,
                                made.st_mode & 07777));
    }
    if ((call.flags & O_TRUNC) != 0 && before.size > 0)
        line(fmt::format(R"({{"op":"resize","ino":{},"size":0}})", inode(call.path)));
}

/// What was written is read back: that is the same for every call that writes.
void OpLog::wrote(pid_t pid, const Call& call, std::uint64_t count) {
    const std::string handle = by_handle(pid, call.fd);
    const std::uint64_t offset =
        call.offset >= 0 ? static_cast<std::uint64_t>(call.offset) : position(pid, call.fd) - count;
    const int fd = ::open(handle.c_str(), O_RDONLY | O_CLOEXEC);
    std::string hex;
    std::array<unsigned char, 4096> part{};
    for (std::uint64_t done = 0; done < count;) {
        const ssize_t got = ::pread(fd, part.data(), std::min<std::uint64_t>(part.size(), count - done),
                                    static_cast<off_t>(offset + done));
        if (got <= 0) {
            fmt::print(stderr, "fault_tracer: {}: what was written cannot be read back\n", call.path);
            break;
        }
        for (ssize_t i = 0; i < got; ++i)
            hex += fmt::format("{:02x}", part[static_cast<std::size_t>(i)]);
        done += static_cast<std::uint64_t>(got);
    }
    ::close(fd);
    line(fmt::format(R"({{"op":"write","ino":{},"offset":{},"data":"{}"}})", stat_of(handle, 0).st_ino, offset, hex));
}

void OpLog::after(pid_t pid, const Call& call, const Before& before, std::int64_t result) {
    if (file_ == nullptr || result < 0) return;
    const ino_t ino = call.fd >= 0 ? stat_of(by_handle(pid, call.fd), 0).st_ino : inode(call.path);
    switch (call.kind) {
        case Kind::open: return opened(call, before);
        case Kind::write: return wrote(pid, call, static_cast<std::uint64_t>(result));
        case Kind::resize: {
            const struct stat now = call.fd >= 0 ? stat_of(by_handle(pid, call.fd), 0) : stat_of(call.path);
            return line(fmt::format(R"({{"op":"resize","ino":{},"size":{}}})", ino, now.st_size));
        }
        case Kind::rename:
            return line(fmt::format(R"({{"op":"rename",{},{},"ino":{},"back":{}}})", place(call.path),
                                    place(call.to, "2"), inode(call.to),
                                    (call.flags & RENAME_EXCHANGE) != 0 ? inode(call.path) : 0));
        case Kind::remove: return line(fmt::format(R"({{"op":"remove",{}}})", place(call.path)));
        case Kind::mkdir: {
            const struct stat made = stat_of(call.path);
            return line(
                fmt::format(R"({{"op":"mkdir",{},"ino":{},"mode":{}}})", place(call.path), ino, made.st_mode & 07777));
        }
        case Kind::symlink:
            return line(fmt::format(R"({{"op":"symlink",{},"ino":{},"target":{}}})", place(call.path), ino,
                                    quoted(call.target)));
        case Kind::link: return line(fmt::format(R"({{"op":"link",{},"ino":{}}})", place(call.to), inode(call.to)));
        case Kind::sync:
            if (call.whole_file_system) return line(R"({"op":"sync_all"})");
            return line(fmt::format(R"({{"op":"sync","ino":{}}})", ino));
        case Kind::mode: return line(fmt::format(R"({{"op":"mode","ino":{},"mode":{}}})", ino, call.mode & 07777));
        case Kind::other: return;
    }
}

}  // namespace modelguard::fault
