#pragma once
// What state.bak holds of the ledger, read back. Internal to store. Not for `modelguard status`, which reads the same
// files without this part: api/backup.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/store/ledger.hpp"

namespace modelguard::store {

/// One state of the ledger, whole.
struct LedgerBackup {
    std::uint64_t commit{0};
    std::int64_t last_history{0};
    std::string file;  ///< its name, for people
    Loaded loaded;
    std::vector<Measurement> measurements;  ///< of the open trials
};

struct Backups {
    std::optional<LedgerBackup> newest;  ///< of those that are whole; a release without this part wrote none
    std::uint64_t number{0};             ///< of the newest whole file
    std::vector<std::string> broken;     ///< what is there and cannot be used, with why
};

/// Reads state.bak.{0,1} in `directory`. Never fails: a file that cannot be read is one that does not help.
Backups read_ledger_backups(const sys::Path& directory);

/// The manifest revisions that the state of a model refers to.
std::vector<std::string> manifests_of(const core::ModelState& model);

}  // namespace modelguard::store
