// Opening a ledger that may be damaged, and which of its copies is believed:
//
// 1. The database, where every row of its state verifies and its commit number is not behind the backup's. A backup is
//    written after the commit that it shows, so that at rest the two are of one commit, and after a crash the database
//    is ahead. It is the only one that holds what the last 100 ms decided.
// 2. The newest whole state.bak, where the database does not verify, is not there, or is behind: commits that were
//    durable once are gone (a log that was cut or does not verify any more), and what they decided has been acted on.
//    An older state would try a version again that was rejected since, or go on with a way back that is long over.
// 3. Neither: loaded.rebuilt. The daemon then looks at the links and believes nothing that does not verify.
//
// What was put back by 2 is at most the 100 ms before a crash behind, or more where the newer of the two backups does
// not verify either. So it is never done silently: it is in the notes and in the history, and where `current` points
// elsewhere core puts that right as after any other start.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>

#include "supervisor/store/ledger_backup.hpp"
#include "supervisor/store/sqlite_ledger.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::store {

namespace {

// The newest tells what happened last, the one before whether it happens again; each may be as large as the ledger.
constexpr int kBrokenKept = 2;
// Twice what a ledger full of history takes; what is beyond that is no ledger of ours.
constexpr off_t kMostBrokenBytes = 256 << 20;

struct Parts {
    std::int64_t database{-1};  ///< bytes, -1: not there
    std::int64_t log{0};
};

std::int64_t bytes_of(const sys::Path& file, std::int64_t missing) {
    struct stat status{};
    return ::stat(file.c_str(), &status) == 0 ? static_cast<std::int64_t>(status.st_size) : missing;
}

sys::Path with_suffix(const sys::Path& file, std::string_view suffix) {
    sys::Path path = file;
    return path += suffix;
}

/// True where the medium does not give the file back: read by itself, so that a write that failed is not taken for it.
bool is_unreadable(const sys::Path& file) {
    constexpr std::size_t kMost = 1u << 30;
    for (const char* part : {"", "-wal"})
        if (const auto text = sys::read_file(with_suffix(file, part), kMost); !text && text.error().sys_errno == EIO)
            return true;
    return false;
}

/// Moves the database and its log to state.db.broken-N, the newest with the largest number of those kept.
Result<std::string> set_aside(const sys::Path& file) {
    const auto name = [&](int number) { return with_suffix(file, ".broken-" + std::to_string(number)); };
    constexpr const char* kParts[] = {"", "-wal", "-journal"};
    int number = 0;
    const auto exists = [&](int at) {
        return std::ranges::any_of(
            kParts, [&](const char* part) { return ::access(with_suffix(name(at), part).c_str(), F_OK) == 0; });
    };
    while (number < kBrokenKept && exists(number))
        ++number;
    if (number == kBrokenKept) {  // the oldest makes room
        number = kBrokenKept - 1;
        for (int at = 0; at < kBrokenKept; ++at)
            for (const char* part : kParts) {
                const sys::Path from = with_suffix(name(at), part);
                const int done =
                    at == 0 ? ::unlink(from.c_str()) : ::rename(from.c_str(), with_suffix(name(at - 1), part).c_str());
                if (done != 0 && errno != ENOENT) return fail_errno("make room for the damaged ledger", errno);
            }
    }
    // The log first: a log without its database is nothing to SQLite, a database without its log would be an older
    // state.
    for (const char* part : {"-wal", "-journal", ""})
        if (::rename(with_suffix(file, part).c_str(), with_suffix(name(number), part).c_str()) != 0 && errno != ENOENT)
            return fail_errno("set the damaged ledger aside as " + name(number).string(), errno);
    for (const char* part : kParts)
        if (const sys::Path aside = with_suffix(name(number), part); bytes_of(aside, 0) > kMostBrokenBytes)
            std::ignore = ::truncate(aside.c_str(), kMostBrokenBytes);  // evidence only
    MG_CHECK(sys::fsync_directory(file.parent_path()));
    return name(number).filename().string();
}

class Recovery {
  public:
    Recovery(sys::Path file, Loaded& loaded)
        : file_(std::move(file)), loaded_(loaded), backups_(read_ledger_backups(file_.parent_path())) {}

    Result<std::unique_ptr<Ledger>> open();

  private:
    const LedgerBackup* backup() const { return backups_.newest ? &*backups_.newest : nullptr; }
    Result<void> open_found();
    Result<void> begin_anew(const std::string& why);
    Result<void> carry_over(Loaded read);
    Result<void> keep_completed();
    Result<void> put_back(const std::string& why);
    bool complete_from_backup();
    Result<void> commit(Changes changes, const std::string& code, const std::string& text);
    void note(std::string text) { loaded_.notes.push_back(std::move(text)); }
    /// The backup is of the state that was read.
    bool is_of_backup() const { return backup() != nullptr && backup()->loaded.state == loaded_.state; }
    bool is_behind() const {
        const auto number = ledger_->commit_number();
        return backup() != nullptr && number && *number < backup()->commit;
    }

