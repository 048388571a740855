#include "supervisor/store/place_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <tuple>

namespace modelguard::store {

namespace {

/// A directory can change its parent only while it is writable itself: the rename writes its "..".
Result<void> set_mode(const sys::Path& directory, mode_t mode) {
    const sys::Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno("open " + directory.string(), errno);
    if (::fchmod(fd.get(), mode) != 0) return fail_errno("chmod " + directory.string(), errno);
    return {};
}

Result<void> rename_with(const sys::Path& from, const sys::Path& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) != 0)
        return fail_errno("rename " + from.string() + " to " + to.string(), errno);
    return {};
}

/// What a version needs once it is in its place.
Result<void> settle(const sys::Path& version) {
    MG_CHECK(set_mode(version, 0555));
    MG_CHECK(sys::fsync_directory(version));
    return sys::fsync_directory(version.parent_path());
}

}  // namespace

Result<void> place_tree(const sys::Path& staged, const sys::Path& target) {
    MG_CHECK(sys::make_directories(target.parent_path(), 0755));
    MG_CHECK(rename_with(staged, target, 0));
    Result<void> settled = settle(target);
    if (settled) return settled;
    // Not known to be durable, so not a version: back to where the caller cleans up.
    std::ignore = set_mode(target, 0755);
    std::ignore = rename_with(target, staged, 0);
    return settled;
}

Result<void> replace_tree(const sys::Path& staged, const sys::Path& target) {
    MG_CHECK(set_mode(target, 0755));
    Result<void> exchanged = rename_with(staged, target, RENAME_EXCHANGE);
    if (!exchanged) {
        if (exchanged.error().sys_errno != EINVAL && exchanged.error().sys_errno != ENOSYS) return exchanged;
        // Two steps then; a crash between them leaves the version missing, which is what it was worth.
        sys::Path aside = staged;
        aside += ".old";
        MG_CHECK(rename_with(target, aside, 0));
        MG_CHECK(rename_with(staged, target, 0));
        MG_CHECK(rename_with(aside, staged, 0));
    }
    return settle(target);
}

Result<void> retire_tree(const sys::Path& target, const sys::Path& rubbish) {
    if (auto writable = set_mode(target, 0755); !writable) {
        if (writable.error().kind == ErrorKind::not_found) return {};
        return writable;
    }
    MG_CHECK(rename_with(target, rubbish, 0));
    return sys::fsync_directory(target.parent_path());
}

}  // namespace modelguard::store
