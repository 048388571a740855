// Every byte of a real ledger at rest flipped, and every length it can be cut to, each opened by the code that the
// daemon opens it with. What is counted: without effect (everything is read as it was, and nothing said), detected
// (said, and everything is read as it was), recovered (it was replaced by another copy, and said). Never: another state
// believed, or anything lost without a word. MODELGUARD_ALL=1 takes every byte and length, otherwise every k-th from a
// seed (MODELGUARD_SEED) that is printed.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>

#include "supervisor/api/client.hpp"
#include "tests/store/ledger_world.hpp"

namespace modelguard::store::test {
namespace {

constexpr std::array<const char*, 4> kFiles{"state.db", "state.db-wal", "state.bak.0", "state.bak.1"};
constexpr std::size_t kEvery = 61;  // a prime, so that the walk meets all offsets within a page
constexpr unsigned kProcesses = 2;

using Bytes = std::array<std::string, kFiles.size()>;

struct Counts {
    std::uint64_t cases{0}, without_effect{0}, detected{0}, recovered{0}, believed{0}, lost_silently{0}, refused{0};
    Counts& operator+=(const Counts& other) {
        cases += other.cases;
        without_effect += other.without_effect;
        detected += other.detected;
        recovered += other.recovered;
        believed += other.believed;
        lost_silently += other.lost_silently;
        refused += other.refused;
        return *this;
    }
};

/// Thousands of ledgers are opened, and each is fsynced: in memory where there is such a place.
const bool kInMemory = ::access("/dev/shm", W_OK) == 0 && ::setenv("TMPDIR", "/dev/shm", 1) == 0;

std::string read_whole(const sys::Path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

core::ModelState small_model(const std::string& rev, char current) {
    core::ModelState s;
    s.phase = core::Phase::steady;
    s.manifest.rev = s.offered_rev = rev;
    s.current = digest_of_letter(current);
    s.known_good = {{digest_of_letter('1'), s.manifest, {"os"}}, {s.current, s.manifest, {"os"}}};
    s.rejected = {{digest_of_letter('9'), "", "below_min"}};
    return s;
}

/// A device of three models after some weeks: part of its ledger is in the database, part in the log.
struct Ground {
    sys::test::TempDir home;
    Bytes whole;
    Loaded truth;
    std::string status_json;

    /// `stopped`: as after a clean stop, everything in the database; otherwise as a kill leaves it.
    explicit Ground(bool stopped = false) {
        auto opened = Ledger::open(home / "state.db", truth);
        EXPECT_TRUE(opened.has_value()) << opened.error().what;
        std::unique_ptr<Ledger> ledger = std::move(*opened);
        core::State state;
        state.os = rich_os();
        state.next_id = 40;
        std::uint64_t backups = 0;
        const auto keep = [&](Changes changes) {
            changes.state = &state;
            EXPECT_TRUE(ledger->commit(changes).has_value());
            Places places{.state = home.path(), .runtime = {}, .config = {}};
            api::Status status;
            status.version = "commit " + std::to_string(++backups);
            EXPECT_TRUE(write_backup(places, api::to_json(status), *ledger->backup_json(), backups).has_value());
        };
        for (const char* name : {"digits", "letters", "shapes"}) {
            state.models[name] = small_model("r1", 'a');
            keep({.history = {{.number = 0, .wall_usec = 5, .boot_id = "b", .decision = rich_decision(name)}},
                  .manifests = {{name, "r1", std::string("model: ") + name + "\n", "f.yaml", core::Origin::file}},
                  .versions = {stored_version('a'), stored_version('1')}});
        }
        ledger.reset();  // everything so far is in the database
        ledger = std::move(*Ledger::open(home / "state.db", truth));
        state.models["digits"] = small_model("r1", 'b');
        keep({.history = {entry()}, .versions = {stored_version('b')}, .timers = {stored_timer(core::Timer::calm)}});
        state.models["letters"].rejected.push_back({digest_of_letter('8'), "", "too_slow"});
        state.next_id = 44;
        keep({.history = {entry("letters")},
              .operations = {{.seq = 43, .key = "k", .kind = "deploy", .model = "letters"}}});
        state.models["shapes"].pinned = digest_of_letter('a');
        keep({.history = {entry("shapes")}});
        if (stopped) ledger.reset();
        for (std::size_t i = 0; i < kFiles.size(); ++i)
            whole[i] = read_whole(home / kFiles[i]);
        ledger.reset();
        ledger = std::move(*Ledger::open(home / "state.db", truth));
        EXPECT_EQ(truth.state, state);
        status_json = api::read_backup(home.path().string())->json;
    }
};

struct Case {
    sys::test::TempDir dir;
    Loaded loaded;
    std::unique_ptr<Ledger> ledger;
    std::string error;

    void open(const Bytes& bytes) {
        ledger.reset();
        for (const auto& left : std::filesystem::directory_iterator(dir.path()))
            std::filesystem::remove(left.path());
        for (std::size_t i = 0; i < kFiles.size(); ++i)
            std::ofstream(dir / kFiles[i], std::ios::binary) << bytes[i];
        open_again();
    }
    void open_again() {
        ledger.reset();
        auto opened = Ledger::open(dir / "state.db", loaded);
        error = opened ? "" : opened.error().what;
        if (opened) ledger = std::move(*opened);
    }
    bool noted(std::string_view text) const {
        for (const std::string& note : loaded.notes)
            if (note.find(text) != std::string::npos) return true;
        return false;
    }
};

bool has_all_rows(const Loaded& loaded, const Loaded& truth) {
    return loaded.versions.size() == truth.versions.size() && loaded.manifests.size() == truth.manifests.size() &&
           loaded.timers.size() == truth.timers.size() && loaded.open_operations.size() == truth.open_operations.size();
}

/// One damaged set of files. What went wrong is told on stdout, for the parent's output.
void judge(Case& one, const Ground& ground, const Bytes& bytes, const std::string& name, Counts& counts) {
    ++counts.cases;
    one.open(bytes);
    if (!one.ledger) {
        ++counts.refused;
        std::printf("refused: %s: %s\n", name.c_str(), one.error.c_str());
        return;
    }
    const bool said = !one.loaded.notes.empty();
    const bool same = one.loaded.state == ground.truth.state;
    if (!same && !one.loaded.rebuilt) {
        ++counts.believed;
        std::printf("another state: %s: %s\n", name.c_str(), said ? one.loaded.notes.front().c_str() : "nothing said");
        return;
    }
    const auto history = one.ledger->history("", 0, 100);
    const bool whole = same && has_all_rows(one.loaded, ground.truth) && history && history->size() == 6;
    const bool replaced = one.loaded.rebuilt || one.noted("restored") || one.noted("carried over") ||
                          one.noted("put back") || one.noted("dropped");
    if (!whole && !said) {
        ++counts.lost_silently;
        std::printf("lost without a word: %s\n", name.c_str());
        return;
    }
    ++(replaced ? counts.recovered : said ? counts.detected : counts.without_effect);
    const bool is_turn = counts.cases % 16 == 0;
    if (!is_turn) return;
    // What was made of it stands: it can be written, and the next start reads the same.
    const core::State read = one.loaded.state;
    const bool written = one.ledger
                             ->commit({.history = {entry()},
                                       .operations = {{.seq = 900, .kind = "check"}},
                                       .manifests = {{"digits", "r7", "model: digits", "f", core::Origin::git}},
                                       .versions = {stored_version('7')},
                                       .timers = {stored_timer(core::Timer::soak)},
                                       .measurements = {{"digits", 9, "p99", "m"}}})
                             .has_value();
    for (const char* backup : {"state.bak.0", "state.bak.1"})
        std::filesystem::remove(one.dir / backup);  // the daemon writes them anew
    one.open_again();
    // A row whose key was damaged is not found by that key, so that it cannot be dropped and is said at each start.
    if (written && one.ledger && one.loaded.state == read) return;
    ++counts.believed;
    std::printf("not the same at the second start: %s: %s\n", name.c_str(),
                !written      ? "it cannot be written"
                : !one.ledger ? one.error.c_str()
                              : "another state");
}

struct Plan {
    std::size_t every{1}, from{0};
};

/// Runs one kind of damage over all files in parallel processes; their counts come back through a pipe.
Counts run(const Ground& ground, const char* kind, const Plan& plan, std::size_t file,
           const std::function<void(std::string&, std::size_t)>& damage, std::size_t extent) {
    Counts total;
    std::array<int, 2> pipe_ends{};
    EXPECT_EQ(::pipe(pipe_ends.data()), 0);
    std::fflush(stdout);
    std::vector<pid_t> children;
    for (unsigned worker = 0; worker < kProcesses; ++worker) {
        const pid_t child = ::fork();
        if (child != 0) {
            children.push_back(child);
            continue;
        }
        Counts counts;
        {
            Case one;
            for (std::size_t at = plan.from + worker * plan.every; at < extent; at += plan.every * kProcesses) {
                Bytes bytes = ground.whole;
                damage(bytes[file], at);
                judge(one, ground, bytes, std::string(kFiles[file]) + " " + kind + " " + std::to_string(at), counts);
            }
        }
        std::fflush(stdout);
        const bool told = ::write(pipe_ends[1], &counts, sizeof counts) == sizeof counts;
        ::_exit(told ? 0 : 1);
    }
    for (const pid_t child : children) {
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << kFiles[file] << " " << kind << ": it crashed";
        Counts counts;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
            ::read(pipe_ends[0], &counts, sizeof counts) == sizeof counts)
            total += counts;
    }
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
    return total;
}

Plan plan_of_this_run() {
    if (std::getenv("MODELGUARD_ALL")) {
        std::printf("every byte and every length\n");
        return {};
    }
    const char* given = std::getenv("MODELGUARD_SEED");
    const unsigned long seed = given ? std::strtoul(given, nullptr, 10) : std::random_device()() % 100'000;
    std::printf("every %zuth, MODELGUARD_SEED=%lu\n", kEvery, seed);
    return {kEvery, seed % kEvery};
}

TEST(Corruption, no_flipped_byte_and_no_truncation_of_a_ledger_at_rest_passes_for_another_state) {
    const Plan plan = plan_of_this_run();
    const auto began = std::chrono::steady_clock::now();
    Counts total;
    std::printf("%-8s %-13s %-8s %7s %7s %15s %9s %10s %9s\n", "daemon", "file", "damage", "bytes", "cases",
                "without effect", "detected", "recovered", "believed");
    for (const bool stopped : {false, true}) {
        const char* only = std::getenv("MODELGUARD_ONLY");  // one half of the whole
        if (only && std::string_view(only) != (stopped ? "stopped" : "killed")) continue;
        const Ground ground(stopped);
        for (std::size_t file = 0; file < kFiles.size(); ++file) {
            if (stopped && file > 0) break;  // no log, and the backups are as before
            const auto row = [&](const char* kind, const std::function<void(std::string&, std::size_t)>& damage) {
                const std::size_t extent = ground.whole[file].size();
                const Counts counts = run(ground, kind, plan, file, damage, extent);
                std::printf("%-8s %-13s %-8s %7zu %7lu %15lu %9lu %10lu %9lu\n", stopped ? "stopped" : "killed",
                            kFiles[file], kind, extent, counts.cases, counts.without_effect, counts.detected,
                            counts.recovered, counts.believed);
                total += counts;
            };
            row("flipped",
                [](std::string& bytes, std::size_t at) { bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8))); });
            row("cut to", [](std::string& bytes, std::size_t at) { bytes.resize(at); });
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf(
        "total: %lu cases: %lu without effect, %lu detected, %lu recovered, %lu believed another state, %.0f s\n",
        total.cases, total.without_effect, total.detected, total.recovered, total.believed, seconds);
    EXPECT_EQ(total.believed, 0u);
    EXPECT_EQ(total.lost_silently, 0u);
    EXPECT_EQ(total.refused, 0u);
    EXPECT_GT(total.recovered, 100u);
    EXPECT_EQ(total.cases, total.without_effect + total.detected + total.recovered);
}

TEST(Corruption, the_status_of_a_dead_daemon_is_never_another_one) {
    const Ground ground;
    Case one;
    std::uint64_t same = 0, older = 0;
    const std::string before = "commit 5";
    const std::size_t step = std::getenv("MODELGUARD_ALL") ? 1 : 7;  // a prime: all bits of a byte have their turn
    for (std::size_t file = 2; file < kFiles.size(); ++file)
        for (std::size_t at = 0; at < ground.whole[file].size(); at += step) {
            std::string bytes = ground.whole[file];
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
            for (std::size_t i = 2; i < kFiles.size(); ++i)
                std::ofstream(one.dir / kFiles[i], std::ios::binary) << (i == file ? bytes : ground.whole[i]);
            const auto read = api::read_backup(one.dir.path().string());
            ASSERT_TRUE(read.has_value()) << kFiles[file] << " " << at << ": " << read.error().what;
            if (read->json == ground.status_json)
                ++same;
            else if (read->status.version == before)
                ++older;
            else
                FAIL() << kFiles[file] << " " << at << ": " << read->json;
        }
    std::printf("state.bak: %lu flipped bytes leave the newest status, %lu the one before\n", same, older);
    EXPECT_GT(older, 800u);
}

}  // namespace
}  // namespace modelguard::store::test
