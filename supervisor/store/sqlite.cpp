#include "supervisor/store/sqlite.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

namespace {

constexpr std::size_t kChecksumDigits =
    16;  // 64 bits against accident; malice that can write the file can write checksums

/// FULL: a commit is durable when it returns. EXCLUSIVE: no shared memory file, and no second daemon. The rest makes a
/// damaged file an error instead of a surprise. The cache is small because the whole state is.
constexpr const char* kSettings =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-512;"
    "PRAGMA journal_size_limit=4194304;"
    "PRAGMA journal_mode=WAL;";

Error error_from_code(int code, int system_errno, std::string what) {
    switch (code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return {ErrorKind::conflict, std::move(what), 0};
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_READONLY: return {ErrorKind::denied, std::move(what), EACCES};
        case SQLITE_FULL: return {ErrorKind::io, std::move(what), ENOSPC};
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
        case SQLITE_NOMEM:
        case SQLITE_NOLFS:
        case SQLITE_PROTOCOL:
        case SQLITE_INTERRUPT: {
            const ErrorKind kind = system_errno == EACCES || system_errno == EPERM ? ErrorKind::denied : ErrorKind::io;
            return {kind, std::move(what), system_errno != 0 ? system_errno : EIO};
        }
        default: return {ErrorKind::malformed_reply, std::move(what), 0};
    }
}

std::unexpected<Error> sqlite_failure(sqlite3* handle, int code, std::string_view doing) {
    std::string what = std::string(doing) + ": " + (handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
    const int system_errno = handle ? sqlite3_system_errno(handle) : 0;
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR)
        what += " (" + errno_error("errno", system_errno).what + ")";
    return std::unexpected(error_from_code(code, system_errno, std::move(what)));
}

/// Who holds a lock on the file, from /proc/locks: opening the file to ask would, on close, drop the locks of this
/// process.
std::string lock_holder(const sys::Path& file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) return {};
    char wanted[64];
    std::snprintf(wanted, sizeof wanted, "%02x:%02x:%llu", major(status.st_dev), minor(status.st_dev),
                  static_cast<unsigned long long>(status.st_ino));
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number, type, mode, access, pid, place;
        if (words >> number >> type >> mode >> access >> pid >> place && place == wanted) return pid;
    }
    return {};
}

void feed(sys::Sha256& sum, char type, std::string_view value) {
    sum.update(std::string(1, type) + std::to_string(value.size()) + ":");
    sum.update(value);
}

std::string shortened(sys::Sha256& sum) { return sum.finish_hex().substr(0, kChecksumDigits); }

}  // namespace

std::string Row::checksum(std::string_view table) const {
    sys::Sha256 sum;
    feed(sum, 'n', table);
    for (const Value& value : values_) {
        if (const auto* number = std::get_if<std::int64_t>(&value))
            feed(sum, 'i', std::to_string(*number));
        else
            feed(sum, 't', std::get<std::string_view>(value));
    }
    return shortened(sum);
}

Result<bool> Cursor::next() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return sqlite_failure(sqlite3_db_handle(statement_), code, "ledger");
}

std::string_view Cursor::text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (bytes == nullptr) return {};
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Cursor::is_intact(std::string_view table) const {
    sys::Sha256 sum;
    feed(sum, 'n', table);
    const int last = sqlite3_column_count(statement_) - 1;
    for (int column = 0; column < last; ++column) {
        switch (sqlite3_column_type(statement_, column)) {
            case SQLITE_INTEGER: feed(sum, 'i', std::to_string(integer(column))); break;
            case SQLITE_TEXT: feed(sum, 't', text(column)); break;
            default: return false;  // nothing else is ever written
        }
    }
    return shortened(sum) == text(last);
}

Result<Database> Database::open(const sys::Path& file) {
    bool header_is_to_blame = false;
    Result<Database> opened = open_once(file, header_is_to_blame);
    // What is wrong with a header is wrong twice. An open of the log that failed for once (no descriptor left) looks
    // the same to SQLite, and must not cost a ledger that is sound; nothing was written meanwhile.
    if (header_is_to_blame) opened = open_once(file, header_is_to_blame);
    return opened;
}

