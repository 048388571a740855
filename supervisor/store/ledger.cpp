#include "supervisor/store/ledger.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/ledger_backup.hpp"
#include "supervisor/store/ledger_tables.hpp"
#include "supervisor/store/sqlite_ledger.hpp"

namespace modelguard::store {

namespace {

// A device that decides every ten minutes fills this in two years; 64 MiB is what an 8 GB card can spare without a
// thought.
constexpr std::size_t kMostHistory = 100'000;
constexpr std::uint64_t kMostHistoryBytes = 64u << 20;
// The oldest go in batches: deleting one with each commit would dirty one page more each time.
constexpr std::size_t kHistoryBatch = 256;
// Long enough for any client that asks again with its key, short enough to be searched without an index.
constexpr std::size_t kMostOperations = 1'000;
constexpr std::size_t kOperationBatch = 100;
constexpr std::size_t kManifestsKept = 32;  // a model; besides those that the state refers to
// 1 MiB of log, about 80 commits: the fsyncs of a checkpoint come once in 80.
constexpr int kCheckpointPages = 256;

}  // namespace

Error SqliteLedger::closed() const {
    return {ErrorKind::io, "the ledger is closed since a write to " + file_.string() + " failed", EIO};
}

void SqliteLedger::note_log_size() {
    log_bytes_ = kWalHeaderBytes + database_->wal_pages() * (kWalFrameHeaderBytes + page_bytes_);
}

Result<void> SqliteLedger::begin() {
    if (in_transaction_) return {};
    MG_CHECK(database_->run("BEGIN IMMEDIATE"));
    in_transaction_ = true;
    return {};
}

Result<void> SqliteLedger::write_state(const Changes& changes, Written& written) {
    if (changes.state == nullptr || (state_ && *state_ == *changes.state)) return {};
    const core::State& state = *changes.state;
    const auto write = [&](const std::string& key, std::string json) -> Result<void> {
        if (const auto newer = newer_texts_.find(key); newer != newer_texts_.end())
            json = keep_unknown_keys(newer->second, json);
        const auto before = state_texts_.find(key);
        if (before != state_texts_.end() && before->second == json) return {};
        MG_CHECK(begin());
        MG_CHECK(tables::write_state(*database_, key, json));
        written.checksums[key] = Row().text(key).text(json).checksum("state");
        written.state[key] = std::move(json);
        return {};
    };
    for (const auto& [model, model_state] : state.models) {
        if (state_) {
            const auto before = state_->models.find(model);
            if (before != state_->models.end() && before->second == model_state) continue;
        }
        MG_CHECK(write(std::string(tables::kModelPrefix) + model, model_state_to_json(model_state)));
    }
    for (const auto& [key, json] : state_texts_) {
        if (!key.starts_with(tables::kModelPrefix)) continue;
        const std::string model = key.substr(tables::kModelPrefix.size());
        if (state.models.contains(model)) continue;
        MG_CHECK(begin());
        MG_CHECK(tables::erase_state(*database_, key));
        const bool has_new_manifest =
            std::ranges::any_of(changes.manifests, [&](const auto& m) { return m.model == model; });
        MG_CHECK(tables::erase_model(*database_, model, has_new_manifest));
        written.erased.push_back(key);
    }
    return write(std::string(tables::kOsKey), os_state_to_json(state.os));
}

/// The row that holds the others together: the number of the commit, and the checksum of every row of the state, so
/// that no row of another commit passes for one of this.
Result<void> SqliteLedger::write_device(const Changes& changes, Written& written) {
    const core::State* state = changes.state ? changes.state : state_ ? &*state_ : nullptr;
    if (state == nullptr) return {};
    if (!in_transaction_) {
        const bool same = changes.state == nullptr || (state_ && state_->next_id == changes.state->next_id);
        if (same) return {};
        MG_CHECK(begin());
    }
    Texts checksums = checksums_;
    for (const std::string& key : written.erased)
        checksums.erase(key);
    for (const auto& [key, checksum] : written.checksums)
        checksums[key] = checksum;
    const nlohmann::json device{{"models", state->models.size()},
                                {"next_id", state->next_id},
                                {"commit", commit_number_ + 1},
                                {"rows", checksums}};
    const auto newer = newer_texts_.find(tables::kDeviceKey);
    return tables::write_state(
        *database_, tables::kDeviceKey,
        newer == newer_texts_.end() ? device.dump() : keep_unknown_keys(newer->second, device.dump()));
}

Result<void> SqliteLedger::write_history(const Changes& changes, Written& written) {
    std::int64_t number = history_.next_number();
    for (HistoryEntry entry : changes.history) {
        MG_CHECK(begin());
        entry.number = number++;
        MG_TRY(const std::size_t bytes, tables::write_history(*database_, entry));
        written.history.emplace_back(std::move(entry), bytes);
    }
    return trim_history(written);
}

Result<void> SqliteLedger::trim_history(Written& written) {
    if (written.history.empty()) return {};
    std::uint64_t bytes = history_.bytes();
    for (const auto& [entry, size] : written.history)
        bytes += size;
    const std::size_t count = history_.count() + written.history.size();
    if (count <= kMostHistory && bytes <= kMostHistoryBytes) return {};
    HistoryIndex after = history_;  // a copy: only a durable commit may change what we know
    for (const auto& [entry, size] : written.history)
        after.add(entry.number, entry.decision.model, size);
    while (after.count() > 1 && (after.count() > kMostHistory || after.bytes() > kMostHistoryBytes)) {
        const std::size_t batch = std::min(kHistoryBatch, after.count() / 10 + 1);
        written.dropped_up_to = after.number_at(batch - 1);
        after.drop_up_to(written.dropped_up_to);
    }
    return database_->execute("DELETE FROM history WHERE number<=?", Row().integer(written.dropped_up_to));
}

std::vector<std::string> SqliteLedger::needed_manifests(const std::string& model, const core::State* next) const {
    std::vector<std::string> needed;
    const core::State* state = next ? next : state_ ? &*state_ : nullptr;
    if (state == nullptr) return needed;
    const auto at = state->models.find(model);
    if (at == state->models.end()) return needed;
    needed = manifests_of(at->second);
    return needed;
}

Result<void> SqliteLedger::write_rest(const Changes& changes) {
    if (!changes.operations.empty() || !changes.manifests.empty() || !changes.versions.empty() ||
        !changes.forgotten_versions.empty() || !changes.timers.empty() || !changes.stopped_timers.empty() ||
        !changes.measurements.empty())
        MG_CHECK(begin());
    for (const Operation& operation : changes.operations)
        MG_CHECK(tables::write_operation(*database_, operation));
    if (operations_ + changes.operations.size() > kMostOperations + kOperationBatch)
        MG_CHECK(tables::prune_operations(*database_, kMostOperations));
    for (const StoredManifest& manifest : changes.manifests) {
        MG_CHECK(tables::write_manifest(*database_, manifest));
        MG_CHECK(tables::prune_manifests(*database_, manifest.model, needed_manifests(manifest.model, changes.state),
                                         kManifestsKept));
    }
    for (const StoredVersion& version : changes.versions)
        MG_CHECK(tables::write_version(*database_, version));
    for (const auto& [model, digest] : changes.forgotten_versions)
        MG_CHECK(tables::erase_version(*database_, model, digest));
    for (const auto& [model, timer] : changes.stopped_timers)
        MG_CHECK(tables::erase_timer(*database_, model, timer));
    for (const StoredTimer& timer : changes.timers)
        MG_CHECK(tables::write_timer(*database_, timer));
    for (const Measurement& measurement : changes.measurements)
        MG_CHECK(tables::write_measurement(*database_, measurement));
    return {};
}

Result<void> SqliteLedger::write_all(const Changes& changes, Written& written) {
    MG_CHECK(write_state(changes, written));
    MG_CHECK(write_history(changes, written));
    MG_CHECK(write_rest(changes));
    MG_CHECK(write_device(changes, written));
    if (!in_transaction_) return {};  // nothing differed: no page of flash for it
    MG_CHECK(database_->run("COMMIT"));
    in_transaction_ = false;
    ++commits_;
    ++commit_number_;
    has_commit_number_ = true;
    note_log_size();
    return {};
}

void SqliteLedger::remember(const Changes& changes, Written& written) {
    for (auto& [key, json] : written.state)
        state_texts_[key] = std::move(json);
    for (auto& [key, checksum] : written.checksums)
        checksums_[key] = std::move(checksum);
    for (const std::string& key : written.erased) {
        state_texts_.erase(key);
        newer_texts_.erase(key);
        checksums_.erase(key);
    }
    if (changes.state != nullptr) state_ = *changes.state;
    for (const auto& [entry, bytes] : written.history)
        history_.add(entry.number, entry.decision.model, bytes);
    if (written.dropped_up_to > 0) history_.drop_up_to(written.dropped_up_to);
    // Replaced ones count twice; too many only make the pruning look earlier.
    operations_ += changes.operations.size();
    if (operations_ > kMostOperations + kOperationBatch) operations_ = kMostOperations;
}

Result<std::vector<std::int64_t>> SqliteLedger::commit(const Changes& changes) {
    if (!database_) return std::unexpected(closed());
    Written written;
    if (auto done = write_all(changes, written); !done) {
        abandon();
        return std::unexpected(as_io(std::move(done).error()));
    }
    remember(changes, written);
    if (database_->wal_pages() >= kCheckpointPages) {
        // The commit itself is durable. The handle that saw a failed fsync is not used again: the next call says so.
        // No space is no failed fsync: the log is whole and grows on.
        if (const auto moved = database_->checkpoint())
            log_bytes_ = 0;  // everything is in the database
        else if (moved.error().sys_errno != ENOSPC)
            abandon();
    }
    std::vector<std::int64_t> numbers;
    numbers.reserve(written.history.size());
    for (const auto& [entry, bytes] : written.history)
        numbers.push_back(entry.number);
    return numbers;
}

/// Cuts off what a failed commit may have left behind the last one that was kept: its pages can be whole although its
/// fsync failed, and SQLite would take them for a commit when it opens the file again.
Result<void> SqliteLedger::cut_log() {
    const sys::Path log = beside("-wal");
    const sys::Fd fd(::open(log.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) return {};
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) return fail_errno("open " + log.string(), errno);
    if (status.st_size <= log_bytes_) return {};
    if (::ftruncate(fd.get(), log_bytes_) != 0 || ::fsync(fd.get()) != 0)
        return fail_errno("truncate " + log.string(), errno);
    return {};
}

void SqliteLedger::abandon() {
    in_transaction_ = false;
    database_->abandon();
    database_.reset();
    std::ignore = cut_log();  // reopen() does it again, and fails where it cannot
}

Result<void> SqliteLedger::reopen() {
    if (database_) return {};
    MG_CHECK(with_context(cut_log(), "reopen the ledger"));
    Loaded ignored;  // the daemon knows its state; what is read here is what later commits are compared with
    if (auto opened = open_and_load(ignored); !opened) {
        if (database_) database_->abandon();
        database_.reset();
        Error error = as_io(std::move(opened).error());
        error.what.insert(0, "reopen the ledger: ");
        return std::unexpected(std::move(error));
    }
    return {};
}

Result<std::vector<HistoryEntry>> SqliteLedger::history(const std::string& model, std::int64_t after, std::size_t limit,
                                                        std::int64_t up_to) {
    if (!database_) return std::unexpected(closed());
    std::vector<HistoryEntry> entries;
    const std::string select = std::string(tables::kSelectHistory) + " WHERE number=?";
    for (const std::int64_t number : history_.numbers(model, after, up_to, limit)) {
        MG_TRY(Cursor row, database_->query(select, Row().integer(number)));
        MG_TRY(const bool there, row.next());
        if (!there || !row.is_intact("history")) continue;  // damaged since it was opened; the next start says so
        Result<core::Decision> decision = decision_from_json(row.text(4));
        if (!decision) continue;
        entries.push_back({.number = number,
                           .wall_usec = row.integer(1),
                           .boot_id = std::string(row.text(2)),
                           .decision = std::move(*decision)});
    }
    return entries;
}

Result<std::optional<Operation>> SqliteLedger::first_operation(std::string_view sql, const Row& parameters) {
    if (!database_) return std::unexpected(closed());
    MG_TRY(Cursor row, database_->query(sql, parameters));
    MG_TRY(const bool there, row.next());
    if (!there || !row.is_intact("operations")) return std::optional<Operation>();
    return std::optional(tables::read_operation(row));
}

Result<std::optional<Operation>> SqliteLedger::operation(std::uint64_t seq) {
    return first_operation(std::string(tables::kSelectOperations) + " WHERE seq=?",
                           Row().integer(static_cast<std::int64_t>(seq)));
}

Result<std::optional<Operation>> SqliteLedger::operation_by_key(const std::string& key) {
    if (key.empty()) return std::optional<Operation>();
    return first_operation(std::string(tables::kSelectOperations) + " WHERE key=? ORDER BY seq DESC LIMIT 1",
                           Row().text(key));
}

Result<std::vector<Measurement>> SqliteLedger::measurements(const std::string& model, std::uint64_t trial_id) {
    if (!database_) return std::unexpected(closed());
    std::vector<Measurement> found;
    MG_TRY(Cursor row, database_->query(std::string(tables::kSelectMeasurements) + " WHERE model=? AND trial_id=?",
                                        Row().text(model).integer(static_cast<std::int64_t>(trial_id))));
    for (;;) {
        MG_TRY(const bool more, row.next());
        if (!more) return found;
        if (!row.is_intact("measurements")) continue;
        found.push_back({.model = model,
                         .trial_id = trial_id,
                         .check = std::string(row.text(2)),
                         .measurement = std::string(row.text(3))});
    }
}

}  // namespace modelguard::store
