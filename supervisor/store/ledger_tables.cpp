#include "supervisor/store/ledger_tables.hpp"

#include <algorithm>

#include "supervisor/base/text.hpp"
#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/version_json.hpp"

namespace modelguard::store {

std::string_view to_word(OperationStatus status) {
    switch (status) {
        case OperationStatus::running: return "running";
        case OperationStatus::done: return "done";
        case OperationStatus::no: return "no";
        case OperationStatus::failed: return "failed";
    }
    return "failed";
}

namespace tables {

// No secondary index: each would cost a page of flash per commit, and damage in one is invisible to quick_check.
const char* const kSchema =
    "CREATE TABLE state(key TEXT PRIMARY KEY, json TEXT NOT NULL, checksum TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE history(number INTEGER PRIMARY KEY, wall_usec INTEGER NOT NULL, boot_id TEXT NOT NULL, model TEXT "
    "NOT NULL,"
    " decision TEXT NOT NULL, checksum TEXT NOT NULL);"
    "CREATE TABLE operations(seq INTEGER PRIMARY KEY, key TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,"
    " version TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, result TEXT NOT NULL,"
    " begun_wall_usec INTEGER NOT NULL, ended_wall_usec INTEGER NOT NULL, checksum TEXT NOT NULL);"
    "CREATE TABLE manifests(model TEXT NOT NULL, rev TEXT NOT NULL, added INTEGER NOT NULL, text TEXT NOT NULL,"
    " file TEXT NOT NULL, origin TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY(model, rev)) WITHOUT ROWID;"
    "CREATE TABLE versions(model TEXT NOT NULL, digest TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,"
    " PRIMARY KEY(model, digest)) WITHOUT ROWID;"
    "CREATE TABLE timers(model TEXT NOT NULL, timer TEXT NOT NULL, duration_usec INTEGER NOT NULL,"
    " elapsed_usec INTEGER NOT NULL, boot_id TEXT NOT NULL, since_usec INTEGER NOT NULL, checksum TEXT NOT NULL,"
    " PRIMARY KEY(model, timer)) WITHOUT ROWID;"
    "CREATE TABLE measurements(model TEXT NOT NULL, trial_id INTEGER NOT NULL, check_name TEXT NOT NULL,"
    " measurement TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY(model, trial_id, check_name)) WITHOUT ROWID;";

const char* const kSelectState = "SELECT key, json, checksum FROM state";
const char* const kSelectHistory = "SELECT number, wall_usec, boot_id, model, decision, checksum FROM history";
const char* const kSelectOperations =
    "SELECT seq, key, kind, model, version, status, code, text, result, begun_wall_usec, ended_wall_usec, checksum "
    "FROM operations";
const char* const kSelectManifests = "SELECT model, rev, added, text, file, origin, checksum FROM manifests";
const char* const kSelectVersions = "SELECT model, digest, json, checksum FROM versions";
const char* const kSelectTimers =
    "SELECT model, timer, duration_usec, elapsed_usec, boot_id, since_usec, checksum FROM timers";
const char* const kSelectMeasurements = "SELECT model, trial_id, check_name, measurement, checksum FROM measurements";

Result<void> write_state(Database& database, std::string_view key, std::string_view json) {
    return database.write("state",
                          "INSERT INTO state(key, json, checksum) VALUES(?,?,?) "
                          "ON CONFLICT(key) DO UPDATE SET json=excluded.json, checksum=excluded.checksum",
                          Row().text(key).text(json));
}

Result<void> erase_state(Database& database, std::string_view key) {
    return database.execute("DELETE FROM state WHERE key=?", Row().text(key));
}

Result<std::size_t> write_history(Database& database, const HistoryEntry& entry) {
    const std::string decision = decision_to_json(entry.decision);
    MG_CHECK(database.write(
        "history", "INSERT INTO history(number, wall_usec, boot_id, model, decision, checksum) VALUES(?,?,?,?,?,?)",
        Row()
            .integer(entry.number)
            .integer(entry.wall_usec)
            .text(entry.boot_id)
            .text(entry.decision.model)
            .text(decision)));
    return decision.size();
}

Result<void> write_operation(Database& database, const Operation& operation) {
    return database.write(
        "operations",
        "INSERT INTO operations(seq, key, kind, model, version, status, code, text, result, begun_wall_usec, "
        "ended_wall_usec,"
        " checksum) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(seq) DO UPDATE SET key=excluded.key, "
        "kind=excluded.kind,"
        " model=excluded.model, version=excluded.version, status=excluded.status, code=excluded.code, "
        "text=excluded.text,"
        " result=excluded.result, begun_wall_usec=excluded.begun_wall_usec, ended_wall_usec=excluded.ended_wall_usec,"
        " checksum=excluded.checksum",
        Row()
            .integer(static_cast<std::int64_t>(operation.seq))
            .text(operation.key)
            .text(operation.kind)
            .text(operation.model)
            .text(operation.version.text)
            .text(to_word(operation.status))
            .text(operation.code)
            .text(operation.text)
            .text(operation.result)
            .integer(operation.begun_wall_usec)
            .integer(operation.ended_wall_usec));
}

Result<void> write_manifest(Database& database, const StoredManifest& manifest) {
    MG_TRY(const std::int64_t newest, database.number("SELECT coalesce(max(added), 0) FROM manifests"));
    return database.write(
        "manifests",
        "INSERT INTO manifests(model, rev, added, text, file, origin, checksum) VALUES(?,?,?,?,?,?,?) "
        "ON CONFLICT(model, rev) DO UPDATE SET added=excluded.added, text=excluded.text, file=excluded.file,"
        " origin=excluded.origin, checksum=excluded.checksum",
        Row()
            .text(manifest.model)
            .text(manifest.rev)
            .integer(newest + 1)
            .text(manifest.text)
            .text(manifest.file)
            .text(core::to_word(manifest.origin)));
}

Result<void> write_version(Database& database, const StoredVersion& version) {
    std::string json = version_info_to_json(version.info);
    {
        MG_TRY(Cursor row, database.query("SELECT json FROM versions WHERE model=? AND digest=?",
                                          Row().text(version.model).text(version.info.digest.text)));
        MG_TRY(const bool found, row.next());
        if (found) json = keep_unknown_keys(row.text(0), json);
    }
    return database.write("versions",
                          "INSERT INTO versions(model, digest, json, checksum) VALUES(?,?,?,?) "
                          "ON CONFLICT(model, digest) DO UPDATE SET json=excluded.json, checksum=excluded.checksum",
                          Row().text(version.model).text(version.info.digest.text).text(json));
}

Result<void> erase_version(Database& database, const std::string& model, const Digest& digest) {
    return database.execute("DELETE FROM versions WHERE model=? AND digest=?", Row().text(model).text(digest.text));
}

Result<void> write_timer(Database& database, const StoredTimer& timer) {
    return database.write(
        "timers",
        "INSERT INTO timers(model, timer, duration_usec, elapsed_usec, boot_id, since_usec, checksum) "
        "VALUES(?,?,?,?,?,?,?) ON CONFLICT(model, timer) DO UPDATE SET duration_usec=excluded.duration_usec,"
        " elapsed_usec=excluded.elapsed_usec, boot_id=excluded.boot_id, since_usec=excluded.since_usec,"
        " checksum=excluded.checksum",
        Row()
            .text(timer.model)
            .text(core::to_word(timer.timer))
            .integer(timer.duration.count())
            .integer(timer.elapsed.count())
            .text(timer.boot_id)
            .integer(timer.since.boottime_usec));
}

Result<void> erase_timer(Database& database, const std::string& model, core::Timer timer) {
    return database.execute("DELETE FROM timers WHERE model=? AND timer=?",
                            Row().text(model).text(core::to_word(timer)));
}

Result<void> write_measurement(Database& database, const Measurement& measurement) {
    const auto trial = static_cast<std::int64_t>(measurement.trial_id);
    MG_CHECK(database.execute("DELETE FROM measurements WHERE model=? AND trial_id<>?",
                              Row().text(measurement.model).integer(trial)));
    return database.write(
        "measurements",
        "INSERT INTO measurements(model, trial_id, check_name, measurement, checksum) VALUES(?,?,?,?,?) "
        "ON CONFLICT(model, trial_id, check_name) DO UPDATE SET measurement=excluded.measurement, "
        "checksum=excluded.checksum",
        Row().text(measurement.model).integer(trial).text(measurement.check).text(measurement.measurement));
}

Result<void> erase_model(Database& database, const std::string& model, bool keep_manifests) {
    if (!keep_manifests) MG_CHECK(database.execute("DELETE FROM manifests WHERE model=?", Row().text(model)));
    MG_CHECK(database.execute("DELETE FROM timers WHERE model=?", Row().text(model)));
    return database.execute("DELETE FROM measurements WHERE model=?", Row().text(model));
}

Result<void> prune_manifests(Database& database, const std::string& model, const std::vector<std::string>& needed,
                             std::size_t kept) {
    std::vector<std::string> unneeded;
    {
        MG_TRY(Cursor rows,
               database.query("SELECT rev FROM manifests WHERE model=? ORDER BY added DESC LIMIT -1 OFFSET ?",
                              Row().text(model).integer(static_cast<std::int64_t>(kept))));
        for (;;) {
            MG_TRY(const bool more, rows.next());
            if (!more) break;
            if (std::ranges::find(needed, rows.text(0)) == needed.end()) unneeded.emplace_back(rows.text(0));
        }
    }
    for (const std::string& rev : unneeded)
        MG_CHECK(database.execute("DELETE FROM manifests WHERE model=? AND rev=?", Row().text(model).text(rev)));
    return {};
}

Result<void> prune_operations(Database& database, std::size_t kept) {
    return database.execute(
        "DELETE FROM operations WHERE status<>'running' AND seq <= (SELECT seq FROM operations ORDER BY seq DESC LIMIT "
        "1 OFFSET ?)",
        Row().integer(static_cast<std::int64_t>(kept)));
}

StoredManifest read_manifest(const Cursor& row, std::vector<std::string>& notes) {
    StoredManifest manifest{.model = std::string(row.text(0)),
                            .rev = std::string(row.text(1)),
                            .text = std::string(row.text(3)),
                            .file = std::string(row.text(4)),
                            .origin = core::Origin::applied};
    if (const auto origin = core::from_word<core::Origin>(row.text(5)))
        manifest.origin = *origin;
    else  // applied: it stays until somebody removes it, whatever becomes of where it came from
        notes.push_back("manifest of " + manifest.model + ": unknown origin '" + printable_name(row.text(5)) +
                        "', read as applied");
    return manifest;
}

std::optional<StoredVersion> read_version(const Cursor& row, std::vector<std::string>& notes) {
    StoredVersion version{.model = std::string(row.text(0)), .info = {}};
    Result<VersionInfo> info = version_info_from_json(row.text(2));
    if (!info) {
        notes.push_back("version " + Digest{std::string(row.text(1))}.short_form() + " of " + version.model + ": " +
                        info.error().what + "; left out");
        return std::nullopt;
    }
    version.info = std::move(*info);
    return version;
}

std::optional<StoredTimer> read_timer(const Cursor& row, std::vector<std::string>& notes) {
    const auto timer = core::from_word<core::Timer>(row.text(1));
    if (!timer) {
        notes.push_back("unknown timer '" + printable_name(row.text(1)) + "'; left alone");
        return std::nullopt;
    }
    return StoredTimer{.model = std::string(row.text(0)),
                       .timer = *timer,
                       .duration = Usec{row.integer(2)},
                       .elapsed = Usec{row.integer(3)},
                       .boot_id = std::string(row.text(4)),
                       .since = {row.integer(5)}};
}

Operation read_operation(const Cursor& row) {
    Operation operation{.seq = static_cast<std::uint64_t>(row.integer(0)),
                        .key = std::string(row.text(1)),
                        .kind = std::string(row.text(2)),
                        .model = std::string(row.text(3)),
                        .version = Digest{std::string(row.text(4))},
                        .status = OperationStatus::failed,  // what an unknown word is read as: nobody is to wait for it
                        .code = std::string(row.text(6)),
                        .text = std::string(row.text(7)),
                        .result = std::string(row.text(8)),
                        .begun_wall_usec = row.integer(9),
                        .ended_wall_usec = row.integer(10)};
    for (const auto status : {OperationStatus::running, OperationStatus::done, OperationStatus::no})
        if (row.text(5) == to_word(status)) operation.status = status;
    return operation;
}

}  // namespace tables
}  // namespace modelguard::store
