#pragma once
// Where damaged versions go: models/MODEL/quarantine/DIGEST-N, out of the way of a deploy of the same digest and never
// believed again, for somebody to look at. Not for what was rejected: that is intact and stays a version. Internal to
// store.

#include <vector>

#include "supervisor/store/versions.hpp"

namespace modelguard::store {

inline constexpr std::size_t kQuarantined = 1;  ///< of each model: enough to see what is wrong with the disk

/// Moves the tree out of versions/ to the next free N; durable on return, and a crash leaves it in one of the two
/// places. Fine if there is none. io: the system refused it, and it is where it was. Blocks for two fsyncs.
Result<void> quarantine_tree(const Places& places, const std::string& model, const Digest& digest);
/// What is in quarantine of this model, the newest first.
Result<std::vector<sys::Path>> quarantined_trees(const Places& places, const std::string& model);

}  // namespace modelguard::store
