#pragma once
// A ledger that is lost without a backup is begun anew from what the disk says: the links and the digests of versions.
// Not for restoring a backup (store/recovery), and not for deciding what verifies: core does, on its way back.

#include "supervisor/daemon/manifest.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::daemon {

/// Fills `loaded.state` with every model that has links: on its way back to its known-good version, which is hashed
/// fully and judged before it counts as known-good again; without one that verifies, nothing serves. What was decided
/// is in loaded.decisions and loaded.notes. Reads directories and small files; blocks for as long.
void rebuild_from_links(store::Loaded& loaded, const store::Places& places, const std::vector<Manifest>& manifests);

/// A restored backup may be older than the links (what a crash cut off before it was written): a model whose
/// known-good link names another version than the backup goes back to that one, as above; what the backup knows of it
/// is kept. Not where the backup says that the version was rejected.
void follow_newer_links(store::Loaded& loaded, const store::Places& places, const std::vector<Manifest>& manifests);

/// Versions on the disk that the ledger does not know (any more), after it was restored or rebuilt: they are listed,
/// and with no import time, so that they are never taken for garbage.
void adopt_unknown_versions(store::Loaded& loaded, const store::VersionStore& versions);

}  // namespace modelguard::daemon
