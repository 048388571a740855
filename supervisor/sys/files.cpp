#include "supervisor/sys/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <tuple>
#include <vector>

// Every function that replaces something works relative to a descriptor of the directory that it fsyncs at the end: the
// directory is opened first, so that running out of descriptors cannot strike between the rename and its fsync.

namespace modelguard::sys {

namespace {
template <class Call>
auto retry_interrupted(Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

std::unexpected<Error> failed(const char* verb, const Path& path, int sys_errno) {
    return fail_errno(std::string(verb) + " " + path.native(), sys_errno);
}

// On Linux a close() that was interrupted has closed; every other error may be a lost write.
Result<void> close_checked(Fd& fd, const Path& path) {
    if (::close(fd.release()) != 0 && errno != EINTR) return failed("close", path, errno);
    return {};
}

Result<void> fsync_fd(int fd, const Path& path) {
    // Not even EINTR is retried: a second fsync may report success for pages that the first one has dropped.
    if (::fsync(fd) != 0) return failed("fsync", path, errno);
    return {};
}

struct Place {
    Fd directory;
    std::string name;
    std::string temp;  // fixed, so that what a crash leaves is found again by the next replacement
};

Result<Place> open_place(const Path& path) {
    const std::string name = path.filename().native();
    if (name.empty() || name == "." || name == "..") return failed("replace", path, EINVAL);
    const Path parent = path.parent_path();
    MG_TRY(Fd directory, open_directory(parent.empty() ? Path(".") : parent));
    return Place{std::move(directory), name, "." + name + ".tmp"};
}

Result<void> write_all(int fd, std::string_view content, const Path& path) {
    while (!content.empty()) {
        const ssize_t count = retry_interrupted([&] { return ::write(fd, content.data(), content.size()); });
        if (count < 0) return failed("write", path, errno);
        content.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

// The umask may have taken bits away; asking first keeps the usual case at one mutating call less.
Result<void> ensure_mode(int fd, unsigned mode, const Path& path) {
    struct stat found{};
    if (::fstat(fd, &found) != 0) return failed("stat", path, errno);
    if ((found.st_mode & 07777) == mode) return {};
    if (::fchmod(fd, mode) != 0) return failed("chmod", path, errno);
    return {};
}

Result<Fd> create_temp(const Place& place, unsigned mode, const Path& path) {
    const auto create = [&] {
        return retry_interrupted([&] {
            return ::openat(place.directory.get(), place.temp.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        });
    };
    int fd = create();
    if (fd < 0 && errno == EEXIST) {
        if (::unlinkat(place.directory.get(), place.temp.c_str(), 0) != 0)
            return failed("remove stale temp of", path, errno);
        fd = create();
    }
    if (fd < 0) return failed("create temp of", path, errno);
    return Fd(fd);
}

Result<void> fill_temp(const Place& place, std::string_view content, unsigned mode, bool durable, const Path& path) {
    MG_TRY(Fd fd, create_temp(place, mode, path));
    MG_CHECK(ensure_mode(fd.get(), mode, path));
    MG_CHECK(write_all(fd.get(), content, path));
    if (durable) MG_CHECK(fsync_fd(fd.get(), path));
    return close_checked(fd, path);
}

Result<void> replace(const Path& path, std::string_view content, unsigned mode, bool durable) {
    MG_TRY(const Place place, open_place(path));
    Result<void> done = fill_temp(place, content, mode, durable, path);
    if (done && ::renameat(place.directory.get(), place.temp.c_str(), place.directory.get(), place.name.c_str()) != 0)
        done = failed("rename to", path, errno);
    if (!done) {
        std::ignore = ::unlinkat(place.directory.get(), place.temp.c_str(), 0);  // the first error is the one to report
        return done;
    }
    return durable ? fsync_fd(place.directory.get(), path) : Result<void>();
}

Result<std::optional<std::string>> read_link_at(int directory, const char* name, const Path& path) {
    std::array<char, PATH_MAX + 1> target{};
    const ssize_t length = ::readlinkat(directory, name, target.data(), target.size());
    if (length < 0 && errno == ENOENT) return std::nullopt;
    if (length < 0 && errno == EINVAL) return fail(ErrorKind::io, path.native() + " is not a symbolic link");
    if (length < 0) return failed("read link", path, errno);
    return std::string(target.data(), static_cast<std::size_t>(length));
}
}  // namespace

Result<Fd> open_directory(const Path& path) {
    const int fd = retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return failed("open directory", path, errno);
    return Fd(fd);
}

Result<void> fsync_directory(const Path& path) {
    MG_TRY(Fd directory, open_directory(path));
    return fsync_fd(directory.get(), path);
}

namespace {
/// An open regular file and its size.
Result<std::pair<Fd, std::size_t>> open_regular(const Path& path) {
    // O_NONBLOCK: a FIFO put in a file's place must not stop the daemon.
    Fd fd(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); }));
    if (!fd) return failed("open", path, errno);
    struct stat found{};
    if (::fstat(fd.get(), &found) != 0) return failed("stat", path, errno);
    if (!S_ISREG(found.st_mode)) return fail(ErrorKind::io, path.native() + " is not a regular file");
    return std::pair(std::move(fd), static_cast<std::size_t>(found.st_size));
}
}  // namespace

Result<std::string> read_file(const Path& path, std::size_t cap) {
    MG_TRY(const auto opened, open_regular(path));
    const auto& [fd, size] = opened;
    // The size is only a hint: files in /proc say 0, and a file may grow while it is read. One byte more than expected
    // shows the end without a second turn.
    constexpr std::size_t kMinChunkBytes = 4096;
    std::string content;
    std::size_t used = 0;
    content.resize(std::min(cap, std::max(kMinChunkBytes, size)) + 1);
    for (;;) {
        const ssize_t count =
            retry_interrupted([&] { return ::read(fd.get(), &content[used], content.size() - used); });
        if (count < 0) return failed("read", path, errno);
        if (count == 0) break;
        used += static_cast<std::size_t>(count);
        if (used > cap) return failed("read", path, EFBIG);
        if (used == content.size()) content.resize(std::min(cap, 2 * used) + 1);
    }
    content.resize(used);
    return content;
}

Result<std::string> read_first_line(const Path& path, std::size_t cap) {
    MG_TRY(const auto opened, open_regular(path));
    constexpr std::size_t kChunkBytes = 4096;
    std::string line;
    for (;;) {
        const std::size_t used = line.size();
        line.resize(used + kChunkBytes);
        const ssize_t count = retry_interrupted([&] { return ::read(opened.first.get(), &line[used], kChunkBytes); });
        if (count < 0) return failed("read", path, errno);
        line.resize(used + static_cast<std::size_t>(count));
        const std::size_t end = line.find('\n', used);
        if (end != std::string::npos) line.resize(end);
        if (line.size() > cap) return failed("read", path, EFBIG);
        if (count == 0 || end != std::string::npos) return line;
    }
}

Result<void> write_file_atomic(const Path& path, std::string_view content, unsigned mode) {
    return replace(path, content, mode, /*durable=*/true);
}

Result<void> replace_file(const Path& path, std::string_view content, unsigned mode) {
    return replace(path, content, mode, /*durable=*/false);
}

Result<void> replace_symlink(const Path& link, const std::string& target) {
    MG_TRY(const Place place, open_place(link));
    const int directory = place.directory.get();
    MG_TRY(const std::optional<std::string> present, read_link_at(directory, place.name.c_str(), link));
    // Right already may still be only in the page cache: whoever made it may have been killed before its fsync.
    if (present == target) return fsync_fd(directory, link);

    int r = ::symlinkat(target.c_str(), directory, place.temp.c_str());
    if (r != 0 && errno == EEXIST) {
        if (::unlinkat(directory, place.temp.c_str(), 0) != 0) return failed("remove stale temp of", link, errno);
        r = ::symlinkat(target.c_str(), directory, place.temp.c_str());
    }
    if (r != 0) return failed("make link", link, errno);
    if (::renameat(directory, place.temp.c_str(), directory, place.name.c_str()) != 0) {
        const int cause = errno;
        std::ignore = ::unlinkat(directory, place.temp.c_str(), 0);  // the rename's error is the one to report
        return failed("rename to", link, cause);
    }
    return fsync_fd(directory, link);
}

Result<void> remove_symlink(const Path& link) {
    MG_TRY(const Place place, open_place(link));
    MG_TRY(const std::optional<std::string> present, read_link_at(place.directory.get(), place.name.c_str(), link));
    // Gone already may still be only in the page cache, as above.
    if (present && ::unlinkat(place.directory.get(), place.name.c_str(), 0) != 0)
        return failed("remove link", link, errno);
    return fsync_fd(place.directory.get(), link);
}

Result<std::optional<std::string>> read_symlink(const Path& link) { return read_link_at(AT_FDCWD, link.c_str(), link); }

namespace {
Path parent_of(const Path& path) { return path.parent_path().empty() ? Path(".") : path.parent_path(); }

/// A directory that we may not read or write is no place that we made an entry in.
Result<void> fsync_parent_of_found(const Path& path) {
    Result<void> synced = fsync_directory(parent_of(path));
    if (!synced && (synced.error().sys_errno == EACCES || synced.error().sys_errno == EROFS)) return {};
    return synced;
}
}  // namespace

Result<void> make_directories(const Path& path, unsigned mode) {
    std::vector<Path> missing;  // deepest first
    for (Path at = path.has_filename() ? path : path.parent_path(); !at.empty(); at = at.parent_path()) {
        struct stat found{};
        if (::stat(at.c_str(), &found) == 0) {
            if (!S_ISDIR(found.st_mode)) return failed("make directory", at, EEXIST);
            MG_CHECK(fsync_parent_of_found(at));
            break;
        }
        if (errno != ENOENT) return failed("stat", at, errno);
        missing.push_back(at);
    }
    for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
        const Path parent = parent_of(*at);
        if (::mkdir(at->c_str(), mode) != 0 && errno != EEXIST) return failed("make directory", *at, errno);
        MG_TRY(const Fd made, open_directory(*at));
        MG_CHECK(ensure_mode(made.get(), mode, *at));
        MG_CHECK(fsync_directory(parent));
    }
    return {};
}

Result<std::uint64_t> free_bytes(const Path& path) {
    struct statvfs found{};
    if (retry_interrupted([&] { return ::statvfs(path.c_str(), &found); }) != 0) return failed("statvfs", path, errno);
    return std::uint64_t{found.f_bavail} * found.f_frsize;
}

}  // namespace modelguard::sys
