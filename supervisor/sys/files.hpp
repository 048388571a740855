#pragma once
// Durable file operations in one place: every replacement is temp, fsync, rename, fsync of the directory.
// After a failed fsync the operation fails and its temp file is discarded; nothing here retries one.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::sys {

using Path = std::filesystem::path;

Result<Fd> open_directory(const Path& path);
Result<void> fsync_directory(const Path& path);
/// Whole file, at most `cap` bytes (io with EFBIG beyond). O_NOFOLLOW on the last component.
Result<std::string> read_file(const Path& path, std::size_t cap = 16u << 20);
/// Up to the first line's end, without it, or to the file's end; the rest is not read. At most `cap` bytes, as above.
Result<std::string> read_first_line(const Path& path, std::size_t cap);
/// Replaces `path` with `content`, durable on return; readers see the old or the new whole.
Result<void> write_file_atomic(const Path& path, std::string_view content, unsigned mode);
/// The same without the durability: for what is written again and again. Returns before it is on the disk.
Result<void> replace_file(const Path& path, std::string_view content, unsigned mode);
/// Makes `link` point at `target` by symlink + rename + fsync(dir), removing a stale temp first; where it
/// does already, only the fsync.
Result<void> replace_symlink(const Path& link, const std::string& target);
/// Removes a symlink and fsyncs the directory, which it does too if there is none. io if it is something else than a
/// link.
Result<void> remove_symlink(const Path& link);
/// Where a link points; nullopt where there is none.
Result<std::optional<std::string>> read_symlink(const Path& link);
/// mkdir -p with `mode` for what is made, durable on return: each new entry's parent is fsynced, and that of the
/// deepest directory that was there already, since whoever made it may have been killed before.
Result<void> make_directories(const Path& path, unsigned mode);
/// Removes a tree, read-only directories too, never following links out of it; fine if there is none.
Result<void> remove_tree(const Path& path);
/// The same where it does not take long: false where something is left, since there are more than `entries` (a
/// directory counts again for each time that it is come back to), or a file of more than 16 MiB, whose blocks may be
/// many.
Result<bool> remove_small_tree(const Path& path, std::size_t entries);
/// Bytes an unprivileged user may still write.
Result<std::uint64_t> free_bytes(const Path& path);

}  // namespace modelguard::sys
