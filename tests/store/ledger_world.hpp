#pragma once
// A ledger in a directory of its own, and plain SQLite access to its file for what only a test does.

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "supervisor/store/ledger.hpp"
#include "tests/store/rich_state.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::store::test {

struct LedgerTest : ::testing::Test {
    sys::test::TempDir dir;
    sys::Path file = dir / "state.db";
    Loaded loaded;
    std::unique_ptr<Ledger> ledger;

    LedgerTest() { ledger = open(); }

    std::unique_ptr<Ledger> open() {
        ledger.reset();
        auto opened = Ledger::open(file, loaded);
        EXPECT_TRUE(opened.has_value()) << opened.error().what;
        return opened ? std::move(*opened) : nullptr;
    }
    std::vector<std::int64_t> commit(const Changes& changes) {
        auto numbers = ledger->commit(changes);
        EXPECT_TRUE(numbers.has_value()) << numbers.error().what;
        return numbers.value_or(std::vector<std::int64_t>{});
    }
    /// SQL on the closed file; the first column of the first row.
    std::string sql(const std::string& text) {
        ledger.reset();
        sqlite3* raw = nullptr;
        EXPECT_EQ(sqlite3_open(file.c_str(), &raw), SQLITE_OK);
        std::string first;
        char* error = nullptr;
        sqlite3_exec(
            raw, text.c_str(),
            [](void* into, int, char** values, char**) {
                if (static_cast<std::string*>(into)->empty() && values[0]) *static_cast<std::string*>(into) = values[0];
                return 0;
            },
            &first, &error);
        EXPECT_EQ(error, nullptr) << error;
        sqlite3_free(error);
        sqlite3_close(raw);
        return first;
    }
    bool noted(std::string_view text) const {
        for (const std::string& note : loaded.notes)
            if (note.find(text) != std::string::npos) return true;
        return false;
    }
};

inline HistoryEntry entry(const std::string& model = "digits") {
    return {.number = 0, .wall_usec = 1'700'000'000'000'000, .boot_id = "b7f1", .decision = rich_decision(model)};
}

inline StoredVersion stored_version(char letter) {
    return {.model = "digits",
            .info = {.digest = digest_of_letter(letter),
                     .label = "4",
                     .served_version = "v4",
                     .bytes = 1ull << 40,
                     .files = 3,
                     .imported_wall_usec = 5,
                     .stamps = "{\"sum\":\"x\"}"}};
}

inline StoredTimer stored_timer(core::Timer timer) {
    return {.model = "digits",
            .timer = timer,
            .duration = Usec{1000},
            .elapsed = Usec{10},
            .boot_id = "b7f1",
            .since = {77}};
}

}  // namespace modelguard::store::test