Result<Database> Database::open_once(const sys::Path& file, bool& header_is_to_blame) {
    header_is_to_blame = false;
    // Made by us, so that it is nobody else's to read from its first moment; SQLite gives the log the same mode. Closed
    // before SQLite opens it: closing any descriptor of a file drops every lock that the process holds on it.
    if (sys::Fd made{::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)}) {
        made.reset();
        MG_CHECK(sys::fsync_directory(file.parent_path()));
    }
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(raw, std::make_unique<int>(0));
    if (code != SQLITE_OK) return sqlite_failure(raw, code, "open " + file.string());
    // Before anything is read this is the system's answer, which may be for once (no descriptor left); afterwards it
    // may be the header's claim.
    const bool refused_by_system = sqlite3_db_readonly(raw, "main") == 1;
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    // Our hook takes the place of SQLite's own checkpoints, whose errors it would swallow.
    sqlite3_wal_hook(
        raw,
        [](void* pages, sqlite3*, const char*, int count) {
            *static_cast<int*>(pages) = count;
            return SQLITE_OK;
        },
        database.wal_pages_.get());
    Result<void> ready = database.run(kSettings);
    if (ready) ready = database.run("BEGIN IMMEDIATE; COMMIT;");  // the lock is taken now, not at the first use
    // SQLite falls back to reading where it may not write, or where the header says so.
    if (ready && sqlite3_db_readonly(raw, "main") == 1)
        ready = fail(ErrorKind::denied, file.string() + " cannot be written");
    if (ready) return database;
    Error error = std::move(ready).error();
    if (error.kind == ErrorKind::conflict) {
        const std::string holder = lock_holder(file);
        error.what = file.string() + " is in use by another modelguardd" +
                     (holder.empty() ? "" : " (process " + holder + ")") + "; stop that one first";
        return std::unexpected(std::move(error));
    }
    if (error.kind != ErrorKind::denied && error.kind != ErrorKind::io) return std::unexpected(std::move(error));
    // SQLite reads on where it cannot write, and then no longer knows why not: no descriptor was left, the file system
    // is read-only, or the header claims to be. The file itself tells; our handle is closed first, since closing a
    // descriptor drops its locks.
    database.abandon();
    if (const sys::Fd plain{::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)}; !plain)
        return fail_errno("open " + file.string(), errno);
    if (refused_by_system) error.kind = ErrorKind::io;
    if (error.kind == ErrorKind::denied) {  // not the rights: its header
        error.kind = ErrorKind::malformed_reply;
        header_is_to_blame = true;
    }
    return std::unexpected(std::move(error));
}

Result<void> Database::run(const char* sql) {
    const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite_failure(handle_.get(), code, "ledger");
    return {};
}

Result<Cursor> Database::query(std::string_view sql, const Row& parameters) {
    auto at = statements_.find(sql);
    if (at == statements_.end()) {
        sqlite3_stmt* statement = nullptr;
        const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        if (code != SQLITE_OK) return sqlite_failure(handle_.get(), code, "ledger");
        at = statements_.emplace(sql, statement).first;
    }
    sqlite3_stmt* statement = at->second.get();
    int index = 0;
    for (const Row::Value& value : parameters.values()) {
        ++index;
        const auto* number = std::get_if<std::int64_t>(&value);
        const auto text = number ? std::string_view() : std::get<std::string_view>(value);
        // An empty view may have no address, and SQLite reads that as NULL.
        const int code = number ? sqlite3_bind_int64(statement, index, *number)
                                : sqlite3_bind_text64(statement, index, text.empty() ? "" : text.data(), text.size(),
                                                      SQLITE_TRANSIENT, SQLITE_UTF8);
        if (code != SQLITE_OK) return sqlite_failure(handle_.get(), code, "ledger");
    }
    return Cursor(statement);
}

Result<void> Database::execute(std::string_view sql, const Row& parameters) {
    MG_TRY(Cursor cursor, query(sql, parameters));
    for (;;) {
        MG_TRY(const bool more, cursor.next());
        if (!more) return {};
    }
}

Result<void> Database::write(std::string_view table, std::string_view sql, const Row& row) {
    const std::string checksum = row.checksum(table);
    Row with_checksum = row;
    return execute(sql, with_checksum.text(checksum));
}

Result<std::int64_t> Database::number(std::string_view sql) {
    MG_TRY(Cursor cursor, query(sql, {}));
    MG_TRY(const bool there, cursor.next());
    if (!there) return fail(ErrorKind::malformed_reply, "ledger: no answer to " + std::string(sql));
    return cursor.integer(0);
}

Result<int> Database::checkpoint() {
    int frames = 0;
    int moved = 0;
    int code = sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    // TRUNCATE alone would say that there were none.
    if (code == SQLITE_OK)
        code = sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite_failure(handle_.get(), code, "ledger: checkpoint");
    if (frames != moved) return fail(ErrorKind::io, "ledger: checkpoint: not all of the log was moved");
    return frames;
}

void Database::abandon() {
    if (!handle_) return;
    sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    statements_.clear();
    handle_.reset();
}

}  // namespace modelguard::store
