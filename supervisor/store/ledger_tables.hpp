#pragma once
// The tables of the ledger and what is read from and written to each row. Internal to store.
// Additive: a later release may add tables and columns (each new column nullable, with a checksum column of its own);
// it never changes what is here. So columns are always named, and rows are updated in place, never replaced.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/store/ledger.hpp"
#include "supervisor/store/sqlite.hpp"

namespace modelguard::store::tables {

inline constexpr std::int64_t kApplicationId = 0x6d67'6c64;  // "mgld"
// Grows with what is added: tables, columns with a default, keys, words. Older releases leave those alone; `checksum`
// covers the columns of schema 1 only, so that a later column needs a checksum column of its own.
inline constexpr std::int64_t kSchemaVersion = 1;
/// From here on a ledger that older releases must not write: a change that is not an addition, and that keeps them from
/// reading the table `state` whole, so that a damaged number is not taken for one.
inline constexpr std::int64_t kNextMajorSchema = 1000;

/// Keys of the rows of `state`. `device` holds next_id and how many models there are, so that a lost row is noticed.
inline constexpr std::string_view kOsKey = "os";
inline constexpr std::string_view kDeviceKey = "device";
inline constexpr std::string_view kModelPrefix = "model/";

extern const char* const kSchema;  ///< makes all tables; for an empty file

Result<void> write_state(Database& database, std::string_view key, std::string_view json);
Result<void> erase_state(Database& database, std::string_view key);
/// Returns the bytes that the entry takes.
Result<std::size_t> write_history(Database& database, const HistoryEntry& entry);
Result<void> write_operation(Database& database, const Operation& operation);
Result<void> write_manifest(Database& database, const StoredManifest& manifest);
Result<void> write_version(Database& database, const StoredVersion& version);
Result<void> erase_version(Database& database, const std::string& model, const Digest& digest);
Result<void> write_timer(Database& database, const StoredTimer& timer);
Result<void> erase_timer(Database& database, const std::string& model, core::Timer timer);
Result<void> write_measurement(Database& database, const Measurement& measurement);
/// Manifests, timers and measurements of a model that is no longer in the state.
Result<void> erase_model(Database& database, const std::string& model, bool keep_manifests);
/// Keeps the `kept` newest manifests of a model, and those whose revision is in `needed`.
Result<void> prune_manifests(Database& database, const std::string& model, const std::vector<std::string>& needed,
                             std::size_t kept);
/// Keeps the `kept` newest operations and those that run.
Result<void> prune_operations(Database& database, std::size_t kept);

/// A row that was read: nullopt where it is to be left out (a word of a newer release, with a note).
StoredManifest read_manifest(const Cursor& row, std::vector<std::string>& notes);
std::optional<StoredVersion> read_version(const Cursor& row, std::vector<std::string>& notes);
std::optional<StoredTimer> read_timer(const Cursor& row, std::vector<std::string>& notes);
Operation read_operation(const Cursor& row);

/// All columns of a table, its checksum last; for `… WHERE`, `… ORDER BY`.
extern const char* const kSelectState;
extern const char* const kSelectHistory;
extern const char* const kSelectOperations;
extern const char* const kSelectManifests;
extern const char* const kSelectVersions;
extern const char* const kSelectTimers;
extern const char* const kSelectMeasurements;

}  // namespace modelguard::store::tables
