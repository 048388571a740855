#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "supervisor/base/text.hpp"
#include "supervisor/store/ledger_tables.hpp"
#include "supervisor/store/sqlite_ledger.hpp"
#include "supervisor/store/tree.hpp"

namespace modelguard::store {

namespace {
// Of each table: which rows, an operator may ask; a thousand more say nothing new.
constexpr std::size_t kMostTold = 5;
}  // namespace

Result<void> SqliteLedger::open_database() {
    in_transaction_ = false;
    struct stat status{};
    bytes_found_ = ::stat(file_.c_str(), &status) == 0 ? status.st_size : 0;
    // While a ledger is in use it has a log; a journal it has only until its first page is written.
    was_being_made_ = bytes_found_ <= page_bytes_ && ::stat(beside("-journal").c_str(), &status) == 0 &&
                      status.st_size > 0 && ::stat(beside("-wal").c_str(), &status) != 0;
    const std::int64_t log_found = ::stat(beside("-wal").c_str(), &status) == 0 ? status.st_size : 0;
    MG_TRY(database_, Database::open(file_));
    MG_TRY(page_bytes_, database_->number("PRAGMA page_size"));
    // From here on the log holds our own commits only, so that a failed one can be cut off again.
    const Result<int> frames = database_->checkpoint();
    if (!frames && frames.error().sys_errno == ENOSPC) {
        // The log is as good as the database: a full disk does not keep the daemon from starting.
        bytes_cut_off_ = 0;
        log_bytes_ = log_found;
        return {};
    }
    if (!frames) return std::unexpected(frames.error());
    // The log is cut at each checkpoint, so that what is behind its last whole commit is a commit that was cut off, or
    // commits that do not verify: which of the two, the backup tells (recovery.cpp).
    const std::int64_t whole = *frames == 0 ? 0 : kWalHeaderBytes + *frames * (kWalFrameHeaderBytes + page_bytes_);
    bytes_cut_off_ = std::max(std::int64_t{0}, log_found - whole);
    log_bytes_ = 0;
    return cut_log();
}

/// The texts of our tables as we made them: quick_check follows them, so that it cannot see damage in them. A release
/// that adds a column raises the schema version, and is not asked.
Result<void> SqliteLedger::check_schema() {
    std::string_view rest = tables::kSchema;
    while (!rest.empty()) {
        const std::string_view wanted = rest.substr(0, rest.find(';'));
        rest.remove_prefix(wanted.size() + 1);
        MG_TRY(Cursor row,
               database_->query("SELECT count(*) FROM sqlite_master WHERE type='table' AND sql=?", Row().text(wanted)));
        MG_TRY(const bool answered, row.next());
        if (!answered || row.integer(0) != 1)
            return fail(ErrorKind::malformed_reply,
                        "its schema is damaged at " + std::string(wanted.substr(0, wanted.find('('))));
    }
    return {};
}

/// An empty file becomes a ledger; another program's file, or one whose structure is damaged, is no ledger.
Result<void> SqliteLedger::check_identity(Loaded& loaded) {
    MG_TRY(const std::int64_t tables, database_->number("SELECT count(*) FROM sqlite_master"));
    MG_TRY(const std::int64_t application, database_->number("PRAGMA application_id"));
    MG_TRY(const std::int64_t version, database_->number("PRAGMA user_version"));
    // Made by us and killed before the tables were: nothing, the one page that says WAL, or a part of it with the
    // journal that undoes it. SQLite takes a file that was cut to a few bytes for an empty one, too; that is damage.
    if (tables == 0 && application == 0 && (bytes_found_ == 0 || bytes_found_ == page_bytes_ || was_being_made_)) {
        const std::string make = std::string("BEGIN IMMEDIATE;") + tables::kSchema +
                                 "PRAGMA application_id=" + std::to_string(tables::kApplicationId) +
                                 ";PRAGMA user_version=" + std::to_string(tables::kSchemaVersion) + ";COMMIT;";
        MG_CHECK(database_->run(make.c_str()));
        note_log_size();
        return {};
    }
    if (application != tables::kApplicationId)
        return fail(ErrorKind::malformed_reply, "it is not a ledger of modelguard");
    if (version >= tables::kNextMajorSchema)
        return fail(ErrorKind::unsupported,
                    "it was written by a release of another kind (schema " + std::to_string(version) +
                        ", this release understands those below " + std::to_string(tables::kNextMajorSchema) +
                        ") and is left as it is; what `current` names stays served. Install that release again, or, to "
                        "begin anew with the known-good versions and without what was rejected, move state.db* and "
                        "state.bak.* away");
    if (version > tables::kSchemaVersion)
        loaded.notes.push_back("the ledger was written by a newer release (schema " + std::to_string(version) +
                               "); what this release does not know is left alone");
    if (version == tables::kSchemaVersion) MG_CHECK(check_schema());
    MG_TRY(Cursor check, database_->query("PRAGMA quick_check(1)", {}));
    MG_TRY(const bool answered, check.next());
    if (!answered || check.text(0) != "ok")
        return fail(ErrorKind::malformed_reply,
                    "quick_check: " + printable_name(answered ? check.text(0) : "no answer"));
    return {};
}

/// Every row must be intact and all must be there: a state with a hole in it would be acted upon.
Result<void> SqliteLedger::load_state(Loaded& loaded) {
    const auto damaged = [](std::string why) { return fail(ErrorKind::malformed_reply, "state: " + std::move(why)); };
    MG_TRY(Cursor rows, database_->query(tables::kSelectState, {}));
    nlohmann::json device;
    bool has_os = false;
    for (;;) {
        MG_TRY(const bool more, rows.next());
        if (!more) break;
        const std::string key(rows.text(0));
        const std::string json(rows.text(1));
        if (!rows.is_intact("state")) return damaged("row '" + printable_name(key) + "' is damaged");
        std::vector<std::string> notes;
        if (key == tables::kOsKey) {
            MG_TRY(loaded.state.os, os_state_from_json(json, notes));
            has_os = true;
        } else if (key == tables::kDeviceKey) {
            device = nlohmann::json::parse(json, nullptr, false);
            if (!device.is_object() || !device["next_id"].is_number_unsigned() ||
                !device["models"].is_number_unsigned())
                return damaged("row 'device' is not what it should be");
            loaded.state.next_id = device["next_id"];
            for (const auto& [name, value] : device.items())
                if (name != "next_id" && name != "models" && name != "commit" && name != "rows")
                    newer_texts_[key] = json;
            continue;
        } else if (key.starts_with(tables::kModelPrefix)) {
            const std::string model = key.substr(tables::kModelPrefix.size());
            MG_TRY(loaded.state.models[model], with_context(model_state_from_json(json, notes), model));
            for (std::string& note : notes)
                note.insert(0, "model " + model + ": ");
        } else {
            loaded.notes.push_back("state: unknown row '" + printable_name(key) + "'; left alone");
            checksums_[key] = rows.text(2);  // it is one of the rows of the commit, and stays one
            continue;
        }
        loaded.notes.insert(loaded.notes.end(), notes.begin(), notes.end());
        if (!notes.empty()) newer_texts_[key] = json;
        state_texts_[key] = json;
        checksums_[key] = rows.text(2);
    }
    if (state_texts_.empty() && device.is_null()) return {};  // nothing was committed yet
    if (!has_os || !device.is_object() || device["models"] != loaded.state.models.size())
        return damaged("rows are missing");
    has_commit_number_ = device["commit"].is_number_unsigned();
    if (has_commit_number_) commit_number_ = device["commit"];
    if (device["rows"].is_object() && device["rows"] != nlohmann::json(checksums_))
        return damaged("its rows are not of one commit");
    state_ = loaded.state;
    return {};
}

/// Takes no entry into memory, only its number; damaged ones are dropped, since nothing is decided by them.
Result<void> SqliteLedger::load_history(Loaded& loaded) {
    history_ = {};
    std::vector<std::int64_t> damaged;
    {
        MG_TRY(Cursor rows, database_->query(std::string(tables::kSelectHistory) + " ORDER BY number", {}));
        for (;;) {
            MG_TRY(const bool more, rows.next());
            if (!more) break;
            const std::int64_t number = rows.integer(0);
            if (rows.is_intact("history")) {
                history_.add(number, std::string(rows.text(3)), rows.text(4).size());
            } else {
                damaged.push_back(number);
                history_.skip(number);
            }
        }
    }
    std::size_t told = 0;
    for (const std::int64_t number : damaged) {
        if (++told <= kMostTold)
            loaded.notes.push_back("history: entry " + std::to_string(number) + " was damaged and is dropped");
        MG_CHECK(database_->execute("DELETE FROM history WHERE number=?", Row().integer(number)));
    }
    if (told > kMostTold)
        loaded.notes.push_back("history: " + std::to_string(told - kMostTold) +
                               " more entries were damaged and are dropped");
    return {};
}

struct SqliteLedger::TableLoader {
    const char* table;
    std::string select;
    const char* erase;  ///< by the key columns, as texts
    int key_columns;
    std::function<void(const Cursor&)> take;
};

/// Reads the rows of one table; damaged ones are dropped by their key, with a note.
Result<void> SqliteLedger::load_table(const TableLoader& loader, Loaded& loaded) {
    std::vector<std::vector<std::string>> damaged;
    {
        MG_TRY(Cursor rows, database_->query(loader.select, {}));
        for (;;) {
            MG_TRY(const bool more, rows.next());
            if (!more) break;
            if (rows.is_intact(loader.table)) {
                loader.take(rows);
                continue;
            }
            auto& key = damaged.emplace_back();
            for (int column = 0; column < loader.key_columns; ++column)
                key.emplace_back(rows.text(column));
        }
    }
    std::size_t told = 0;
    if (!damaged.empty() && loader.table == std::string_view("versions")) loaded.versions_lost = true;
    for (const auto& key : damaged) {
        Row parameters;
        std::string shown;
        for (const std::string& part : key) {
            parameters.text(part);
            shown += (shown.empty() ? "" : ", ") + printable_name(part);
        }
        if (++told <= kMostTold)
            loaded.notes.push_back(std::string(loader.table) + ": row (" + shown + ") was damaged and is dropped");
        MG_CHECK(database_->execute(loader.erase, parameters));
    }
    if (told > kMostTold)
        loaded.notes.push_back(std::string(loader.table) + ": " + std::to_string(told - kMostTold) +
                               " more rows were damaged and are dropped");
    return {};
}

Result<void> SqliteLedger::load_tables(Loaded& loaded) {
    operations_ = 0;
    const TableLoader loaders[] = {
        {"manifests", std::string(tables::kSelectManifests) + " ORDER BY added",
         "DELETE FROM manifests WHERE model=? AND rev=?", 2,
         [&](const Cursor& row) { loaded.manifests.push_back(tables::read_manifest(row, loaded.notes)); }},
        {"versions", tables::kSelectVersions, "DELETE FROM versions WHERE model=? AND digest=?", 2,
         [&](const Cursor& row) {
             auto version = tables::read_version(row, loaded.notes);
             if (version)
                 loaded.versions.push_back(std::move(*version));
             else
                 loaded.versions_unread = true;
         }},
        {"timers", tables::kSelectTimers, "DELETE FROM timers WHERE model=? AND timer=?", 2,
         [&](const Cursor& row) {
             if (auto timer = tables::read_timer(row, loaded.notes)) loaded.timers.push_back(std::move(*timer));
         }},
        {"measurements", tables::kSelectMeasurements,
         "DELETE FROM measurements WHERE model=? AND trial_id=CAST(? AS INTEGER) AND check_name=?", 3,
         [](const Cursor&) {}},
        {"operations", std::string(tables::kSelectOperations) + " ORDER BY seq",
         "DELETE FROM operations WHERE seq=CAST(? AS INTEGER)", 1,
         [&](const Cursor& row) {
             ++operations_;
             Operation operation = tables::read_operation(row);
             if (operation.status == OperationStatus::running) loaded.open_operations.push_back(std::move(operation));
         }},
    };
    Result<void> result;
    for (const TableLoader& loader : loaders) {
        Result<void> read = load_table(loader, loaded);
        if (read) continue;
        if (read.error().kind != ErrorKind::malformed_reply) return read;
        loaded.notes.push_back(std::string(loader.table) + ": could not be read to its end: " + read.error().what);
        if (result) result = std::move(read);
    }
    return result;
}

Result<void> SqliteLedger::open_and_load(Loaded& loaded) {
    state_texts_.clear();
    newer_texts_.clear();
    checksums_.clear();
    state_.reset();
    commit_number_ = 0;
    has_commit_number_ = true;
    state_is_whole_ = false;
    MG_CHECK(open_database());
    Result<void> sound = check_identity(loaded);
    const bool is_foreign = !sound && sound.error().kind == ErrorKind::unsupported;
    if (!sound && !is_foreign && sound.error().kind != ErrorKind::malformed_reply) return sound;
    // The structure may be damaged elsewhere than in the state: its rows tell by their checksums.
    if (auto state = load_state(loaded); !state) return sound ? state : sound;
    // A ledger of another kind has no state that this release could read whole: a bit of its number fell over.
    if (is_foreign) sound = fail(ErrorKind::malformed_reply, "its schema number is damaged");
    state_is_whole_ = !state_texts_.empty();
    MG_CHECK(load_tables(loaded));
    MG_CHECK(sound);
    return load_history(loaded);
}

std::int64_t SqliteLedger::last_history_number() {
    if (!database_) return 0;
    const Result<std::int64_t> number = database_->number("SELECT coalesce(max(number), 0) FROM history");
    return number ? *number : 0;
}

}  // namespace modelguard::store
