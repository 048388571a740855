#pragma once
// SQLite behind Result: a database handle with cached statements, and rows that carry a checksum. Internal to store.
// Errors: conflict (another process holds the lock), denied, io (with errno where there was one), and malformed_reply
// for a file that is damaged or not what we expect.

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::store {

// Of SQLite's write-ahead log. Source: sqlite.org/fileformat2.html section 4.
inline constexpr std::int64_t kWalHeaderBytes = 32;
inline constexpr std::int64_t kWalFrameHeaderBytes = 24;

/// One row as it is written: the table's columns in their order, the key first. Borrows its texts until written.
class Row {
  public:
    Row& text(std::string_view value) {
        values_.emplace_back(value);
        return *this;
    }
    Row& integer(std::int64_t value) {
        values_.emplace_back(value);
        return *this;
    }
    using Value = std::variant<std::int64_t, std::string_view>;
    const std::vector<Value>& values() const { return values_; }
    /// The first 16 hex digits of sha256 over table, key and columns, each with its type and length before it.
    std::string checksum(std::string_view table) const;

  private:
    std::vector<Value> values_;
};

/// A statement that is being stepped through; resets it when dropped.
class Cursor {
  public:
    explicit Cursor(sqlite3_stmt* statement) : statement_(statement) {}
    Cursor(Cursor&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
    Cursor& operator=(Cursor&&) = delete;
    ~Cursor() {
        if (statement_) sqlite3_reset(statement_);  // its code repeats the step's
    }
    /// True: a row is there. Its texts are valid until the next call.
    Result<bool> next();
    std::string_view text(int column) const;
    std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
    /// True if the last column is the checksum of all columns before it.
    bool is_intact(std::string_view table) const;

  private:
    sqlite3_stmt* statement_;
};

class Database {
  public:
    /// Opens or creates with our settings and takes the lock for as long as the handle lives.
    static Result<Database> open(const sys::Path& file);
    Database(Database&&) = default;
    Database& operator=(Database&&) = default;

    /// Runs SQL without parameters and drops its rows.
    Result<void> run(const char* sql);
    /// A prepared statement (kept for the next time) with these values bound.
    Result<Cursor> query(std::string_view sql, const Row& parameters);
    /// query(), to its end.
    Result<void> execute(std::string_view sql, const Row& parameters);
    /// query() whose parameters are the row's values and, last, its checksum.
    Result<void> write(std::string_view table, std::string_view sql, const Row& row);
    /// The first column of the first row of a PRAGMA or SELECT.
    Result<std::int64_t> number(std::string_view sql);

    /// Pages in the write-ahead log after the last commit.
    int wal_pages() const { return *wal_pages_; }
    /// Moves the whole log into the database and cuts it to nothing, so that no frame of the past stays behind the next
    /// commit. Returns the frames that were in it; fewer moved than there are is io, since nobody else reads here.
    Result<int> checkpoint();
    /// Closes without another write or fsync: what a failed commit leaves behind must not be touched through this
    /// handle.
    void abandon();

  private:
    static Result<Database> open_once(const sys::Path& file, bool& header_is_to_blame);
    Database(sqlite3* handle, std::unique_ptr<int> wal_pages) : wal_pages_(std::move(wal_pages)), handle_(handle) {}

    std::unique_ptr<int> wal_pages_;  // on the heap: SQLite keeps its address
    sys::CPtr<sqlite3, ::sqlite3_close_v2> handle_;
    std::map<std::string, sys::CPtr<sqlite3_stmt, ::sqlite3_finalize>, std::less<>> statements_;
};

}  // namespace modelguard::store
