#include "supervisor/store/tree.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "supervisor/base/text.hpp"
#include "supervisor/store/entry_names.hpp"
#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/versions.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

namespace {

// Each level holds one descriptor while its children are read; far above what an import lets in
// (ImportLimits::max_depth).
constexpr std::size_t kDeepestTree = 128;
// The names are there to tell an operator which file changed; beyond this a row of the ledger would cost more than that
// is worth.
constexpr std::size_t kMostNamedBytes = 64u << 10;

using Visit = std::function<Result<void>(int directory, const char* name, const std::string& path, const struct stat&)>;

/// Calls `visit` for each regular file below `directory`; the order is the directory's.
Result<void> walk(sys::Fd directory, const std::string& prefix, std::size_t depth, const Visit& visit) {
    if (depth > kDeepestTree)
        return fail(ErrorKind::invalid_config, "'" + printable_name(prefix) + "' is nested too deeply");
    const sys::CPtr<DIR, ::closedir> stream(::fdopendir(directory.get()));
    if (!stream) return fail_errno("read directory '" + printable_name(prefix) + "'", errno);
    const int fd = directory.release();  // the stream owns it now
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) {
            if (errno != 0) return fail_errno("read directory '" + printable_name(prefix) + "'", errno);
            return {};
        }
        const char* name = entry->d_name;
        if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
        const std::string path = prefix.empty() ? name : prefix + "/" + name;
        struct stat status{};
        if (::fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("stat '" + printable_name(path) + "'", errno);
        if (S_ISDIR(status.st_mode)) {
            sys::Fd child(::openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!child) return fail_errno("open '" + printable_name(path) + "'", errno);
            MG_CHECK(walk(std::move(child), path, depth + 1, visit));
        } else if (S_ISREG(status.st_mode)) {
            MG_CHECK(visit(fd, name, path, status));
        } else {
            return fail(ErrorKind::invalid_config,
                        "'" + printable_name(path) + "' is neither a regular file nor a directory");
        }
    }
}

Result<sys::Fd> open_tree(const sys::Path& tree) {
    sys::Fd root(::open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) {
        if (errno == ENOTDIR || errno == ELOOP)
            return fail(ErrorKind::invalid_config, "'" + printable_name(tree.native()) + "' is not a directory");
        return fail_errno("open '" + printable_name(tree.native()) + "'", errno);
    }
    return root;
}

Result<TreeStamps> begin_stamps(int root) {
    struct stat status{};
    if (::fstat(root, &status) != 0) return fail_errno("stat the tree", errno);
    return TreeStamps{.boot_id = sys::boot_id(), .dev = status.st_dev, .files = {}};
}

void sort_by_path(std::vector<FileStamp>& files) {
    std::ranges::sort(files, [](const FileStamp& a, const FileStamp& b) { return a.path < b.path; });
}

std::string sum_of(const std::vector<FileStamp>& files) {
    sys::Sha256 sum;
    for (const FileStamp& file : files) {
        sum.update(std::to_string(file.ino) + " " + std::to_string(file.size) + " " + std::to_string(file.mtime_ns) +
                   " " + std::to_string(file.ctime_ns) + " " + file.path);
        sum.update(std::string_view("\0", 1));
    }
    return sum.finish_hex();
}

std::int64_t nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

/// Which file tells that the tree changed; both sorted by path.
std::string first_difference(const std::vector<FileStamp>& before, const std::vector<FileStamp>& now) {
    auto b = before.begin();
    auto n = now.begin();
    for (; b != before.end() && n != now.end(); ++b, ++n) {
        if (b->path < n->path) return "'" + printable_name(b->path) + "' is missing";
        if (n->path < b->path) return "'" + printable_name(n->path) + "' was added";
        if (!(*b == *n)) return "'" + printable_name(n->path) + "' was touched";
    }
    if (b != before.end()) return "'" + printable_name(b->path) + "' is missing";
    if (n != now.end()) return "'" + printable_name(n->path) + "' was added";
    return "its files were touched";
}

}  // namespace