    sys::Path file_;
    Loaded& loaded_;
    Backups backups_;
    std::unique_ptr<SqliteLedger> ledger_;
};

/// A fresh file in the place of one that cannot be used.
Result<void> Recovery::begin_anew(const std::string& why) {
    const std::int64_t last_history = ledger_ ? ledger_->last_history_number() : 0;
    const std::uint64_t last_commit = ledger_ ? ledger_->commit_number().value_or(0) : 0;
    if (ledger_) ledger_->let_go();
    ledger_.reset();
    MG_TRY(const std::string aside, set_aside(file_));
    note(why);
    if (bytes_of(with_suffix(file_, "").replace_filename(aside), -1) >= 0)
        note("the ledger was damaged and is kept as " + aside);
    ledger_ = std::make_unique<SqliteLedger>(file_);
    Loaded fresh;
    MG_CHECK(ledger_->open_and_load(fresh));
    const LedgerBackup* known = backup();
    ledger_->continue_after(std::max(last_history, known ? known->last_history : 0),
                            std::max(last_commit, known ? known->commit : 0));
    return {};
}

Result<void> Recovery::commit(Changes changes, const std::string& code, const std::string& text) {
    core::Decision decision{.kind = core::DecisionKind::rebuilt};
    decision.blame = core::Blame::environment;
    decision.code = code;
    decision.text = text;
    changes.history.push_back({0, sys::wall_now_usec(), sys::boot_id(), std::move(decision)});
    note(text);
    MG_TRY([[maybe_unused]] const auto numbers, ledger_->commit(changes));
    return {};
}

/// The damage is in the history or between the rows: what the device is and knows goes into a new file.
Result<void> Recovery::carry_over(Loaded read) {
    const std::vector<std::string> notes = std::move(loaded_.notes);
    loaded_ = std::move(read);
    loaded_.versions_lost = true;  // the table may have ended before its end
    loaded_.notes.insert(loaded_.notes.end(), notes.begin(), notes.end());
    std::ignore = complete_from_backup();  // all of it is committed below
    Changes changes{.state = &loaded_.state,
                    .manifests = loaded_.manifests,
                    .versions = loaded_.versions,
                    .timers = loaded_.timers};
    changes.operations = loaded_.open_operations;
    if (is_of_backup()) changes.measurements = backup()->measurements;
    return commit(
        std::move(changes), "carried_over",
        "the ledger was damaged beside the state: the state was read whole and is carried over with what else "
        "could be read; the history begins anew");
}

/// Rows that were damaged and dropped, where the backup is of the same commit and has them.
/// True: something was.
bool Recovery::complete_from_backup() {
    if (!is_of_backup()) return false;
    const LedgerBackup* known = backup();
    std::size_t completed = 0;
    const auto complete = [&](auto& have, const auto& wanted, const auto& same) {
        for (const auto& item : wanted) {
            if (std::ranges::any_of(have, [&](const auto& other) { return same(item, other); })) continue;
            have.push_back(item);
            ++completed;
        }
    };
    complete(loaded_.versions, known->loaded.versions, [](const StoredVersion& a, const StoredVersion& b) {
        return a.model == b.model && a.info.digest == b.info.digest;
    });
    complete(loaded_.manifests, known->loaded.manifests,
             [](const StoredManifest& a, const StoredManifest& b) { return a.model == b.model && a.rev == b.rev; });
    complete(loaded_.timers, known->loaded.timers,
             [](const StoredTimer& a, const StoredTimer& b) { return a.model == b.model && a.timer == b.timer; });
    complete(loaded_.open_operations, known->loaded.open_operations,
             [](const Operation& a, const Operation& b) { return a.seq == b.seq; });
    if (completed > 0) note(std::to_string(completed) + " damaged rows were put back from " + known->file);
    return completed > 0;
}

Result<void> Recovery::keep_completed() {
    if (!complete_from_backup()) return {};
    Changes changes{.manifests = loaded_.manifests,
                    .versions = loaded_.versions,
                    .timers = loaded_.timers,
                    .measurements = backup()->measurements};
    changes.operations = loaded_.open_operations;
    MG_TRY([[maybe_unused]] const auto numbers, ledger_->commit(changes));
    return {};
}

/// The backup's state becomes the ledger's, with everything that belongs to it.
Result<void> Recovery::put_back(const std::string& why) {
    LedgerBackup& known = *backups_.newest;
    Changes changes{.state = &known.loaded.state,
                    .manifests = known.loaded.manifests,
                    .versions = known.loaded.versions,
                    .timers = known.loaded.timers,
                    .measurements = known.measurements};
    changes.operations = known.loaded.open_operations;
    // What an older database holds beyond that is of the past.
    for (const StoredTimer& timer : loaded_.timers)
        changes.stopped_timers.emplace_back(timer.model, timer.timer);
    for (Operation operation : loaded_.open_operations) {
        if (std::ranges::find(known.loaded.open_operations, operation.seq, &Operation::seq) !=
            known.loaded.open_operations.end())
            continue;
        operation.status = OperationStatus::failed;
        operation.code = "ledger_restored";
        operation.text = "how it ended was lost with the ledger; see status";
        operation.ended_wall_usec = sys::wall_now_usec();
        changes.operations.push_back(std::move(operation));
    }
    ledger_->continue_after(known.last_history, known.commit);
    std::vector<std::string> notes = std::move(loaded_.notes);
    std::vector<StoredVersion> versions = std::move(loaded_.versions);
    loaded_ = known.loaded;
    loaded_.restored = true;
    loaded_.notes.insert(loaded_.notes.begin(), notes.begin(), notes.end());
    // Versions that the backup does not know are still on the disk.
    for (StoredVersion& version : versions) {
        const auto same = [&](const StoredVersion& other) {
            return other.model == version.model && other.info.digest == version.info.digest;
        };
        if (std::ranges::none_of(loaded_.versions, same)) loaded_.versions.push_back(std::move(version));
    }
    std::string text =
        why + ": the state is restored from " + known.file + " (commit " + std::to_string(known.commit) + ")";
    if (!backups_.broken.empty()) text += "; the other one is damaged and may have been newer";
    return commit(std::move(changes), "restored", text);
}

/// Opens the file as it is. malformed_reply: it cannot be used; `loaded_` and `ledger_` hold what was read.
Result<void> Recovery::open_found() {
    const std::int64_t bytes = bytes_of(file_, -1);
    const bool has_log = bytes_of(with_suffix(file_, "-wal"), 0) > 0;
    // Killed right after the file was made: there is no log yet, and no backup.
    if (bytes <= 0 && (has_log || backup() != nullptr || !backups_.broken.empty()))
        return fail(ErrorKind::malformed_reply, bytes < 0 ? "the ledger is missing" : "the ledger is empty");
    ledger_ = std::make_unique<SqliteLedger>(file_);
    Result<void> opened = ledger_->open_and_load(loaded_);
    if (!opened && opened.error().sys_errno == EIO && is_unreadable(file_))
        return fail(ErrorKind::malformed_reply, "the ledger cannot be read: " + opened.error().what);
    return opened;
}

Result<std::unique_ptr<Ledger>> Recovery::open() {
    Result<void> opened = open_found();
    if (!opened && opened.error().kind != ErrorKind::malformed_reply) return std::unexpected(std::move(opened).error());
    if (opened) {
        loaded_.blank = !ledger_->state_is_whole();
        if (is_behind()) {
            const std::string found = loaded_.blank ? "nothing" : "commit " + std::to_string(*ledger_->commit_number());
            MG_CHECK(put_back("the ledger has lost commits that were durable (it ends with " + found + ")"));
        } else {
            if (ledger_->bytes_cut_off() > 0)
                note("the end of the ledger's log (" + std::to_string(ledger_->bytes_cut_off()) +
                     " bytes) was no whole commit and is cut off: a write was interrupted, as a power loss does");
            if (!loaded_.notes.empty()) MG_CHECK(keep_completed());
            // Nothing in it, no backup, but one that does not verify: there was a state.
            loaded_.rebuilt = loaded_.blank && !backups_.broken.empty();
        }
    } else {
        const bool whole = ledger_ && ledger_->state_is_whole() && !is_behind();
        Loaded read = std::move(loaded_);
        loaded_ = {};
        MG_CHECK(begin_anew(opened.error().what));
        if (whole) {
            MG_CHECK(carry_over(std::move(read)));
        } else if (backup() != nullptr) {
            MG_CHECK(put_back("the ledger could not be read"));
        } else {
            loaded_.rebuilt = loaded_.blank = true;
        }
    }
    for (const std::string& why : backups_.broken)
        note(why + "; it is written anew");
    loaded_.backup_number = backups_.number;
    bound_notes(loaded_.notes);
    return std::unique_ptr<Ledger>(std::move(ledger_));
}

}  // namespace

void bound_notes(std::vector<std::string>& notes) {
    constexpr std::size_t kMostNotes = 50;
    constexpr std::size_t kMostBytes = 16u << 10;
    std::size_t kept = 0;
    for (std::size_t bytes = 0; kept < std::min(notes.size(), kMostNotes); ++kept) {
        bytes += notes[notes.size() - 1 - kept].size();
        if (bytes > kMostBytes) break;
    }
    if (kept == notes.size()) return;
    const std::size_t left_out = notes.size() - kept;
    notes.erase(notes.begin(), notes.end() - static_cast<std::ptrdiff_t>(kept));
    notes.insert(notes.begin(), std::to_string(left_out) + " earlier notes are left out");
}

Result<std::unique_ptr<Ledger>> Ledger::open(const sys::Path& file, Loaded& loaded) {
    loaded = {};
    MG_CHECK(sys::make_directories(file.parent_path(), 0755));
    return Recovery(file, loaded).open();
}

}  // namespace modelguard::store
