#include "supervisor/store/ledger_backup.hpp"

#include <algorithm>
#include <charconv>

#include "supervisor/base/text.hpp"
#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/ledger_tables.hpp"
#include "supervisor/store/sqlite_ledger.hpp"
#include "supervisor/store/tree.hpp"
#include "supervisor/store/version_json.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

using nlohmann::json;

namespace {

constexpr int kFormat = 1;  // a reader that meets a larger one restores nothing from it
// `modelguard status` reads at most 16 MiB. What the state itself needs is a few kB a model.
constexpr std::size_t kMostTextBytes = 8u << 20;
constexpr std::size_t kMaxBackupBytes = 16u << 20;

json timer_to_json(const StoredTimer& timer) {
    return {{"model", timer.model},
            {"timer", core::to_word(timer.timer)},
            {"duration_usec", timer.duration.count()},
            {"elapsed_usec", timer.elapsed.count()},
            {"boot_id", timer.boot_id},
            {"since_usec", timer.since.boottime_usec}};
}

json operation_to_json(const Operation& operation) {
    return {{"seq", operation.seq},
            {"key", operation.key},
            {"kind", operation.kind},
            {"model", operation.model},
            {"version", operation.version.text},
            {"begun_wall_usec", operation.begun_wall_usec}};
}

json manifest_to_json(const StoredManifest& manifest) {
    return {{"model", manifest.model},
            {"rev", manifest.rev},
            {"text", manifest.text},
            {"file", manifest.file},
            {"origin", core::to_word(manifest.origin)}};
}

/// All whole rows of a table.
template <class Take>
Result<void> each_row(Database& database, const char* select, const char* table, Take take) {
    MG_TRY(Cursor rows, database.query(select, {}));
    for (;;) {
        MG_TRY(const bool more, rows.next());
        if (!more) return {};
        if (rows.is_intact(table)) take(rows);
    }
}

// ---- back -----------------------------------------------------------------------------------------------------------

/// What is missing here is an exception of nlohmann: a backup with a hole in it is no backup.
void read_state(const json& rows, Loaded& into, std::vector<std::string>& notes) {
    into.state.next_id = whole_number<std::uint64_t>(rows.at(std::string(tables::kDeviceKey)).at("next_id"));
    const auto whole = [](auto result) {
        if (!result) throw json::other_error::create(501, result.error().what, static_cast<const json*>(nullptr));
        return std::move(*result);
    };
    into.state.os = whole(os_state_from_json(dump_json(rows.at(std::string(tables::kOsKey))), notes));
    for (const auto& [key, value] : rows.items())
        if (key.starts_with(tables::kModelPrefix))
            into.state.models[key.substr(tables::kModelPrefix.size())] =
                whole(model_state_from_json(dump_json(value), notes));
}

LedgerBackup backup_from_json(const json& ledger) {
    LedgerBackup backup;
    std::vector<std::string>& notes = backup.loaded.notes;
    if (ledger.at("format") != kFormat)
        throw json::other_error::create(501, "its format is of another release", static_cast<const json*>(nullptr));
    backup.commit = whole_number<decltype(backup.commit)>(ledger.at("commit"));
    backup.last_history = whole_number<decltype(backup.last_history)>(ledger.at("history"));
    read_state(ledger.at("state"), backup.loaded, notes);
    for (const json& item : ledger.at("versions"))
        if (auto info = version_info_from_json(dump_json(item.at("info"))))
            backup.loaded.versions.push_back({item.at("model"), std::move(*info)});
    for (const json& item : ledger.at("manifests")) {
        const auto origin = core::from_word<core::Origin>(item.at("origin").get<std::string>());
        backup.loaded.manifests.push_back({item.at("model"), item.at("rev"), item.at("text"), item.at("file"),
                                           origin.value_or(core::Origin::applied)});
    }
    for (const json& item : ledger.at("timers")) {
        const auto timer = core::from_word<core::Timer>(item.at("timer").get<std::string>());
        if (!timer) continue;  // of a newer release: left out, as from the database
        backup.loaded.timers.push_back({.model = item.at("model"),
                                        .timer = *timer,
                                        .duration = Usec{whole_number<std::int64_t>(item.at("duration_usec"))},
                                        .elapsed = Usec{whole_number<std::int64_t>(item.at("elapsed_usec"))},
                                        .boot_id = item.at("boot_id"),
                                        .since = {whole_number<std::int64_t>(item.at("since_usec"))}});
    }
    for (const json& item : ledger.at("operations"))
        backup.loaded.open_operations.push_back(
            {.seq = whole_number<std::uint64_t>(item.at("seq")),
             .key = item.at("key"),
             .kind = item.at("kind"),
             .model = item.at("model"),
             .version = Digest{item.at("version").get<std::string>()},
             .begun_wall_usec = whole_number<std::int64_t>(item.at("begun_wall_usec"))});
    for (const json& item : ledger.at("measurements"))
        backup.measurements.push_back({item.at("model"), item.at("trial_id"), item.at("check"), item.at("text")});
    return backup;
}

/// The JSON line of a whole file, and its number; empty where it does not verify.
std::string_view verified_line(std::string_view text, std::uint64_t& number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !text.ends_with('\n')) return {};
    const std::string_view line = text.substr(0, end);
    const std::string stated = "sha256:" + sys::sha256_hex(line) + " ";
    std::string_view rest = text.substr(end + 1);
    if (!rest.starts_with(stated)) return {};
    rest.remove_prefix(stated.size());
    rest.remove_suffix(1);
    const auto [stopped, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    return error == std::errc{} && stopped == rest.data() + rest.size() ? line : std::string_view();
}

/// nullopt where it is whole and from a release that kept nothing of the ledger in it. `number` is set where it is
/// whole, also where it is of no use.
Result<std::optional<LedgerBackup>> read_one(const sys::Path& path, std::uint64_t& number) try {
    MG_TRY(const std::string text, sys::read_file(path, kMaxBackupBytes));
    std::uint64_t in_second_line = 0;
    const std::string_view line = verified_line(text, in_second_line);
    if (line.empty()) return fail(ErrorKind::malformed_reply, "it does not verify");
    const json object = json::parse(line);
    // The number in the second line is not under its checksum; this one is.
    if (const auto stated = object.find("backup"); stated != object.end() && *stated != in_second_line)
        return fail(ErrorKind::malformed_reply, "it does not verify");
    number = in_second_line;
    const auto ledger = object.find("ledger");
    if (ledger == object.end()) return std::optional<LedgerBackup>();
    return std::optional(backup_from_json(*ledger));
} catch (const json::exception& error) {
    return fail(ErrorKind::malformed_reply, error.what());
}

}  // namespace

