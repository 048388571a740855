#include "supervisor/cli/version_argument.hpp"
#include "supervisor/base/text.hpp"

#include <algorithm>

namespace modelguard::cli {

namespace {

constexpr std::size_t kShortestPrefix = 6;  // shorter ones are more often a label mistyped
constexpr std::size_t kMostListed = 8;

/// Lower-case hex digits of a digest or of its beginning; empty where `text` is something else.
std::string hex_prefix(std::string_view text) {
    if (text.starts_with("sha256:") || text.starts_with("sha256-")) text.remove_prefix(7);
    std::string hex(text);
    std::ranges::transform(hex, hex.begin(),
                           [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    const bool is_hex =
        std::ranges::all_of(hex, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return is_hex && hex.size() >= kShortestPrefix ? hex : std::string();
}

template <class Items>
std::string listed(const Items& items) {
    std::string text;
    std::size_t count = 0;
    for (const auto& item : items) {
        if (count++ == kMostListed) return text + ", ..";
        text += (text.empty() ? "" : ", ") + version_name(item.label, item.digest);
    }
    return text;
}

}  // namespace

Answer<std::string> resolve_version(const api::Versions& versions, const std::string& text) {
    if (const auto digest = parse_digest(text)) return digest->text;
    const std::string prefix = hex_prefix(text);
    std::vector<api::VersionItem> fitting;
    for (const auto& item : versions.items) {
        const bool fits_digest = !prefix.empty() && item.digest.starts_with("sha256:" + prefix);
        if (fits_digest || item.label == text) fitting.push_back(item);
    }
    if (fitting.size() == 1) return fitting.front().digest;
    if (fitting.empty())
        return refuse(kNotFound, ErrorKind::not_found,
                      versions.model + " has no version '" + text + "'" +
                          (versions.items.empty() ? std::string() : "; it has " + listed(versions.items)));
    return refuse(kUsage, ErrorKind::invalid_config,
                  "'" + text + "' may be " + listed(fitting) + "; give the digest, or more of it");
}

Answer<std::string> resolve_version(const Session& session, const std::string& model, const std::string& text) {
    MG_ASK(const std::string body, session.get("/v1/models/" + percent_encoded(model) + "/versions"));
    MG_ASK(const api::Versions versions, read_as(api::versions_from_json, body));
    return resolve_version(versions, text);
}

}  // namespace modelguard::cli
