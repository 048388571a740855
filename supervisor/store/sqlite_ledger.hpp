#pragma once
// The ledger over one SQLite file. Internal to store: opening and loading are in ledger_load.cpp, committing and
// reading in ledger.cpp.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/store/history_index.hpp"
#include "supervisor/store/ledger.hpp"
#include "supervisor/store/sqlite.hpp"

namespace modelguard::store {

class SqliteLedger : public Ledger {
  public:
    explicit SqliteLedger(sys::Path file) : file_(std::move(file)) {}

    /// malformed_reply: the file is damaged. `loaded` then holds what could be read, and `state_is_whole_` whether that
    /// is all of the state.
    Result<void> open_and_load(Loaded& loaded);
    /// Closes without another write, so that the file can be set aside.
    void let_go() {
        if (database_) database_->abandon();
        database_.reset();
    }
    std::int64_t last_history_number();
    /// For a fresh file in place of a damaged one, or a state that is put back: numbers go on from there.
    void continue_after(std::int64_t history_number, std::uint64_t commit_number) {
        history_.skip(history_number);
        commit_number_ = std::max(commit_number_, commit_number);
    }
    /// Grows by one with each commit; nullopt where a release without numbers wrote the state last.
    std::optional<std::uint64_t> commit_number() const {
        return has_commit_number_ ? std::optional(commit_number_) : std::nullopt;
    }
    /// Bytes of the log behind its last whole commit, as it was found.
    std::int64_t bytes_cut_off() const { return bytes_cut_off_; }

    Result<std::vector<std::int64_t>> commit(const Changes& changes) override;
    Result<void> reopen() override;
    using Ledger::history;
    Result<std::vector<HistoryEntry>> history(const std::string& model, std::int64_t after, std::size_t limit,
                                              std::int64_t up_to) override;
    Result<std::optional<Operation>> operation(std::uint64_t seq) override;
    Result<std::optional<Operation>> operation_by_key(const std::string& key) override;
    Result<std::vector<Measurement>> measurements(const std::string& model, std::uint64_t trial_id) override;
    std::uint64_t commits() const override { return commits_; }
    Result<std::string> backup_json() override;

    /// True while what was loaded is the whole state although the file is damaged elsewhere.
    bool state_is_whole() const { return state_is_whole_; }

  private:
    using Texts = std::map<std::string, std::string, std::less<>>;
    /// What a commit changes in memory once it is durable.
    struct Written {
        Texts state;
        Texts checksums;
        std::vector<std::string> erased;
        std::vector<std::pair<HistoryEntry, std::size_t>> history;  // with their bytes
        std::int64_t dropped_up_to{0};
    };

    Result<void> open_database();
    Result<void> check_identity(Loaded& loaded);
    Result<void> check_schema();
    Result<void> load_state(Loaded& loaded);
    Result<void> load_history(Loaded& loaded);
    Result<void> load_tables(Loaded& loaded);
    struct TableLoader;
    Result<void> load_table(const TableLoader& loader, Loaded& loaded);
    sys::Path beside(const std::string& suffix) const {
        sys::Path path = file_;
        return path += suffix;
    }
    void note_log_size();
    Result<void> begin();
    Result<void> write_all(const Changes& changes, Written& written);
    Result<void> write_state(const Changes& changes, Written& written);
    Result<void> write_history(const Changes& changes, Written& written);
    Result<void> trim_history(Written& written);
    Result<void> write_rest(const Changes& changes);
    Result<void> write_device(const Changes& changes, Written& written);
    std::vector<std::string> needed_manifests(const std::string& model, const core::State* next) const;
    void remember(const Changes& changes, Written& written);
    void abandon();
    Result<void> cut_log();
    Result<std::optional<Operation>> first_operation(std::string_view sql, const Row& parameters);
    Error closed() const;
    Error as_io(Error error) const {
        if (error.kind != ErrorKind::denied) error.kind = ErrorKind::io;
        return error;
    }

    sys::Path file_;
    std::optional<Database> database_;
    bool in_transaction_{false};
    bool state_is_whole_{false};
    std::int64_t page_bytes_{4096};
    std::int64_t bytes_found_{0};  // of the file, before it was opened
    bool was_being_made_{false};   // it was found as a kill leaves it before its first page is whole
    std::int64_t bytes_cut_off_{0};
    std::int64_t log_bytes_{0};  // of the write-ahead log that belong to commits we said were kept
    std::uint64_t commits_{0};
    std::uint64_t commit_number_{0};
    bool has_commit_number_{true};
    Texts state_texts_;                 // as last written
    Texts newer_texts_;                 // of those rows that hold what this release does not know
    Texts checksums_;                   // of those rows
    std::optional<core::State> state_;  // the same as values: comparing them is 20 times cheaper than writing JSON
    std::size_t operations_{0};
    HistoryIndex history_;
};

}  // namespace modelguard::store