std::vector<std::string> manifests_of(const core::ModelState& model) {
    std::vector<std::string> needed{model.manifest.rev, model.offered_rev};
    if (model.next_manifest) needed.push_back(model.next_manifest->rev);
    if (model.trial) needed.push_back(model.trial->manifest.rev);
    if (model.revert) needed.push_back(model.revert->manifest.rev);
    for (const core::KnownGood& good : model.known_good)
        needed.push_back(good.manifest.rev);
    return needed;
}

Result<std::string> SqliteLedger::backup_json() {
    if (!database_) return std::unexpected(closed());
    if (!state_) return std::string();
    json rows{{std::string(tables::kDeviceKey), {{"next_id", state_->next_id}}}};
    for (const auto& [key, text] : state_texts_)
        rows[key] = json::parse(text);
    json versions = json::array(), manifests = json::array(), timers = json::array(), operations = json::array(),
         measurements = json::array();
    std::vector<std::string> notes;  // said when it was opened
    MG_CHECK(each_row(*database_, tables::kSelectVersions, "versions", [&](const Cursor& row) {
        if (const auto version = tables::read_version(row, notes))
            versions.push_back({{"model", version->model}, {"info", json::parse(version_info_to_json(version->info))}});
    }));
    std::size_t text_bytes = 0;
    MG_CHECK(each_row(*database_, tables::kSelectManifests, "manifests", [&](const Cursor& row) {
        const auto model = state_->models.find(row.text(0));
        if (model == state_->models.end()) return;
        const std::vector<std::string> needed = manifests_of(model->second);
        if (std::ranges::find(needed, row.text(1)) == needed.end()) return;
        text_bytes += row.text(3).size();
        if (text_bytes > kMostTextBytes) return;  // checks under it are then inconclusive, and that is said
        manifests.push_back(manifest_to_json(tables::read_manifest(row, notes)));
    }));
    MG_CHECK(each_row(*database_, tables::kSelectTimers, "timers", [&](const Cursor& row) {
        if (const auto timer = tables::read_timer(row, notes)) timers.push_back(timer_to_json(*timer));
    }));
    MG_CHECK(each_row(*database_, tables::kSelectOperations, "operations", [&](const Cursor& row) {
        const Operation operation = tables::read_operation(row);
        if (operation.status == OperationStatus::running) operations.push_back(operation_to_json(operation));
    }));
    MG_CHECK(each_row(*database_, tables::kSelectMeasurements, "measurements", [&](const Cursor& row) {
        const auto model = state_->models.find(row.text(0));
        if (model == state_->models.end() || !model->second.trial) return;
        if (model->second.trial->id != static_cast<std::uint64_t>(row.integer(1))) return;
        text_bytes += row.text(3).size();
        if (text_bytes > kMostTextBytes) return;  // without its baseline a check asks absolute thresholds only
        measurements.push_back(
            {{"model", row.text(0)}, {"trial_id", row.integer(1)}, {"check", row.text(2)}, {"text", row.text(3)}});
    }));
    return dump_json({{"format", kFormat},
                      {"commit", commit_number_},
                      {"history", history_.next_number() - 1},
                      {"state", std::move(rows)},
                      {"versions", std::move(versions)},
                      {"manifests", std::move(manifests)},
                      {"timers", std::move(timers)},
                      {"operations", std::move(operations)},
                      {"measurements", std::move(measurements)}});
}

Backups read_ledger_backups(const sys::Path& directory) {
    Backups backups;
    for (const char* name : {"state.bak.0", "state.bak.1"}) {
        std::uint64_t number = 0;
        auto one = read_one(directory / name, number);
        backups.number = std::max(backups.number, number);  // the next one must be newer than a newer release's, too
        if (!one) {
            if (one.error().kind != ErrorKind::not_found)
                backups.broken.push_back(std::string(name) + ": " + printable_name(one.error().what));
            continue;
        }
        if (!*one || (backups.newest && backups.newest->commit >= (*one)->commit)) continue;
        backups.newest = std::move(**one);
        backups.newest->file = name;
    }
    return backups;
}

}  // namespace modelguard::store
