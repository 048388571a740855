#pragma once
// What a file in a bundle may be called, and which names may stand side by side. Internal to store.
// Stricter than the file system on purpose: a version must mean the same tree on ext4, on a case-folding share and in a
// terminal that prints its names.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "supervisor/base/result.hpp"

namespace modelguard::store {

/// The path of a tar entry without leading "./" and trailing "/"; empty for the root itself. invalid_config for
/// absolute and dotted paths, backslashes, control and invisible characters, what is not UTF-8, combining characters
/// (only precomposed names are taken, so that two spellings of one name cannot differ), over-long and too deeply nested
/// names.
Result<std::string> clean_entry_path(std::string_view raw, std::size_t max_path, std::size_t max_depth);

/// The names of one bundle. Refuses duplicates, twins that differ in ASCII case only, and files used as directories.
class EntryNames {
  public:
    explicit EntryNames(std::uint64_t max_entries) : max_entries_(max_entries) {}
    /// invalid_config where the name clashes or there are too many; parents that had no entry of their own are added.
    Result<void> add_file(const std::string& path);
    Result<void> add_directory(const std::string& path);

  private:
    enum class Kind { implied_directory, directory, file };
    struct Entry {
        std::string path;
        Kind kind;
    };
    Result<void> add_parents(std::string_view path);
    Result<void> add(const std::string& path, Kind kind);

    std::uint64_t max_entries_;
    std::unordered_map<std::string, Entry> by_folded_path_;
};

}  // namespace modelguard::store
