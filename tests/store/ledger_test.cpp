#include "supervisor/store/ledger.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "tests/store/ledger_world.hpp"

namespace {
std::string fail_sync_of;
}

/// In place of libc's for the whole program, SQLite included: a disk that refuses cannot be had otherwise.
extern "C" int fdatasync(int fd) {
    if (!fail_sync_of.empty()) {
        std::error_code error;
        const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
        if (path.native().ends_with(fail_sync_of)) {
            errno = EIO;
            return -1;
        }
    }
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace modelguard::store::test {
namespace {

TEST_F(LedgerTest, a_new_ledger_is_empty_and_ours_alone) {
    EXPECT_EQ(loaded.state, core::State{});
    EXPECT_TRUE(loaded.notes.empty());
    EXPECT_FALSE(loaded.rebuilt);
    struct stat status{};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(LedgerTest, everything_committed_is_there_after_a_restart) {
    const core::State state = rich_state();
    const StoredManifest manifest{
        .model = "digits", .rev = "r1", .text = "model: digits\n", .file = "digits.yaml", .origin = core::Origin::git};
    const Operation running{.seq = 5,
                            .key = "k5",
                            .kind = "deploy",
                            .model = "digits",
                            .version = digest_of_letter('a'),
                            .begun_wall_usec = 6};
    commit({.state = &state,
            .history = {entry()},
            .operations = {running},
            .manifests = {manifest},
            .versions = {stored_version('a')},
            .timers = {stored_timer(core::Timer::soak)},
            .measurements = {{.model = "digits", .trial_id = 9, .check = "p99", .measurement = "{\"p99\":12}"}}});

    ledger = open();

    EXPECT_EQ(loaded.state, state);
    EXPECT_TRUE(loaded.notes.empty());
    ASSERT_EQ(loaded.manifests.size(), 1u);
    EXPECT_EQ(loaded.manifests[0].text, manifest.text);
    EXPECT_EQ(loaded.manifests[0].file, "digits.yaml");
    EXPECT_EQ(loaded.manifests[0].origin, core::Origin::git);
    ASSERT_EQ(loaded.versions.size(), 1u);
    EXPECT_EQ(loaded.versions[0].info.digest, digest_of_letter('a'));
    EXPECT_EQ(loaded.versions[0].info.stamps, "{\"sum\":\"x\"}");
    EXPECT_EQ(loaded.versions[0].info.bytes, 1ull << 40);
    ASSERT_EQ(loaded.timers.size(), 1u);
    EXPECT_EQ(loaded.timers[0].timer, core::Timer::soak);
    EXPECT_EQ(loaded.timers[0].elapsed, Usec{10});
    EXPECT_EQ(loaded.timers[0].since, Instant{77});
    ASSERT_EQ(loaded.open_operations.size(), 1u);
    EXPECT_EQ(loaded.open_operations[0].key, "k5");
    EXPECT_EQ(ledger->history("", 0, 10)->at(0).decision, rich_decision());
    EXPECT_EQ(ledger->measurements("digits", 9)->at(0).measurement, "{\"p99\":12}");
    EXPECT_TRUE(ledger->measurements("digits", 8)->empty());
}

TEST_F(LedgerTest, only_rows_that_differ_are_written) {
    core::State state = rich_state();
    commit({.state = &state});
    const std::string os_before = sql("SELECT rowid FROM history; SELECT checksum FROM state WHERE key='os'");
    // A row that is not written keeps what is put into a column of a newer release; a written one too, but shows its
    // new JSON.
    sql("PRAGMA user_version=2; ALTER TABLE state ADD COLUMN seen TEXT; UPDATE state SET seen='before'; "
        "CREATE TABLE written(key TEXT); CREATE TRIGGER t AFTER UPDATE ON state BEGIN INSERT INTO written "
        "VALUES(new.key); END");
    ledger = open();

    commit({.state = &state});
    EXPECT_EQ(ledger->commits(), 0u) << "nothing differs, so nothing is committed";
    state.models["letters"].code = "changed";
    commit({.state = &state});
    EXPECT_EQ(ledger->commits(), 1u);

    EXPECT_EQ(sql("SELECT group_concat(key) FROM written"), "model/letters,device")
        << "and the row that holds them together";
    EXPECT_EQ(sql("SELECT seen FROM state WHERE key='model/letters'"), "before");
    EXPECT_EQ(sql("SELECT checksum FROM state WHERE key='os'"), os_before);
}

TEST_F(LedgerTest, a_model_that_leaves_takes_its_rows_with_it) {
    core::State state = rich_state();
    const StoredManifest manifest{.model = "digits", .rev = "r1", .text = "t"};
    commit({.state = &state, .manifests = {manifest}, .timers = {stored_timer(core::Timer::soak)}});

    state.models.erase("digits");
    commit({.state = &state});
    ledger = open();

    EXPECT_EQ(loaded.state, state);
    EXPECT_TRUE(loaded.manifests.empty());
    EXPECT_TRUE(loaded.timers.empty());
}

TEST_F(LedgerTest, history_counts_on_and_is_read_newest_first) {
    EXPECT_EQ(commit({.history = {entry("digits"), entry("letters")}}), (std::vector<std::int64_t>{1, 2}));
    ledger = open();
    EXPECT_EQ(commit({.history = {entry("digits")}}), std::vector<std::int64_t>{3});

    const auto numbers = [&](const std::string& model, std::int64_t after, std::size_t limit) {
        std::vector<std::int64_t> found;
        const auto entries = ledger->history(model, after, limit);
        for (const HistoryEntry& e : *entries)
            found.push_back(e.number);
        return found;
    };
    EXPECT_EQ(numbers("", 0, 10), (std::vector<std::int64_t>{3, 2, 1}));
    EXPECT_EQ(numbers("digits", 0, 10), (std::vector<std::int64_t>{3, 1}));
    EXPECT_EQ(numbers("digits", 1, 10), std::vector<std::int64_t>{3});
    EXPECT_EQ(numbers("", 0, 2), (std::vector<std::int64_t>{3, 2}));
    EXPECT_TRUE(numbers("nobody", 0, 10).empty());
}

TEST_F(LedgerTest, history_is_capped_in_count) {
    HistoryEntry small = entry();
    small.decision.reports.clear();
    commit({.history = std::vector<HistoryEntry>(100'000, small)});
    commit({.history = {small}});

    EXPECT_EQ(ledger->history("", 0, 1)->at(0).number, 100'001);
    const std::string kept = sql("SELECT count(*) FROM history");
    EXPECT_EQ(kept, "99745") << "a batch of 256 goes at once";
    ledger = open();
    EXPECT_EQ(commit({.history = {small}}), std::vector<std::int64_t>{100'002});
}

TEST_F(LedgerTest, history_is_capped_in_bytes) {
    HistoryEntry large = entry();
    large.decision.text = std::string(4u << 20, 'x');
    for (int i = 0; i < 20; ++i)
        commit({.history = {large}});

    EXPECT_EQ(ledger->history("", 0, 1)->at(0).number, 20);
    const auto bytes = std::stoull(sql("SELECT sum(length(decision)) FROM history"));
    EXPECT_LE(bytes, 64u << 20);
    EXPECT_GT(bytes, 48u << 20);
}

TEST_F(LedgerTest, operations_are_found_by_number_and_key_and_replaced) {
    Operation operation{.seq = 5, .key = "k5", .kind = "deploy", .model = "digits"};
    commit({.operations = {operation, {.seq = 6, .kind = "check"}}});
    operation.status = OperationStatus::no;
    operation.code = "rejected";
    operation.result = "{}";
    operation.ended_wall_usec = 9;
    commit({.operations = {operation}});
    ledger = open();

    const auto found = ledger->operation_by_key("k5");
    ASSERT_TRUE(found.has_value() && found->has_value());
    EXPECT_EQ((*found)->seq, 5u);
    EXPECT_EQ((*found)->status, OperationStatus::no);
    EXPECT_EQ((*found)->code, "rejected");
    EXPECT_EQ((*found)->ended_wall_usec, 9);
    EXPECT_EQ((*ledger->operation(6))->kind, "check");
    EXPECT_FALSE(ledger->operation(7)->has_value());
    EXPECT_FALSE(ledger->operation_by_key("")->has_value()) << "no key is no key";
    EXPECT_EQ(loaded.open_operations.size(), 1u);
}

TEST_F(LedgerTest, old_operations_go_and_running_ones_stay) {
    commit({.operations = {{.seq = 1, .kind = "deploy"}}});
    std::vector<Operation> ended;
    for (std::uint64_t seq = 2; seq <= 1500; ++seq)
        ended.push_back({.seq = seq, .kind = "check", .status = OperationStatus::done});
    commit({.operations = ended});

    EXPECT_TRUE(ledger->operation(1)->has_value());
    EXPECT_FALSE(ledger->operation(2)->has_value());
    EXPECT_TRUE(ledger->operation(1500)->has_value());
    EXPECT_EQ(sql("SELECT count(*) FROM operations"), "1001");
}

TEST_F(LedgerTest, old_manifests_go_unless_the_state_needs_them) {
    const core::State state = rich_state();
    std::vector<StoredManifest> manifests;
    for (int i = 0; i < 50; ++i)
        manifests.push_back({.model = "digits",
                             .rev = "r" + std::to_string(i),
                             .text = "t",
                             .file = "f",
                             .origin = core::Origin::file});
    commit({.state = &state, .manifests = manifests});
    ledger = open();

    std::vector<std::string> revs;
    for (const StoredManifest& manifest : loaded.manifests)
        revs.push_back(manifest.rev);
    EXPECT_EQ(revs.size(), 32u + 6u);  // r1 … r6 are in force, offered, on trial, on the way back or known-good
    EXPECT_EQ(revs.front(), "r1");
    EXPECT_EQ(revs.back(), "r49");
}

TEST_F(LedgerTest, timers_versions_and_measurements_are_replaced_and_forgotten) {
    commit({.versions = {stored_version('a'), stored_version('b')},
            .timers = {stored_timer(core::Timer::soak), stored_timer(core::Timer::calm)},
            .measurements = {{"digits", 1, "p99", "old"}, {"letters", 1, "p99", "other"}}});
    StoredVersion renamed = stored_version('a');
    renamed.info.label = "renamed";
    commit({.versions = {renamed},
            .forgotten_versions = {{"digits", digest_of_letter('b')}},
            .stopped_timers = {{"digits", core::Timer::calm}},
            .measurements = {{"digits", 2, "p99", "new"}, {"digits", 2, "accuracy", "new"}}});
    ledger = open();

    ASSERT_EQ(loaded.versions.size(), 1u);
    EXPECT_EQ(loaded.versions[0].info.label, "renamed");
    ASSERT_EQ(loaded.timers.size(), 1u);
    EXPECT_EQ(loaded.timers[0].timer, core::Timer::soak);
    EXPECT_TRUE(ledger->measurements("digits", 1)->empty());
    EXPECT_EQ(ledger->measurements("digits", 2)->size(), 2u);
    EXPECT_EQ(ledger->measurements("letters", 1)->size(), 1u);
}

TEST_F(LedgerTest, a_second_daemon_is_refused_and_told_whom_to_stop) {
    FILE* second = ::popen((std::string(STORE_CHILD) + " --open-ledger '" + file.string() + "'").c_str(), "r");
    ASSERT_NE(second, nullptr);
    char text[512] = {};
    const std::size_t length = ::fread(text, 1, sizeof text, second);

    EXPECT_EQ(WEXITSTATUS(::pclose(second)), 1) << "a conflict";
    EXPECT_EQ(std::string(text, length), file.string() + " is in use by another modelguardd (process " +
                                             std::to_string(::getpid()) + "); stop that one first");
    EXPECT_FALSE(commit({.history = {entry()}}).empty()) << "the first goes on";
}

TEST_F(LedgerTest, a_killed_daemon_loses_nothing_that_was_committed) {
    ledger.reset();
    const pid_t daemon = ::fork();
    if (daemon == 0) {
        auto own = Ledger::open(file, loaded);
        const core::State state = rich_state();
        if (!own || !(*own)->commit({.state = &state, .history = {entry()}})) ::_exit(1);
        ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(daemon, &status, 0), daemon);
    ASSERT_TRUE(WIFSIGNALED(status));

    ledger = open();

    EXPECT_EQ(loaded.state, rich_state());
    EXPECT_EQ(ledger->history("", 0, 10)->size(), 1u);
    EXPECT_TRUE(loaded.notes.empty());
}

/// A file that may not grow fails the write as a full disk does; SIGXFSZ is ignored, so that it is an error.
struct FileLimit {
    rlimit before{};
    explicit FileLimit(rlim_t bytes) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before);
        const rlimit small{bytes, before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &small);
    }
    ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before); }
};

TEST_F(LedgerTest, a_failed_commit_keeps_nothing_and_closes_until_reopened) {
    const core::State state = rich_state();
    commit({.state = &state, .history = {entry()}});
    core::State next = state;
    next.next_id = 99;
    HistoryEntry large = entry();
    large.decision.text = std::string(1u << 20, 'x');
    {
        const FileLimit limit(200'000);
        const auto failed = ledger->commit({.state = &next, .history = {large}});
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(failed.error().kind, ErrorKind::io) << failed.error().what;
    }
    EXPECT_EQ(ledger->commit({.history = {entry()}}).error().kind, ErrorKind::io);
    EXPECT_EQ(ledger->history("", 0, 1).error().kind, ErrorKind::io);
    EXPECT_EQ(ledger->operation(1).error().kind, ErrorKind::io);
    EXPECT_EQ(ledger->measurements("digits", 1).error().kind, ErrorKind::io);

    ASSERT_TRUE(ledger->reopen().has_value());
    EXPECT_EQ(ledger->history("", 0, 10)->size(), 1u);
    EXPECT_EQ(commit({.state = &next, .history = {entry()}}), std::vector<std::int64_t>{2});
    ledger = open();
    EXPECT_EQ(loaded.state, next);
}

/// What fdatasync() of SQLite is to fail on from now on: a file's name ends like this.
struct SyncFailure {
    explicit SyncFailure(std::string suffix) { fail_sync_of = std::move(suffix); }
    ~SyncFailure() { fail_sync_of.clear(); }
};

TEST_F(LedgerTest, a_commit_whose_fsync_failed_is_not_there_although_its_pages_are) {
    const core::State state = rich_state();
    commit({.state = &state, .history = {entry()}});
    core::State next = state;
    next.next_id = 99;
    {
        const SyncFailure failure("state.db-wal");
        const auto failed = ledger->commit({.state = &next, .history = {entry()}});
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(failed.error().kind, ErrorKind::io);
    }

    ledger = open();  // as after a restart, without reopen()
    EXPECT_EQ(loaded.state, state);
    EXPECT_EQ(ledger->history("", 0, 10)->size(), 1u);

    {
        const SyncFailure failure("state.db-wal");
        EXPECT_FALSE(ledger->commit({.state = &next}).has_value()) << "the first commit of a log";
    }
    ASSERT_TRUE(ledger->reopen().has_value());
    EXPECT_EQ(commit({.history = {entry()}}), std::vector<std::int64_t>{2});
    ledger = open();
    EXPECT_EQ(loaded.state, state);
}

TEST_F(LedgerTest, a_failed_checkpoint_keeps_the_commit_and_gives_the_handle_up) {
    std::size_t kept = 0;
    {
        const SyncFailure failure("state.db");
        while (ledger->commit({.history = {entry()}}).has_value())
            ++kept;
    }
    EXPECT_GT(kept, 10u);
    EXPECT_EQ(ledger->commit({.history = {entry()}}).error().kind, ErrorKind::io);

    ASSERT_TRUE(ledger->reopen().has_value());
    EXPECT_EQ(ledger->history("", 0, 5000)->size(), kept);
    EXPECT_EQ(commit({.history = {entry()}}).at(0), static_cast<std::int64_t>(kept) + 1);
}

TEST_F(LedgerTest, many_commits_keep_the_log_small) {
    core::State state = rich_state();
    for (int i = 0; i < 1000; ++i) {
        state.next_id += 1;
        state.models["digits"].why = "commit " + std::to_string(i);
        commit({.state = &state, .history = {entry()}});
    }
    EXPECT_LE(std::filesystem::file_size(file.string() + "-wal"), 4u << 20);
    EXPECT_EQ(ledger->commits(), 1000u);
    ledger = open();
    EXPECT_EQ(loaded.state, state);
    EXPECT_EQ(ledger->history("", 0, 5000)->size(), 1000u);
}

}  // namespace
}  // namespace modelguard::store::test
