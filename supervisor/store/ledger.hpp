#pragma once
// The ledger: core's State, the history of decisions, operations, manifests, timers and measurements in one SQLite file
// (WAL, synchronous=FULL, locking_mode=EXCLUSIVE). Every row carries a checksum over table, key and columns.
// One commit is one durable transaction. Not for files of versions: store/versions.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/step.hpp"
#include "supervisor/store/versions.hpp"

namespace modelguard::store {

struct HistoryEntry {
    std::int64_t number{0};     ///< grows by one per decision
    std::int64_t wall_usec{0};  ///< for display
    std::string boot_id;
    core::Decision decision;
};

enum class OperationStatus { running, done, no, failed };  ///< no: carried out and the answer is no
struct Operation {
    std::uint64_t seq{0};  ///< as in core's wishes; the operation id of the API
    std::string key;       ///< Idempotency-Key; empty: none
    std::string kind;      ///< deploy, rollback, check, pin, unpin, unreject, apply, remove
    std::string model;
    Digest version;
    OperationStatus status{OperationStatus::running};
    std::string code;
    std::string text;
    std::string result;  ///< JSON text, or empty
    std::int64_t begun_wall_usec{0};
    std::int64_t ended_wall_usec{0};
};
std::string_view to_word(OperationStatus);

struct StoredManifest {
    std::string model;
    std::string rev;
    std::string text;  ///< as the author wrote it
    std::string file;  ///< its name for error messages
    core::Origin origin{core::Origin::file};
};

struct StoredTimer {
    std::string model;  ///< empty: the device
    core::Timer timer{core::Timer::retry};
    Usec duration{0};
    Usec elapsed{0};  ///< up to `since` on boot `boot_id`, earlier boots added up
    std::string boot_id;
    Instant since;
};

struct StoredVersion {
    std::string model;
    VersionInfo info;
};

/// What a judging of the LKG measured, kept until the trial ends.
struct Measurement {
    std::string model;
    std::uint64_t trial_id{0};
    std::string check;
    std::string measurement;
};

/// One transaction. What is nullptr or empty is left as it is, but a model that leaves the state takes its manifests,
/// timers and measurements with it (its versions stay until forgotten: their files are still there).
struct Changes {
    const core::State* state{nullptr};      ///< rows that differ from the last commit are written
    std::vector<HistoryEntry> history;      ///< numbers are assigned by commit()
    std::vector<Operation> operations;      ///< inserted or replaced by seq
    std::vector<StoredManifest> manifests;  ///< inserted or replaced by (model, rev)
    std::vector<StoredVersion> versions;    ///< inserted or replaced by (model, digest)
    std::vector<std::pair<std::string, Digest>> forgotten_versions;
    std::vector<StoredTimer> timers;  ///< inserted or replaced by (model, timer)
    std::vector<std::pair<std::string, core::Timer>> stopped_timers;
    std::vector<Measurement> measurements;  ///< replaces all of that model's other trials
};

struct Loaded {
    core::State state;
    std::vector<StoredManifest> manifests;
    std::vector<StoredVersion> versions;
    std::vector<StoredTimer> timers;
    std::vector<Operation> open_operations;
    std::vector<std::string> notes;  ///< what was unknown or damaged and how it was read, for the operator
    /// Neither the database nor a backup could be read although there was one: the state is empty, and what the disk
    /// holds has to be looked at.
    bool rebuilt{false};
    bool restored{false};         ///< the state is a backup's: what was decided since is not in it
    bool blank{false};            ///< no state was ever committed, or nothing of it is left
    bool versions_lost{false};    ///< rows of versions were damaged and dropped: who they were, the disk tells
    bool versions_unread{false};  ///< rows of versions are there, but of a newer release
    std::vector<core::Decision> decisions;  ///< of a rebuilding, for the history of the first commit
    std::vector<StoredVersion> adopted;     ///< versions found on the disk, for the first commit
    std::uint64_t backup_number{0};         ///< of the newest whole state.bak; the next one is larger
};

/// The newest 50 notes, and of them at most 16 KiB: they are in every status and backup. Says how many it left out.
void bound_notes(std::vector<std::string>& notes);

class Ledger {
  public:
    /// Opens or creates, and brings back what was lost from the state.bak beside it (recovery.cpp says which of the two
    /// is believed). A file that does not verify is set aside as state.db.broken-N. What was done is in loaded.notes
    /// and, where the state was not simply read, in the history. denied/io: cannot be opened at all (another daemon
    /// holds it: conflict).
    static Result<std::unique_ptr<Ledger>> open(const sys::Path& file, Loaded& loaded);
    virtual ~Ledger() = default;

    /// Durable on return; all or nothing. Returns the history numbers given. io: nothing was kept, and the ledger is
    /// closed: every later call fails with io until reopen() succeeds (a failed fsync is never retried on the same
    /// handle).
    virtual Result<std::vector<std::int64_t>> commit(const Changes& changes) = 0;
    virtual Result<void> reopen() = 0;

    /// Newest first; `model` empty: all; entries with after < number <= up_to.
    virtual Result<std::vector<HistoryEntry>> history(const std::string& model, std::int64_t after, std::size_t limit,
                                                      std::int64_t up_to) = 0;
    Result<std::vector<HistoryEntry>> history(const std::string& model, std::int64_t after, std::size_t limit) {
        return history(model, after, limit, std::numeric_limits<std::int64_t>::max());
    }
    virtual Result<std::optional<Operation>> operation(std::uint64_t seq) = 0;
    virtual Result<std::optional<Operation>> operation_by_key(const std::string& key) = 0;
    virtual Result<std::vector<Measurement>> measurements(const std::string& model, std::uint64_t trial_id) = 0;
    /// Commits since open; for tests and the flash-wear bench.
    virtual std::uint64_t commits() const = 0;
    /// The state as of the last commit and what it refers to, as the JSON object that write_backup() takes. Reads the
    /// database, writes nothing.
    virtual Result<std::string> backup_json() = 0;
};

/// core::State as JSON text and back; unknown words follow DESIGN.md section 6 (an unknown phase is to be reverted to
/// the LKG) and are named in `notes`.
std::string model_state_to_json(const core::ModelState& state);
Result<core::ModelState> model_state_from_json(std::string_view json, std::vector<std::string>& notes);
std::string os_state_to_json(const core::OsState& state);
Result<core::OsState> os_state_from_json(std::string_view json, std::vector<std::string>& notes);
std::string decision_to_json(const core::Decision& decision);
Result<core::Decision> decision_from_json(std::string_view json);

/// Writes `status_json` with `ledger_json` (Ledger::backup_json(); empty: none) as its member "ledger", one line, and
/// the line `sha256:<hex of it> <number>` to state.bak.{0,1} in turn, by the parity of `number`. Blocks for two fsyncs.
Result<void> write_backup(const Places& places, std::string_view status_json, std::string_view ledger_json,
                          std::uint64_t number);

}  // namespace modelguard::store
