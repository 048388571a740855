#pragma once
// A tar stream (plain, gzip or zstd) into a directory tree: checked, normalised, hashed and fsynced in one pass.
// Internal to store; runs in the import child (and in tests and fuzzers), since it blocks and reads what outsiders
// wrote.

#include "supervisor/store/versions.hpp"

namespace modelguard::store {

/// Reads `fd` to its end into the directory `tree`, which must exist, be empty and be ours alone. On success every file
/// is 0444 or 0555, every directory but `tree` itself 0555, and everything is durable; `imported_wall_usec` is set.
/// invalid_config: hostile or broken bundle, with the entry's name. io with ENOSPC: no space, max_bytes aside.
/// On error the tree is half written; the caller removes it. Blocks.
Result<VersionInfo> import_stream(int fd, const sys::Path& tree, const ImportLimits& limits);

}  // namespace modelguard::store
