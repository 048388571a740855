#pragma once
// One directory tree as a version sees it: its files, its digest (DESIGN.md section 6) and its stamps.
// Internal to store. Not for deciding whether a tree may become a version: that is entry_names and import_stream.

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/base/ids.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::store {

/// What the digest counts of one file.
struct FileLine {
    std::string path;  ///< relative, '/' between components
    bool executable{false};
    std::uint64_t size{0};
    std::string hex;  ///< sha256 of the content
};
/// The version digest of these files, in any order.
Digest digest_of(std::vector<FileLine> lines);

/// What changes when somebody touches a file, and costs one stat call to see.
struct FileStamp {
    std::string path;
    std::uint64_t ino{0};
    std::uint64_t size{0};
    std::int64_t mtime_ns{0};
    std::int64_t ctime_ns{0};

    bool operator==(const FileStamp&) const = default;
};
FileStamp stamp_of(std::string path, const struct stat& status);

/// The stamps of a tree. `dev` means something within one boot only: device numbers are handed out anew at each.
struct TreeStamps {
    std::string boot_id;
    std::uint64_t dev{0};
    std::vector<FileStamp> files;
};
/// As kept in VersionInfo::stamps: a sum over all files, and the files themselves while that stays small.
std::string stamps_to_json(TreeStamps stamps);
/// nullopt where `kept` (from stamps_to_json) still describes the tree; else what differs, for people. A text that
/// cannot be read is a difference too.
std::optional<std::string> stamps_difference(std::string_view kept, TreeStamps now);
/// Stats every file, reads none. invalid_config where the tree holds a link or something else than files and
/// directories.
Result<TreeStamps> read_stamps(const sys::Path& tree);

struct TreeContent {
    Digest digest;
    TreeStamps stamps;  ///< taken before each file was read, so that a change during the read shows later
    std::uint64_t bytes{0};
};
/// Reads and hashes every file. Blocks: children and command line only. invalid_config as read_stamps.
Result<TreeContent> read_tree(const sys::Path& tree);

}  // namespace modelguard::store
