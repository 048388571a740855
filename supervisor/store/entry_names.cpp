#include "supervisor/store/entry_names.hpp"

#include <algorithm>
#include <array>

#include "supervisor/base/text.hpp"
#include "supervisor/store/tree.hpp"

namespace modelguard::store {

namespace {

constexpr std::size_t kLongestComponent = 255;  // NAME_MAX of every file system we run on

struct Range {
    std::uint32_t first;
    std::uint32_t last;
    constexpr bool holds(std::uint32_t value) const { return value >= first && value <= last; }
};
// Marks that combine with the letter before them, and Hangul that composes: with them one name has several spellings
// (NFC, NFD).
constexpr std::array<Range, 7> kCombining{{{0x0300, 0x036f},
                                           {0x1100, 0x11ff},
                                           {0x1ab0, 0x1aff},
                                           {0x1dc0, 0x1dff},
                                           {0x20d0, 0x20ff},
                                           {0x3099, 0x309a},
                                           {0xfe20, 0xfe2f}}};
// Letters whose normal form is another letter (Kelvin, Angstrom, Ohm, compatibility ideographs): twins of the plain
// ones.
constexpr std::array<Range, 4> kSingletons{{{0x2126, 0x2126}, {0x212a, 0x212b}, {0xf900, 0xfaff}, {0x2f800, 0x2fa1f}}};
template <std::size_t count>
bool any_holds(const std::array<Range, count>& ranges, std::uint32_t value) {
    return std::ranges::any_of(ranges, [value](const Range& range) { return range.holds(value); });
}

std::unexpected<Error> refuse(std::string_view path, std::string_view why) {
    return fail(ErrorKind::invalid_config, "entry '" + printable_name(path) + "': " + std::string(why));
}

std::string folded(std::string_view path) {
    std::string lower(path);
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return lower;
}

Result<void> check_characters(std::string_view path) {
    for (std::size_t at = 0; at < path.size();) {
        const CodePoint point = next_code_point(path.substr(at));
        if (!point.valid) return refuse(path, "the name is not UTF-8");
        if (is_control(point.value)) return refuse(path, "control character in the name");
        if (point.value == '\\') return refuse(path, "backslash in the name");
        if (hidden_kind(point.value) != nullptr) return refuse(path, "invisible character in the name");
        if (any_holds(kCombining, point.value) || any_holds(kSingletons, point.value))
            return refuse(path, "combining character in the name; only precomposed names (NFC) are taken");
        at += point.length;
    }
    return {};
}

}  // namespace

Result<std::string> clean_entry_path(std::string_view raw, std::size_t max_path, std::size_t max_depth) {
    if (raw.empty()) return refuse(raw, "no name");
    if (raw.front() == '/') return refuse(raw, "absolute path");
    if (raw.size() > max_path) return refuse(raw, "the path is longer than " + std::to_string(max_path) + " bytes");
    MG_CHECK(check_characters(raw));
    std::string_view path = raw;
    while (path.starts_with("./"))
        path.remove_prefix(2);
    if (path.ends_with('/')) path.remove_suffix(1);
    if (path.empty() || path == ".") return std::string();

    std::size_t depth = 0;
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view component = path.substr(begin, end - begin);
        if (component.empty()) return refuse(raw, "empty component in the path");
        if (component == "." || component == "..") return refuse(raw, "'" + std::string(component) + "' in the path");
        if (component.size() > kLongestComponent) return refuse(raw, "a name is longer than 255 bytes");
        if (++depth > max_depth) return refuse(raw, "nested deeper than " + std::to_string(max_depth) + " levels");
        begin = end + 1;
    }
    return std::string(path);
}

Result<void> EntryNames::add(const std::string& path, Kind kind) {
    const auto [at, is_new] = by_folded_path_.try_emplace(folded(path), Entry{path, kind});
    if (is_new) {
        if (by_folded_path_.size() > max_entries_)
            return refuse(path, "more than " + std::to_string(max_entries_) + " entries");
        return {};
    }
    Entry& known = at->second;
    if (known.path != path) return refuse(path, "differs only in case from '" + printable_name(known.path) + "'");
    if (kind == Kind::implied_directory) {
        if (known.kind == Kind::file) return refuse(path, "is a file, and a directory for another entry");
        return {};
    }
    if (kind == Kind::directory && known.kind == Kind::implied_directory) {
        known.kind = kind;
        return {};
    }
    return refuse(path, "is there twice");
}

Result<void> EntryNames::add_parents(std::string_view path) {
    for (std::size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1))
        MG_CHECK(add(std::string(path.substr(0, slash)), Kind::implied_directory));
    return {};
}

Result<void> EntryNames::add_file(const std::string& path) {
    MG_CHECK(add_parents(path));
    return add(path, Kind::file);
}

Result<void> EntryNames::add_directory(const std::string& path) {
    MG_CHECK(add_parents(path));
    return add(path, Kind::directory);
}

}  // namespace modelguard::store