Digest digest_of(std::vector<FileLine> lines) {
    std::ranges::sort(lines, [](const FileLine& a, const FileLine& b) { return a.path < b.path; });
    sys::Sha256 sum;
    for (const FileLine& line : lines) {
        sum.update((line.executable ? "x " : "- ") + std::to_string(line.size) + " " + line.hex + " " + line.path);
        sum.update(std::string_view("\0", 1));
    }
    return Digest{"sha256:" + sum.finish_hex()};
}

FileStamp stamp_of(std::string path, const struct stat& status) {
    return {.path = std::move(path),
            .ino = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .mtime_ns = nanoseconds(status.st_mtim),
            .ctime_ns = nanoseconds(status.st_ctim)};
}

std::string stamps_to_json(TreeStamps stamps) {
    sort_by_path(stamps.files);
    nlohmann::json json{{"boot_id", stamps.boot_id},
                        {"dev", stamps.dev},
                        {"count", stamps.files.size()},
                        {"sum", sum_of(stamps.files)}};
    std::size_t named_bytes = 0;
    nlohmann::json files = nlohmann::json::array();
    for (const FileStamp& file : stamps.files) {
        named_bytes += file.path.size() + 64;  // four numbers of up to 20 digits, mostly shorter
        if (named_bytes > kMostNamedBytes) break;
        files.push_back({file.path, file.ino, file.size, file.mtime_ns, file.ctime_ns});
    }
    if (files.size() == stamps.files.size()) json["files"] = std::move(files);
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<std::string> stamps_difference(std::string_view kept, TreeStamps now) {
    sort_by_path(now.files);
    try {
        const nlohmann::json json = nlohmann::json::parse(kept);
        if (json.at("boot_id") == now.boot_id && whole_number<std::uint64_t>(json.at("dev")) != now.dev)
            return "the tree is on another file system";
        if (json.at("sum") == sum_of(now.files)) return std::nullopt;
        if (!json.contains("files")) return "its files were touched";
        std::vector<FileStamp> before;
        for (const nlohmann::json& file : json.at("files"))
            before.push_back({file.at(0), whole_number<std::uint64_t>(file.at(1)),
                              whole_number<std::uint64_t>(file.at(2)), whole_number<std::int64_t>(file.at(3)),
                              whole_number<std::int64_t>(file.at(4))});
        return first_difference(before, now.files);
    } catch (const nlohmann::json::exception&) {
        return "its stamps cannot be read";
    }
}

Result<TreeStamps> read_stamps(const sys::Path& tree) {
    MG_TRY(sys::Fd root, open_tree(tree));
    MG_TRY(TreeStamps stamps, begin_stamps(root.get()));
    MG_CHECK(walk(std::move(root), "", 0,
                  [&](int, const char*, const std::string& path, const struct stat& status) -> Result<void> {
                      stamps.files.push_back(stamp_of(path, status));
                      return {};
                  }));
    return stamps;
}

Result<TreeContent> read_tree(const sys::Path& tree) {
    MG_TRY(sys::Fd root, open_tree(tree));
    TreeContent content;
    MG_TRY(content.stamps, begin_stamps(root.get()));
    std::vector<FileLine> lines;
    MG_CHECK(walk(std::move(root), "", 0,
                  [&](int directory, const char* name, const std::string& path, const struct stat&) -> Result<void> {
                      const sys::Fd file(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
                      if (!file) return fail_errno("open '" + printable_name(path) + "'", errno);
                      struct stat status{};
                      if (::fstat(file.get(), &status) != 0)
                          return fail_errno("stat '" + printable_name(path) + "'", errno);
                      if (!S_ISREG(status.st_mode))
                          return fail(ErrorKind::invalid_config,
                                      "'" + printable_name(path) + "' is neither a regular file nor a directory");
                      std::ignore = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint only
                      MG_TRY(std::string hex,
                             with_context(sys::sha256_hex_of(file.get()), "read '" + printable_name(path) + "'"));
                      const auto size = static_cast<std::uint64_t>(status.st_size);
                      lines.push_back({path, (status.st_mode & 0111) != 0, size, std::move(hex)});
                      content.stamps.files.push_back(stamp_of(path, status));
                      content.bytes += size;
                      return {};
                  }));
    content.digest = digest_of(std::move(lines));
    return content;
}

Result<Digest> digest_tree(const sys::Path& tree) {
    MG_TRY(const TreeContent content, read_tree(tree));
    return content.digest;
}

}  // namespace modelguard::store
