#include "supervisor/base/unit_name.hpp"

namespace modelguard {

namespace {
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '_' ||
           c == '.' || c == '-';
}
}  // namespace

std::string escape_instance(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (is_plain(c)) {
            escaped += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        escaped += "\\x";
        escaped += kHexDigits[byte >> 4U];
        escaped += kHexDigits[byte & 0xfU];
    }
    return escaped;
}

std::optional<std::string> unescape_instance(std::string_view instance) {
    std::string text;
    for (std::size_t at = 0; at < instance.size(); ++at) {
        if (is_plain(instance[at])) {
            text += instance[at];
            continue;
        }
        if (instance.substr(at, 2) != "\\x" || instance.size() < at + 4) return std::nullopt;
        const std::size_t high = kHexDigits.find(instance[at + 2]);
        const std::size_t low = kHexDigits.find(instance[at + 3]);
        if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
        text += static_cast<char>(high << 4U | low);
        if (is_plain(text.back())) return std::nullopt;
        at += 3;
    }
    return text;
}

}  // namespace modelguard
