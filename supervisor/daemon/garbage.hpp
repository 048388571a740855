#pragma once
// Which versions nobody needs any more. The runner forgets them in the ledger first and removes them then, so
// that a crash in between leaves a directory and never a row without one.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/core/values.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::daemon {

/// Rejected, superseded and former versions that stay for `explain`, `unreject` and a deploy without another transfer.
inline constexpr std::size_t kSpareVersions = 3;

/// What the links of a model name; nullopt where that is not known, and then nothing is removed. Reads two links.
std::optional<std::vector<Digest>> linked_versions(const sys::Path& model_dir);
/// Whether the state refers to the version for anything but a rejection, which outlives the tree, or a link names it.
bool is_needed(const core::ModelState& model, const Digest& digest, const std::vector<Digest>& linked);

/// Of a model at rest, the versions beyond the `spare` newest that are neither needed (each known-good one is: core
/// may go back to any) nor rows without an import time (found on the disk after the ledger was lost). While anything is
/// under way: none.
std::vector<Digest> garbage_of(const core::ModelState& model,
                               const std::vector<const store::VersionInfo*>& newest_first,
                               const std::vector<Digest>& linked, std::size_t spare);

using ModelVersion = std::pair<std::string, Digest>;
/// Versions on the disk that no row, no link and nothing of the state names: a crash came between the directory and its
/// row, at an import or a removal. None where the ledger was not read whole. Reads directories.
std::vector<ModelVersion> orphans_of(const store::Loaded& loaded, const store::VersionStore& versions);

}  // namespace modelguard::daemon
