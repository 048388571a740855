// What the ledger makes of a file that is damaged, another program's, or a newer release's.

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "supervisor/store/sqlite.hpp"
#include "tests/store/ledger_world.hpp"

namespace modelguard::store::test {
namespace {

struct LedgerDamageTest : LedgerTest {
    core::State state = rich_state();

    LedgerDamageTest() {
        commit(
            {.state = &state,
             .history = {entry(), entry("letters"), entry()},
             .operations = {{.seq = 5, .key = "k5", .kind = "deploy", .model = "digits"}},
             .manifests =
                 {{.model = "digits", .rev = "r1", .text = "model: digits", .file = "f", .origin = core::Origin::git}},
             .versions = {stored_version('a')},
             .timers = {stored_timer(core::Timer::soak)},
             .measurements = {{"digits", 9, "p99", "m"}}});
    }
    std::string read_file() {
        ledger.reset();
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write_file(const std::string& bytes) {
        ledger.reset();
        std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    }
    bool has(const std::string& name) { return std::filesystem::exists(dir / name); }
    /// Everything that was committed is there.
    bool is_whole() {
        const auto history = ledger->history("", 0, 10);
        const auto operation = ledger->operation_by_key("k5");
        const auto measurements = ledger->measurements("digits", 9);
        return loaded.state == state && history && history->size() == 3 && history->at(2).decision == rich_decision() &&
               operation && *operation && (*operation)->kind == "deploy" && loaded.manifests.size() == 1 &&
               loaded.manifests[0].text == "model: digits" && loaded.manifests[0].origin == core::Origin::git &&
               loaded.versions.size() == 1 && loaded.versions[0].info.digest == digest_of_letter('a') &&
               loaded.timers.size() == 1 && loaded.timers[0].since == Instant{77} &&
               loaded.open_operations.size() == 1 && measurements && measurements->size() == 1 &&
               measurements->at(0).measurement == "m";
    }
};

TEST_F(LedgerDamageTest, a_damaged_history_row_is_dropped_with_a_note) {
    sql("UPDATE history SET decision=replace(decision, 'below_min', 'below_max') WHERE number=2");

    ledger = open();

    EXPECT_TRUE(noted("history: entry 2 was damaged and is dropped"));
    EXPECT_FALSE(loaded.rebuilt);
    EXPECT_EQ(loaded.state, state);
    EXPECT_EQ(ledger->history("", 0, 10)->size(), 2u);
    ledger = open();
    EXPECT_TRUE(loaded.notes.empty()) << "it is said once";
}

TEST_F(LedgerDamageTest, the_number_of_a_dropped_entry_is_not_given_again) {
    sql("UPDATE history SET wall_usec=1 WHERE number=3");
    ledger = open();
    EXPECT_EQ(commit({.history = {entry()}}), std::vector<std::int64_t>{4});
}

TEST_F(LedgerDamageTest, damaged_rows_of_other_tables_are_dropped_with_a_note) {
    sql("UPDATE manifests SET text='model: other'; UPDATE versions SET json='{}'; UPDATE timers SET elapsed_usec=0;"
        "UPDATE operations SET kind='rollback'; UPDATE measurements SET measurement='n'");

    ledger = open();

    EXPECT_EQ(loaded.notes.size(), 5u);
    EXPECT_TRUE(noted("manifests: row (digits, r1) was damaged"));
    EXPECT_EQ(loaded.state, state);
    EXPECT_TRUE(loaded.manifests.empty() && loaded.versions.empty() && loaded.timers.empty() &&
                loaded.open_operations.empty());
    EXPECT_TRUE(ledger->measurements("digits", 9)->empty());
    ledger = open();
    EXPECT_TRUE(loaded.notes.empty());
}

struct DamagedState : LedgerDamageTest, ::testing::WithParamInterface<const char*> {};
TEST_P(DamagedState, sets_the_database_aside) {
    sql(GetParam());

    ledger = open();

    EXPECT_TRUE(loaded.rebuilt);
    EXPECT_EQ(loaded.state, core::State{});
    EXPECT_TRUE(has("state.db.broken-0"));
    EXPECT_TRUE(noted("state.db.broken-0"));
    EXPECT_EQ(commit({.state = &state, .history = {entry()}}), std::vector<std::int64_t>{4});
    ledger = open();
    EXPECT_EQ(loaded.state, state);
    EXPECT_FALSE(loaded.rebuilt);
}
INSTANTIATE_TEST_SUITE_P(
    Each, DamagedState,
    ::testing::Values(
        "UPDATE state SET json=replace(json, 'trial', 'trail') WHERE key='model/digits'",
        "UPDATE state SET key='model/digitz' WHERE key='model/digits'", "DELETE FROM state WHERE key='model/letters'",
        "DELETE FROM state WHERE key='os'", "DELETE FROM state WHERE key='device'",
        "UPDATE state SET checksum='' WHERE key='os'",
        "UPDATE state SET json=(SELECT json FROM state WHERE key='model/letters') WHERE key='model/digits'"));

TEST_F(LedgerDamageTest, a_whole_row_of_another_commit_is_none_of_this_one) {
    sql("CREATE TABLE kept AS SELECT * FROM state WHERE key='model/digits'");
    ledger = open();
    state.models["digits"].rejected.push_back({digest_of_letter('7'), "", "too_slow"});
    commit({.state = &state});
    sql("UPDATE state SET json=(SELECT json FROM kept), checksum=(SELECT checksum FROM kept) WHERE key='model/digits'");

    ledger = open();

    EXPECT_TRUE(loaded.rebuilt) << "what was rejected since would be tried again";
    EXPECT_TRUE(noted("not of one commit"));
}

TEST_F(LedgerDamageTest, an_older_releases_missing_row_is_noticed_by_their_number) {
    const std::string device =
        R"({"models":)" + std::to_string(state.models.size()) + R"(,"next_id":)" + std::to_string(state.next_id) + "}";
    const std::string checksum = Row().text("device").text(device).checksum("state");
    sql("UPDATE state SET json='" + device + "', checksum='" + checksum + "' WHERE key='device'");
    ledger = open();
    ASSERT_EQ(loaded.state, state);
    sql("DELETE FROM state WHERE key='model/letters'");

    ledger = open();

    EXPECT_TRUE(loaded.rebuilt);
}

TEST_F(LedgerDamageTest, damage_in_the_text_of_a_table_is_noticed_and_everything_carried_over) {
    sql("PRAGMA writable_schema=1; UPDATE sqlite_master SET sql=replace(sql, 'PRIMARY', 'PRIMARX') WHERE "
        "name='operations'");

    ledger = open();

    EXPECT_TRUE(noted("its schema is damaged"));
    EXPECT_TRUE(noted("carried over"));
    EXPECT_EQ(loaded.state, state);
}

TEST_F(LedgerDamageTest, damage_between_the_rows_is_noticed_and_everything_carried_over) {
    std::string bytes = read_file();
    constexpr std::size_t kFreePages = 39;  // the last byte of their number, in the header
    bytes[kFreePages] = static_cast<char>(bytes[kFreePages] + 1);
    write_file(bytes);

    ledger = open();

    EXPECT_TRUE(noted("quick_check"));
    EXPECT_TRUE(noted("carried over"));
    EXPECT_EQ(loaded.state, state);
}

TEST_F(LedgerDamageTest, what_is_no_database_is_set_aside) {
    for (int turn = 0; turn < 7; ++turn) {
        write_file(
            "this is not a database, and it is longer than the hundred bytes of a header that SQLite reads first. " +
            std::to_string(turn));
        ledger = open();
        EXPECT_TRUE(loaded.rebuilt);
    }
    EXPECT_TRUE(has("state.db.broken-0") && has("state.db.broken-1"));
    EXPECT_FALSE(has("state.db.broken-2")) << "two are kept";
    EXPECT_TRUE(sys::read_file(dir / "state.db.broken-1")->ends_with(" 6")) << "the newest has the largest number";
    EXPECT_TRUE(sys::read_file(dir / "state.db.broken-0")->ends_with(" 5"));
}

TEST_F(LedgerDamageTest, another_programs_database_is_set_aside) {
    ledger.reset();
    std::filesystem::remove(file);
    sql("CREATE TABLE songs(title)");
    ledger = open();
    EXPECT_TRUE(loaded.rebuilt);
    EXPECT_TRUE(noted("not a ledger of modelguard"));
}

TEST_F(LedgerDamageTest, a_lost_table_is_noticed_and_the_state_carried_over) {
    sql("DROP TABLE history");

    ledger = open();

    EXPECT_FALSE(loaded.rebuilt);
    EXPECT_EQ(loaded.state, state);
    EXPECT_EQ(loaded.manifests.size(), 1u);
    EXPECT_TRUE(noted("the history begins anew"));
    EXPECT_TRUE(has("state.db.broken-0"));
    ledger = open();
    EXPECT_EQ(loaded.state, state) << "it was written into the new file";
    EXPECT_EQ(loaded.versions.size(), 1u);
    EXPECT_TRUE(loaded.notes.empty());
}

TEST_F(LedgerDamageTest, no_flipped_byte_passes_for_something_else) {
    const std::string whole = read_file();
    int told = 0;
    int harmless = 0;
    // Every 127th byte (a prime, so that it walks through all offsets of a page), each with another bit; all of the
    // header.
    for (std::size_t at = 0; at < whole.size(); at += at < 100 ? 3 : 127) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        for (const auto& left : std::filesystem::directory_iterator(dir.path()))
            std::filesystem::remove(left.path());
        write_file(flipped);
        loaded = {};
        auto opened = Ledger::open(file, loaded);
        ASSERT_TRUE(opened.has_value()) << "byte " << at << ": " << opened.error().what;
        ledger = std::move(*opened);
        const bool said = !loaded.notes.empty() || loaded.rebuilt;
        EXPECT_TRUE(said || is_whole()) << "byte " << at << " of page " << at / 4096 + 1;
        EXPECT_TRUE(loaded.state == state || loaded.rebuilt) << "byte " << at;
        told += said ? 1 : 0;
        harmless += said ? 0 : 1;
        ASSERT_TRUE(ledger->commit({.history = {entry()}}).has_value()) << "byte " << at << ": it can be written again";
    }
    std::printf("flipped bytes: %d told, %d without effect (unused parts of pages)\n", told, harmless);
    EXPECT_GT(told, 20);
}

TEST_F(LedgerDamageTest, no_truncated_file_passes_for_a_whole_one) {
    const std::string whole = read_file();
    for (std::size_t length = 1; length < whole.size(); length += 2039) {
        for (const auto& left : std::filesystem::directory_iterator(dir.path()))
            std::filesystem::remove(left.path());
        write_file(whole.substr(0, length));
        ledger = open();
        ASSERT_NE(ledger, nullptr) << length;
        EXPECT_TRUE(!loaded.notes.empty() || is_whole()) << length;
        EXPECT_TRUE(loaded.state == state || loaded.rebuilt) << length;
    }
}

TEST_F(LedgerDamageTest, a_newer_release_is_read_and_left_alone) {
    sql("PRAGMA user_version=7; CREATE TABLE shadows(id INTEGER PRIMARY KEY, what TEXT); INSERT INTO shadows VALUES(1, "
        "'kept');"
        "ALTER TABLE state ADD COLUMN shadow TEXT; UPDATE state SET shadow='kept';"
        "ALTER TABLE operations ADD COLUMN shadow TEXT; UPDATE operations SET shadow='kept'");

    ledger = open();

    EXPECT_FALSE(loaded.rebuilt);
    EXPECT_TRUE(is_whole());
    EXPECT_TRUE(noted("newer release (schema 7)"));
    state.models["digits"].why = "changed by the older release";
    commit({.state = &state,
            .operations = {
                {.seq = 5, .key = "k5", .kind = "deploy", .model = "digits", .status = OperationStatus::done}}});
    ledger = open();
    EXPECT_EQ(loaded.state, state);
    EXPECT_EQ(sql("SELECT what FROM shadows"), "kept");
    EXPECT_EQ(sql("SELECT shadow FROM state WHERE key='model/digits'"), "kept");
    EXPECT_EQ(sql("SELECT shadow FROM operations"), "kept");
    EXPECT_EQ(sql("PRAGMA user_version"), "7");
}

struct NewerKeysTest : LedgerDamageTest {
    std::string json_of(const std::string& key) { return sql("SELECT json FROM state WHERE key='" + key + "'"); }
    std::string set_json(const std::string& key, const std::string& json) {
        const std::string checksum = Row().text(key).text(json).checksum("state");
        std::string quoted;
        for (const char c : json)
            quoted += c == '\'' ? "''" : std::string(1, c);
        sql("UPDATE state SET json='" + quoted + "', checksum='" + checksum + "' WHERE key='" + key + "'");
        return checksum;
    }
    /// As a newer release writes the rows: one more key each.
    void add_key_to_all() {
        nlohmann::json device = nlohmann::json::parse(json_of("device"));
        for (const std::string key : {"os", "model/digits", "model/letters"}) {
            nlohmann::json row = nlohmann::json::parse(json_of(key));
            row["shadow"] = key;
            device["rows"][key] = set_json(key, row.dump());
        }
        sql("INSERT INTO state(key, json, checksum) VALUES('shadow', '', '')");
        device["rows"]["shadow"] = set_json("shadow", R"({"of":"a newer release"})");
        device["shadow"] = "device";
        set_json("device", device.dump());
    }
    std::string shadow_of(const std::string& key) {
        return nlohmann::json::parse(json_of(key)).value("shadow", "lost");
    }
};

TEST_F(NewerKeysTest, keys_of_a_newer_release_survive_what_this_one_writes) {
    add_key_to_all();
    ledger = open();
    ASSERT_EQ(loaded.state, state) << (loaded.notes.empty() ? "" : loaded.notes.front());
    ASSERT_TRUE(noted("unknown key 'shadow'"));

    state.models["digits"].why = "changed by the older release";
    state.os.boot_id = "another boot";
    commit({.state = &state});
    state.models["digits"].why = "and once more";
    commit({.state = &state});

    for (const std::string key : {"os", "model/digits", "model/letters"})
        EXPECT_EQ(shadow_of(key), key);
    EXPECT_EQ(shadow_of("device"), "device");
    EXPECT_EQ(json_of("shadow"), R"({"of":"a newer release"})");
    ledger = open();
    EXPECT_EQ(loaded.state, state);
    EXPECT_FALSE(loaded.restored || loaded.rebuilt);
}

TEST_F(LedgerDamageTest, a_ledger_of_another_kind_is_refused_and_left_as_it_is) {
    sql("PRAGMA user_version=1000; ALTER TABLE state RENAME TO states");
    const std::string before = read_file();

    const auto opened = Ledger::open(file, loaded);

    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().kind, ErrorKind::unsupported);
    EXPECT_NE(opened.error().what.find("schema 1000"), std::string::npos) << opened.error().what;
    EXPECT_EQ(read_file(), before);
    EXPECT_FALSE(has("state.db.broken-0"));
}

/// What a kill leaves while the first page of a new ledger is written: a part of it, and the journal that undoes it.
struct UnfinishedLedgerTest : LedgerTest {
    UnfinishedLedgerTest() {
        ledger.reset();
        for (const auto& left : std::filesystem::directory_iterator(dir.path()))
            std::filesystem::remove(left.path());
        const sys::Path other = dir / "other.db";
        sqlite3* raw = nullptr;
        EXPECT_EQ(sqlite3_open(other.c_str(), &raw), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(raw, "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr), SQLITE_OK);
        sqlite3_close(raw);
        std::filesystem::resize_file(other, 2048);
        std::filesystem::rename(other, file);
    }
    void write_journal() {
        std::string journal("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", 8);
        for (const std::uint32_t number : {0u, 0u, 0u, 512u, 4096u})  // records, nonce, pages before, sector, page
            for (int shift = 24; shift >= 0; shift -= 8)
                journal += static_cast<char>(number >> shift & 0xff);
        journal.resize(512);
        std::ofstream(file.string() + "-journal", std::ios::binary) << journal;
    }
};

TEST_F(UnfinishedLedgerTest, with_its_journal_is_no_damage_since_nothing_was_in_it) {
    write_journal();

    ledger = open();

    ASSERT_NE(ledger, nullptr);
    EXPECT_TRUE(loaded.blank);
    EXPECT_FALSE(loaded.rebuilt);
    EXPECT_TRUE(loaded.notes.empty());
    EXPECT_FALSE(std::filesystem::exists(dir / "state.db.broken-0"));
    const core::State state = rich_state();
    commit({.state = &state});
    ledger = open();
    EXPECT_EQ(loaded.state, state);
}

TEST_F(UnfinishedLedgerTest, beside_a_backup_it_is_damage) {
    write_journal();
    std::ofstream(dir / "state.bak.0") << "not whole";
    ledger = open();
    ASSERT_NE(ledger, nullptr);
    EXPECT_TRUE(loaded.rebuilt);
}

TEST_F(UnfinishedLedgerTest, without_its_journal_it_is_damage) {
    ledger = open();
    ASSERT_NE(ledger, nullptr);
    EXPECT_TRUE(loaded.rebuilt);
    EXPECT_TRUE(std::filesystem::exists(dir / "state.db.broken-0"));
}

TEST(NotesTest, only_the_newest_are_kept_and_not_too_many_bytes) {
    std::vector<std::string> notes;
    for (int number = 0; number < 100'000; ++number)
        notes.push_back(std::to_string(number));
    bound_notes(notes);
    ASSERT_EQ(notes.size(), 51u);
    EXPECT_EQ(notes.front(), "99950 earlier notes are left out");
    EXPECT_EQ(notes.back(), "99999");
    bound_notes(notes = {std::string(20'000, 'x'), "short"});
    EXPECT_EQ(notes, (std::vector<std::string>{"1 earlier notes are left out", "short"}));
    bound_notes(notes = {});
    EXPECT_TRUE(notes.empty());
}

}  // namespace
}  // namespace modelguard::store::test
