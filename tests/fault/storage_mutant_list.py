"""Mistakes in what is stored: (name, file in supervisor, text that occurs once, what replaces it, suite that must find it, operation)."""

FILES, PLACE, STREAM, SQLITE, VERSIONS, RUNNER = ("sys/files.cpp", "store/place_tree.cpp", "store/import_stream.cpp", "store/sqlite.cpp",
                                                  "store/versions.cpp", "daemon/runner.cpp")
FIRST, GOOD, BACK, CORRUPT = "first install", "good upgrade", "manual rollback", "rollback, target corrupt"

# name → why no test can tell it from the original
EQUIVALENT = {
    "link_not_synced": "the ledger is the authority: a link that points elsewhere is put right at start, and what it named before is kept",
    "imported_root_not_synced": "place_tree syncs the same directory again once it is in its place",
    "placed_version_not_synced": "only its mode changed since the import synced it, and the mode is not part of a version",
    "backup_directory_not_synced": "the older of the two is whole, and state.bak may be one decision behind",
}

MUTANTS = [
    # ---- an fsync less
    ("file_not_synced", STREAM, "if (::fsync(file.get()) != 0) return fail_errno(\"fsync '\" + printable(path) + \"'\", errno);", "", "power", GOOD),
    ("imported_folder_not_synced", STREAM,
     "if (::fsync(directory.get()) != 0) return fail_errno(\"fsync '\" + printable(path) + \"'\", errno);", "", "power", GOOD),
    ("imported_root_not_synced", STREAM, "if (::fsync(root_.get()) != 0) return fail_errno(\"fsync the new version\", errno);", "", "power", GOOD),
    ("placed_version_not_synced", PLACE, "    MG_CHECK(sys::fsync_directory(version));\n", "", "power", GOOD),
    ("place_not_synced", PLACE, "    return sys::fsync_directory(version.parent_path());\n", "    return {};\n", "power", GOOD),
    ("made_directories_not_synced", FILES, "        MG_CHECK(fsync_directory(parent));\n", "", "power", FIRST),
    ("link_not_synced", FILES, "        return failed(\"rename to\", link, cause);\n    }\n    return fsync_fd(directory, link);",
     "        return failed(\"rename to\", link, cause);\n    }\n    return {};", "power", GOOD),
    ("backup_not_synced", FILES, "    MG_CHECK(write_all(fd.get(), content, path));\n    MG_CHECK(fsync_fd(fd.get(), path));\n",
     "    MG_CHECK(write_all(fd.get(), content, path));\n", "power", GOOD),
    ("backup_directory_not_synced", FILES, "        return done;\n    }\n    return fsync_fd(place.directory.get(), path);",
     "        return done;\n    }\n    return {};", "power", GOOD),
    ("commits_not_synced", SQLITE, "PRAGMA synchronous=FULL;", "PRAGMA synchronous=NORMAL;", "power", GOOD),
    ("nothing_synced_by_the_ledger", SQLITE, "PRAGMA synchronous=FULL;", "PRAGMA synchronous=OFF;", "power", GOOD),
    ("new_ledger_not_synced", SQLITE, "        MG_CHECK(sys::fsync_directory(file.parent_path()));\n", "", "power", FIRST),
    # ---- the order of two steps
    ("link_removed_before_it_is_made", FILES, "    int r = ::symlinkat(target.c_str(), directory, place.temp.c_str());\n",
     "    ::unlinkat(directory, place.name.c_str(), 0);\n    int r = ::symlinkat(target.c_str(), directory, place.temp.c_str());\n", "kill", GOOD),
    ("acts_before_it_persists", RUNNER, "        MG_TRY(const std::vector<std::int64_t> numbers, commit(changes));\n",
     "        state_ = next.state;\n        for (const core::Action& action : next.actions)\n            perform(action);\n        next.actions.clear();\n"
     "        MG_TRY(const std::vector<std::int64_t> numbers, commit(changes));\n", "kill", BACK),
    # ---- a check less
    ("stale_temp_of_a_link_stays", FILES, "    if (r != 0 && errno == EEXIST) {", "    if (false) {", "kill", GOOD),
    ("stale_temp_of_a_file_stays", FILES, "    if (fd < 0 && errno == EEXIST) {", "    if (false) {", "kill", GOOD),
    ("staging_not_emptied", VERSIONS, "    for (const sys::Path& path : left)\n        MG_CHECK(sys::remove_tree(path));\n", "", "kill", GOOD),
    ("wrong_digest_is_believed", VERSIONS, "        if (found == digest.text)", "        if (found == digest.text || true)", "kill", CORRUPT),
    ("unreadable_version_is_intact", VERSIONS, "return Verified{.intact = false, .why = std::move(error.what), .stamps = {}};",
     "return Verified{.intact = true, .why = std::move(error.what), .stamps = {}};", "kill", CORRUPT),
    ("write_ends_short", FILES, "        content.remove_prefix(static_cast<std::size_t>(count));\n", "        content = {};\n", "kill", GOOD),
]
