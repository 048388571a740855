// remove_tree() and remove_small_tree() of files.hpp. What it removes may be a hostile bundle: it never follows a
// link, holds three descriptors however deep the tree is, and goes up by ".." only after checking that this is the
// directory it came down from.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <tuple>
#include <vector>

#include "supervisor/sys/files.hpp"

namespace modelguard::sys {

namespace {
constexpr mode_t kOwnerAll = 0700;
// 4,096 clusters of a flash card at worst; 5 ms there.
constexpr off_t kLargeFileBytes = 16 << 20;

/// How many entries a removal may take away; none: all.
class Budget {
  public:
    explicit Budget(std::optional<std::size_t> entries) : entries_(entries) {}
    bool is_limited() const { return entries_.has_value(); }
    /// False where there is none left.
    bool take_one() {
        if (!entries_) return true;
        if (*entries_ == 0) return false;
        --*entries_;
        return true;
    }

  private:
    std::optional<std::size_t> entries_;
};

struct Level {
    std::string name;  // in the level above
    dev_t device{0};
    ino_t inode{0};
};

struct Walk {
    Path root;        // for messages
    Fd current;       // the directory being emptied
    dev_t device{0};  // a mount inside the tree is not ours to empty
    Budget budget;
    bool stopped{false};        // by the budget
    std::vector<Level> levels;  // the innermost is `current`; the first one's parent is the tree's parent
};

std::unexpected<Error> failed(const Path& root, const char* verb, const std::string& name, int sys_errno) {
    return fail_errno("remove " + root.native() + ": " + verb + " " + name, sys_errno);
}

// Opens a directory for reading, giving ourselves the right first where it is missing. The descriptor stays the same
// inode throughout, so nobody can put a link in its place in between.
Result<Fd> open_for_emptying(int parent, const std::string& name, const Path& root) {
    constexpr int kFlags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    Fd fd(::openat(parent, name.c_str(), O_RDONLY | kFlags));
    if (fd) return fd;
    if (errno != EACCES) return failed(root, "open", name, errno);
    const Fd handle(::openat(parent, name.c_str(), O_PATH | kFlags));
    if (!handle) return failed(root, "open", name, errno);
    const std::string by_handle = "/proc/self/fd/" + std::to_string(handle.get());
    if (::chmod(by_handle.c_str(), kOwnerAll) != 0) return failed(root, "chmod", name, errno);
    fd = Fd(::open(by_handle.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return failed(root, "open", name, errno);
    return fd;
}

// unlink or rmdir; a read-only directory is made writable when it refuses.
int unlink_in(int directory, const char* name, int flags) {
    if (::unlinkat(directory, name, flags) == 0 || errno == ENOENT) return 0;
    if (errno != EACCES) return errno;
    if (::fchmod(directory, kOwnerAll) != 0) return EACCES;
    return ::unlinkat(directory, name, flags) == 0 || errno == ENOENT ? 0 : errno;
}

Result<void> descend(Walk& walk, const std::string& name) {
    MG_TRY(Fd child, open_for_emptying(walk.current.get(), name, walk.root));
    struct stat found{};
    if (::fstat(child.get(), &found) != 0) return failed(walk.root, "stat", name, errno);
    if (found.st_dev != walk.device) return failed(walk.root, "enter", name, EXDEV);
    walk.levels.push_back({name, found.st_dev, found.st_ino});
    walk.current = std::move(child);
    return {};
}

Result<void> ascend(Walk& walk) {
    const std::string name = walk.levels.back().name;
    walk.levels.pop_back();
    const Level& expected = walk.levels.back();
    Fd parent(::openat(walk.current.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat found{};
    if (!parent || ::fstat(parent.get(), &found) != 0) return failed(walk.root, "leave", name, errno);
    if (found.st_dev != expected.device || found.st_ino != expected.inode)
        return fail(ErrorKind::conflict, "remove " + walk.root.native() + ": somebody moved " + name + " meanwhile");
    walk.current = std::move(parent);
    if (const int error = unlink_in(walk.current.get(), name.c_str(), AT_REMOVEDIR); error != 0)
        return failed(walk.root, "rmdir", name, error);
    return {};
}

bool is_large_file(int directory, const char* name) {
    struct stat found{};
    return ::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) &&
           found.st_size > kLargeFileBytes;
}

// Unlinks what is no directory; returns the first directory found, empty when nothing is left or the budget ended it.
Result<std::string> empty_files(Walk& walk) {
    // A descriptor of its own: fdopendir() takes it, and its offset must start at the beginning.
    Fd copy(::openat(walk.current.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!copy) {
        // Readable but not searchable (0444): give ourselves the right and try once more.
        if (errno != EACCES || ::fchmod(walk.current.get(), kOwnerAll) != 0)
            return failed(walk.root, "read", walk.levels.back().name, errno);
        copy = Fd(::openat(walk.current.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!copy) return failed(walk.root, "read", walk.levels.back().name, errno);
    }
    const CPtr<DIR, closedir> entries(::fdopendir(copy.get()));
    if (!entries) return failed(walk.root, "read", walk.levels.back().name, errno);
    std::ignore = copy.release();  // closedir() closes it
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(entries.get());
        if (!entry && errno != 0) return failed(walk.root, "read", walk.levels.back().name, errno);
        if (!entry) return std::string();
        std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (!walk.budget.take_one()) {
            walk.stopped = true;
            return std::string();
        }
        if (entry->d_type == DT_DIR) return name;
        if (walk.budget.is_limited() && is_large_file(walk.current.get(), name.c_str())) {
            walk.stopped = true;
            return std::string();
        }
        const int error = unlink_in(walk.current.get(), name.c_str(), 0);
        if (error == EISDIR) return name;  // a file system that does not tell types
        if (error != 0) return failed(walk.root, "unlink", name, error);
    }
}
/// False where the budget ended it.
Result<bool> remove_within(const Path& path, const Budget& budget) {
    const Path plain = path.has_filename() ? path : path.parent_path();
    if (plain.filename().empty() || plain.filename() == "." || plain.filename() == "..")
        return failed(path, "not a name:", plain.native(), EINVAL);
    struct stat found{};
    if (::lstat(plain.c_str(), &found) != 0) {
        if (errno == ENOENT) return true;
        return failed(path, "stat", plain.native(), errno);
    }
    const Path above = plain.parent_path().empty() ? Path(".") : plain.parent_path();
    MG_TRY(Fd parent, open_directory(above));
    const std::string name = plain.filename().native();
    if (!S_ISDIR(found.st_mode)) {
        if (const int error = unlink_in(parent.get(), name.c_str(), 0); error != 0)
            return failed(path, "unlink", name, error);
        return true;
    }

    struct stat outside{};
    if (::fstat(parent.get(), &outside) != 0) return failed(path, "stat", above.native(), errno);
    Walk walk{path, std::move(parent), found.st_dev, budget, false, {}};
    walk.levels.push_back({above.native(), outside.st_dev, outside.st_ino});
    MG_CHECK(descend(walk, name));
    while (walk.levels.size() > 1) {
        MG_TRY(const std::string inner, empty_files(walk));
        if (walk.stopped) return false;
        if (inner.empty())
            MG_CHECK(ascend(walk));
        else
            MG_CHECK(descend(walk, inner));
    }
    return true;
}
}  // namespace

Result<void> remove_tree(const Path& path) {
    MG_CHECK(remove_within(path, Budget(std::nullopt)));
    return {};
}

Result<bool> remove_small_tree(const Path& path, std::size_t entries) { return remove_within(path, Budget(entries)); }

}  // namespace modelguard::sys
