#include "supervisor/base/ids.hpp"

#include <algorithm>

namespace modelguard {

namespace {
constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kHexLength = 64;
constexpr std::size_t kShortLength = 12;
constexpr std::size_t kMaxNameLength = 63;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
}  // namespace

bool is_valid_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxNameLength || !is_lower_alnum(name.front())) return false;
    return std::ranges::all_of(name, [](char c) { return is_lower_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

std::string Digest::short_form() const {
    if (!text.starts_with(kPrefix)) return text;
    return text.substr(kPrefix.size(), kShortLength);
}

std::string Digest::dir_name() const {
    if (!text.starts_with(kPrefix)) return text;
    return "sha256-" + text.substr(kPrefix.size());
}

Result<Digest> parse_digest(std::string_view text) {
    std::string_view hex = text;
    if (hex.starts_with("sha256:") || hex.starts_with("sha256-")) hex.remove_prefix(kPrefix.size());
    std::string lower(hex);
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    const bool is_hex =
        std::ranges::all_of(lower, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (lower.size() != kHexLength || !is_hex)
        return fail(ErrorKind::invalid_config,
                    "'" + std::string(text.substr(0, 80)) + "' is not a digest; expected sha256: and 64 hex digits");
    return Digest{std::string(kPrefix) + lower};
}

}  // namespace modelguard
