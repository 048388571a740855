"""Mistakes in what is stored: (name, file, text that occurs once, what replaces it, suite that must find it, operation). The suites
"corruption" and "ledger" are programs of tests/store and have no operations."""

FILES, PLACE, STREAM, SQLITE, LEDGER, LOAD, BACKUP, RECOVERY, VERSIONS, QUARANTINE = (
    f"supervisor/{name}.cpp" for name in ("sys/files", "store/place_tree", "store/import_stream", "store/sqlite", "store/ledger", "store/ledger_load",
                                          "store/ledger_backup", "store/recovery", "store/versions", "store/quarantine"))
RUNNER, SWITCH = "supervisor/daemon/runner.cpp", "rollback/switch_files.cpp"
FIRST, BAD_FIRST, GOOD, BAD, BACK, CORRUPT, AGAIN, GARBAGE, LEDGER_LOST, KILLED_BACK, KILLED_FIRST = (
    "first install", "bad first install", "good upgrade", "bad upgrade", "manual rollback", "rollback, target corrupt", "damaged version again",
    "garbage collection", "damaged ledger", "killed on the way back",
    "killed in first install")

# name → why no test can tell it from the original
EQUIVALENT = {
    "imported_root_not_synced": "settle() syncs the same directory once it is in its place, and nothing refers to it before",
    "placed_version_not_synced": "only its mode changed since the import synced it, and the mode of a directory is not part of a version",
    "new_ledger_not_synced": "SQLite syncs the same directory with the first sync of its journal and of its log, before anything is committed",
    "retired_version_not_synced": "the ledger has forgotten it: what is back has no row and is removed at the next start, or synced and hashed by the "
                                  "import of the same version",
    "quarantine_not_synced": "nothing refers to what is in quarantine; back in versions/ it has no row in the ledger and is removed at the next start",
    "damaged_ledger_not_synced": "the new ledger is made next, and its directory, which is the same, is synced before anything is written to it",
    "damaged_ledger_goes_before_its_log": "a start that finds a log without its database sets it aside as well, before SQLite sees it",
    "cut_log_not_synced": "until the next commit, which syncs the same file, what may come back is the commit that was to be tried again, or a "
                          "request whose answer did not say that it was taken",
    "link_to_nothing": "a switch follows the verification of its version, and nothing is collected while one is under way",
}

