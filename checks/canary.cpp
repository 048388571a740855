#include "checks/canary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::checks {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxIdBytes = 200;
constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

Result<std::string> read_id(const json& line) {
    const auto it = line.find("id");
    if (it == line.end()) return fail(ErrorKind::invalid_config, "no \"id\"");
    if (it->is_number_integer()) return it->dump();
    if (!it->is_string()) return fail(ErrorKind::invalid_config, "\"id\" is neither a text nor an integer");
    const auto& id = it->get_ref<const std::string&>();
    // Ids stand in reports and in the ledger.
    if (id.empty() || plain_line(id, kMaxIdBytes) != id)
        return fail(ErrorKind::invalid_config, "\"id\" is empty, too long or has control characters");
    return id;
}

std::string raw_field(const json& line, const char* key) {
    const auto it = line.find(key);
    return it == line.end() || it->is_null() ? std::string() : it->dump();
}

}  // namespace

Result<CanaryItem> parse_canary_item(std::string_view text) {
    std::string storage;
    bool not_finite = false;
    if (const auto fits = tolerant_json(text, storage, not_finite); !fits)
        return fail(ErrorKind::invalid_config, fits.error().what);
    if (not_finite) return fail(ErrorKind::invalid_config, "NaN and Infinity are not JSON");
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (line.is_discarded()) return fail(ErrorKind::invalid_config, "not JSON");
    if (!line.is_object()) return fail(ErrorKind::invalid_config, "not a JSON object");
    CanaryItem item;
    MG_TRY(item.id, read_id(line));
    item.input = raw_field(line, "input");
    item.label = raw_field(line, "label");
    item.reference = raw_field(line, "reference");
    if (item.input.empty()) return fail(ErrorKind::invalid_config, "no \"input\"");
    if (item.label.empty() && item.reference.empty()) return fail(ErrorKind::invalid_config, "no \"label\"");
    return item;
}

Result<void> validate_canary_path(std::string_view path) {
    const auto refuse = [&](std::string_view why) {
        return fail(ErrorKind::invalid_config,
                    fmt::format("canary: {}: {}, expected a path inside of the version, as in canary/digits.jsonl",
                                plain_line(path, 80), why));
    };
    if (path.empty()) return refuse("empty");
    if (path.size() > 255) return refuse("too long");
    if (path.front() == '/') return refuse("absolute");
    if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return refuse("control characters");
    for (std::string_view rest = path;;) {
        const std::size_t slash = rest.find('/');
        const std::string_view part = rest.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return refuse("empty, \".\" or \"..\" in it");
        if (slash == std::string_view::npos) return {};
        rest.remove_prefix(slash + 1);
    }
}

void for_each_line(std::string_view text, const std::function<bool(int number, std::string_view line)>& take) {
    if (text.starts_with(kUtf8Mark)) text.remove_prefix(kUtf8Mark.size());
    for (int number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.find_first_not_of(" \t\r") != std::string_view::npos && !take(number, line)) return;
    }
}

Result<std::vector<CanaryItem>> parse_canary_set(std::string_view text, std::string_view name) {
    std::vector<CanaryItem> items;
    std::set<std::string, std::less<>> ids;
    const auto take = [&](int number, std::string_view line) -> Result<void> {
        const std::string where = fmt::format("{}:{}", name, number);
        if (items.size() == kMaxCanaryItems)
            return fail(ErrorKind::invalid_config, fmt::format("{}: more than {} items", where, kMaxCanaryItems));
        MG_TRY(CanaryItem item, with_context(parse_canary_item(line), where));
        item.line = number;
        if (!ids.insert(item.id).second)
            return fail(ErrorKind::invalid_config, fmt::format("{}: id {} a second time", where, item.id));
        items.push_back(std::move(item));
        return {};
    };
    Result<void> taken;
    for_each_line(text, [&](int number, std::string_view line) { return (taken = take(number, line)).has_value(); });
    MG_CHECK(taken);
    if (items.empty()) return fail(ErrorKind::invalid_config, fmt::format("{}: no item in it", name));
    return items;
}

Result<std::vector<CanaryItem>> load_canary_set(const sys::Path& version_dir, const std::string& path) {
    MG_CHECK(validate_canary_path(path));
    MG_TRY(const std::string text,
           with_context(sys::read_file(version_dir / path, kMaxCanaryBytes), "canary set " + path));
    return parse_canary_set(text, path);
}

Result<CanaryItem> load_first_item(const sys::Path& version_dir, const std::string& path) {
    MG_CHECK(validate_canary_path(path));
    MG_TRY(const std::string line,
           with_context(sys::read_first_line(version_dir / path, kMaxCanaryBytes), "canary set " + path));
    if (line.find_first_not_of(" \t\r\n") != std::string::npos && line != kUtf8Mark) {
        MG_TRY(auto items, parse_canary_set(line, path));
        return std::move(items.front());
    }
    MG_TRY(auto items, load_canary_set(version_dir, path));  // blank lines before the first item
    return std::move(items.front());
}

std::string inputs_fingerprint(const std::vector<CanaryItem>& items) {
    sys::Sha256 hash;
    for (const CanaryItem& item : items) {
        hash.update(item.id);
        hash.update(std::string_view("\0", 1));
        hash.update(item.input);
        hash.update(std::string_view("\0", 1));
    }
    return hash.finish_hex().substr(0, 16);
}

}  // namespace modelguard::checks
