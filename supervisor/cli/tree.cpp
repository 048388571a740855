#include "supervisor/cli/tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace modelguard::cli {

namespace {

constexpr std::size_t kMaxDepth = 64;  // the daemon takes 32; this only keeps our stack and descriptors bounded
constexpr std::size_t kMaxEntries = 1'000'000;  // the daemon takes 100,000

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

std::unexpected<Error> unfit(const std::string& path, const char* what) {
    return fail(ErrorKind::invalid_config, path + " is " + what + "; a bundle holds files and directories only");
}

Result<void> list_below(int parent, const std::string& name, const std::string& path, std::size_t depth,
                        std::vector<TreeEntry>& entries) {
    if (depth > kMaxDepth) return fail(ErrorKind::invalid_config, path + " is nested too deep for a bundle");
    // The top itself may be a link to the directory; below it none is followed.
    const int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
    if (fd < 0) return fail_errno(depth > 0 ? path : name, errno);
    const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(fd));
    if (!dir) return fail_errno(path, errno);
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr) return errno == 0 ? Result<void>() : Result<void>(fail_errno(path, errno));
        const std::string child(entry->d_name);
        if (child == "." || child == "..") continue;
        const std::string child_path = path.empty() ? child : path + "/" + child;
        struct stat info{};
        if (::fstatat(fd, child.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno(child_path, errno);
        if (S_ISLNK(info.st_mode)) return unfit(child_path, "a symbolic link");
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
            return unfit(child_path, "neither a file nor a directory");
        if (entries.size() >= kMaxEntries)
            return fail(ErrorKind::invalid_config, "more entries than a bundle may have");
        const bool is_directory = S_ISDIR(info.st_mode);
        entries.push_back({child_path, is_directory, (info.st_mode & 0111) != 0,
                           is_directory ? 0 : static_cast<std::uint64_t>(info.st_size)});
        if (is_directory) MG_CHECK(list_below(fd, child, child_path, depth + 1, entries));
    }
}

}  // namespace

Result<std::vector<TreeEntry>> list_tree(const std::string& top) {
    std::vector<TreeEntry> entries;
    MG_CHECK(list_below(AT_FDCWD, top, "", 0, entries));
    if (std::ranges::all_of(entries, &TreeEntry::is_directory))
        return fail(ErrorKind::invalid_config, top + " holds no files");
    std::ranges::sort(entries, {}, &TreeEntry::path);
    return entries;
}

}  // namespace modelguard::cli