MUTANTS = [
    # ---- an fsync less
    ("file_not_synced", STREAM, "if (::fsync(file.get()) != 0) return fail_errno(\"fsync '\" + printable_name(path) + \"'\", errno);", "", "power", GOOD),
    ("imported_folder_not_synced", STREAM,
     "if (::fsync(directory.get()) != 0) return fail_errno(\"fsync '\" + printable_name(path) + \"'\", errno);", "", "power", GOOD),
    ("imported_root_not_synced", STREAM, "if (::fsync(root_.get()) != 0) return fail_errno(\"fsync the new version\", errno);", "", "power", GOOD),
    ("placed_version_not_synced", PLACE, "    MG_CHECK(sys::fsync_directory(version));\n", "", "power", GOOD),
    ("place_not_synced", PLACE, "    return sys::fsync_directory(version.parent_path());\n", "    return {};\n", "power", GOOD),
    ("retired_version_not_synced", PLACE, "    return sys::fsync_directory(target.parent_path());\n", "    return {};\n", "power", GARBAGE),
    ("made_directories_not_synced", FILES, "        MG_CHECK(fsync_directory(parent));\n", "", "power", FIRST),
    ("found_directory_not_synced", FILES, "            MG_CHECK(fsync_parent_of_found(at));\n", "", "power", KILLED_FIRST),
    ("quarantine_not_synced", QUARANTINE, "    return sys::fsync_directory(folder);\n", "    return {};\n", "power", CORRUPT),
    ("link_not_synced", FILES, "        return failed(\"rename to\", link, cause);\n    }\n    return fsync_fd(directory, link);",
     "        return failed(\"rename to\", link, cause);\n    }\n    return {};", "power", BACK),
    ("link_that_is_right_not_synced", FILES, "    if (present == target) return fsync_fd(directory, link);", "    if (present == target) return {};",
     "power", KILLED_BACK),
    ("removed_link_not_synced", FILES, "return failed(\"remove link\", link, errno);\n    return fsync_fd(place.directory.get(), link);",
     "return failed(\"remove link\", link, errno);\n    return {};", "power", BAD_FIRST),
    ("backup_not_synced", FILES, "    MG_CHECK(write_all(fd.get(), content, path));\n    MG_CHECK(fsync_fd(fd.get(), path));\n",
     "    MG_CHECK(write_all(fd.get(), content, path));\n", "power", GOOD),
    ("backup_directory_not_synced", FILES, "        return done;\n    }\n    return fsync_fd(place.directory.get(), path);",
     "        return done;\n    }\n    return {};", "power", GOOD),
    ("commits_not_synced", SQLITE, "PRAGMA synchronous=FULL;", "PRAGMA synchronous=NORMAL;", "power", GOOD),
    ("nothing_synced_by_the_ledger", SQLITE, "PRAGMA synchronous=FULL;", "PRAGMA synchronous=OFF;", "power", GOOD),
    ("new_ledger_not_synced", SQLITE, "        MG_CHECK(sys::fsync_directory(file.parent_path()));\n", "", "power", FIRST),
    ("cut_log_not_synced", LEDGER, "if (::ftruncate(fd.get(), log_bytes_) != 0 || ::fsync(fd.get()) != 0)", "if (::ftruncate(fd.get(), log_bytes_) != 0)",
     "power", GOOD),
    ("damaged_ledger_not_synced", RECOVERY, "    MG_CHECK(sys::fsync_directory(file.parent_path()));\n    return name(number)", "    return name(number)",
     "power", LEDGER_LOST),
    # ---- the order of two steps
    ("link_removed_before_it_is_made", FILES, "    int r = ::symlinkat(target.c_str(), directory, place.temp.c_str());\n",
     "    ::unlinkat(directory, place.name.c_str(), 0);\n    int r = ::symlinkat(target.c_str(), directory, place.temp.c_str());\n", "kill", GOOD),
    ("acts_before_it_persists", RUNNER, "        MG_TRY(const std::vector<std::int64_t> numbers, commit(changes));\n",
     "        state_ = next.state;\n        for (const core::Action& action : next.actions)\n            perform(action);\n        next.actions.clear();\n"
     "        MG_TRY(const std::vector<std::int64_t> numbers, commit(changes));\n", "kill", GOOD),
    ("collects_before_it_forgets", RUNNER, "    if (changes.forgotten_versions.empty()) return quarantined;\n",
     "    for (const auto& [name, digest] : changes.forgotten_versions)\n        std::ignore = parts_.versions.remove(name, digest);\n"
     "    if (changes.forgotten_versions.empty()) return quarantined;\n", "kill", GARBAGE),
    ("damaged_ledger_goes_before_its_log", RECOVERY, "for (const char* part : {\"-wal\", \"-journal\", \"\"})",
     "for (const char* part : {\"\", \"-wal\", \"-journal\"})", "kill", LEDGER_LOST),
    ("moved_link_is_not_told", SWITCH, "outcome.link_moved = now && *now == target && (target || request.to.empty());", "", "errno", GOOD),
    # ---- a failure that is not dealt with
    ("event_lost_with_its_commit", RUNNER, "            storage_trouble(done.error());\n            break;",
     "            storage_trouble(done.error());\n            queue_.pop_front();\n            break;", "errno-lasting", GOOD),
    ("ledger_not_opened_anew", RUNNER, "    storage_retry_ = parts_.loop.add_timer(kStorageRetry, [this] { ensure_storage(); });\n", "", "errno-lasting", BAD),
    ("failed_commit_stays_in_the_log", LEDGER, "    if (status.st_size <= log_bytes_) return {};", "    if (true) return {};", "errno", GOOD),
    ("handle_used_after_a_failed_commit", LEDGER, "        abandon();\n        return std::unexpected(as_io(std::move(done).error()));",
     "        return std::unexpected(as_io(std::move(done).error()));", "errno", GOOD),
    # ---- a check less
    ("stale_temp_of_a_link_stays", FILES, "    if (r != 0 && errno == EEXIST) {", "    if (false) {", "kill", GOOD),
    ("stale_temp_of_a_file_stays", FILES, "    if (fd < 0 && errno == EEXIST) {", "    if (false) {", "kill", GOOD),
    ("staging_not_emptied", VERSIONS, "    for (const sys::Path& path : left)\n        rubbish_->remove(path);\n", "", "kill", GOOD),
    ("wrong_digest_is_believed", VERSIONS, "        if (found == digest.text)", "        if (found == digest.text || true)", "kill", CORRUPT),
    ("unreadable_version_is_intact", VERSIONS, "return Verified{.intact = false, .why = std::move(error.what), .stamps = {}};",
     "return Verified{.intact = true, .why = std::move(error.what), .stamps = {}};", "kill", AGAIN),
    ("stamps_always_agree", VERSIONS, "if (now && !stamps_difference(stamps, std::move(*now))) {", "if (now) {", "kill", CORRUPT),
    ("damaged_version_not_replaced", VERSIONS, "    if (old->intact) {", "    if (true) {", "kill", AGAIN),
    ("link_to_nothing", SWITCH, "if (!std::filesystem::is_directory(model_dir / target, error))", "if (false)", "kill", CORRUPT),
    ("write_ends_short", FILES, "        content.remove_prefix(static_cast<std::size_t>(count));\n", "        content = {};\n", "errno", GOOD),
    ("rows_are_believed", SQLITE, "    return shortened(sum) == text(last);", "    return true;", "corruption", ""),
    ("rows_of_two_commits", LOAD, "    if (device[\"rows\"].is_object() && device[\"rows\"] != nlohmann::json(checksums_))", "    if (false)", "ledger", ""),
    ("rows_may_be_missing", LOAD, " || device[\"models\"] != loaded.state.models.size())", ")", "ledger", ""),
    ("structure_not_checked", LOAD, "    if (!answered || check.text(0) != \"ok\")", "    if (!answered)", "ledger", ""),
    ("schema_not_looked_at", LOAD, "    if (version == tables::kSchemaVersion) MG_CHECK(check_schema());\n", "", "ledger", ""),
    ("lost_commits_not_noticed", RECOVERY, "return backup() != nullptr && number && *number < backup()->commit;", "return number && false;", "corruption", ""),
    ("backup_is_believed", BACKUP, "    if (!rest.starts_with(stated)) return {};", "    if (rest.size() < stated.size()) return {};", "ledger", ""),
    ("number_of_a_backup_is_believed", BACKUP, "if (const auto stated = object.find(\"backup\"); stated != object.end() && *stated != in_second_line)",
     "if (false)", "ledger", ""),
]
