#pragma once
// Which versions nobody needs any more. Pure; the runner forgets them in the ledger first and removes them then, so
// that a crash in between leaves a directory and never a row without one.

#include <vector>

#include "supervisor/core/values.hpp"
#include "supervisor/store/versions.hpp"

namespace modelguard::daemon {

/// Rejected, superseded and former versions that stay for `explain`, `unreject` and a deploy without another transfer.
inline constexpr std::size_t kSpareVersions = 3;

/// Of a model at rest, the versions beyond the `spare` newest that are none of: current, known-good (each of them: core
/// may go back to any), pinned, wanted, rows without an import time (found on the disk after the ledger was lost), or
/// `linked`. While anything is under way: none.
std::vector<Digest> garbage_of(const core::ModelState& model,
                               const std::vector<const store::VersionInfo*>& newest_first,
                               const std::vector<Digest>& linked, std::size_t spare);

}  // namespace modelguard::daemon
