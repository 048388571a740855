#include "supervisor/base/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace modelguard {

namespace {

struct Hidden {
    std::uint32_t first, last;
    const char* kind;
};
constexpr std::array kHidden{
    Hidden{0x00ad, 0x00ad, "an invisible character"},  Hidden{0x061c, 0x061c, "a hidden direction mark"},
    Hidden{0x200b, 0x200f, "an invisible character"},  Hidden{0x2028, 0x202e, "a hidden direction or line mark"},
    Hidden{0x2060, 0x206f, "a hidden direction mark"}, Hidden{0xfeff, 0xfeff, "a byte order mark"},
    Hidden{0xfff9, 0xfffb, "an invisible character"},  Hidden{0xe0000, 0xe0fff, "an invisible character"},
};

std::string escaped(const CodePoint& point, std::string_view bytes) {
    if (point.valid && point.value == '\n') return "\\n";
    if (point.valid && point.value == '\t') return "\\t";
    std::array<char, 16> text{};
    const unsigned value = point.valid ? point.value : static_cast<unsigned char>(bytes[0]);
    std::snprintf(text.data(), text.size(), point.valid && value >= 0x80 ? "\\u%04x" : "\\x%02x", value);
    return text.data();
}

std::string escape(std::string_view text, std::size_t max_bytes) {
    std::string shown;
    while (!text.empty()) {
        if (shown.size() >= max_bytes) return shown + "…";
        const CodePoint point = next_code_point(text);
        const std::string_view bytes = text.substr(0, point.length);
        if (point.valid && !is_control(point.value) && hidden_kind(point.value) == nullptr)
            shown += bytes;
        else
            shown += escaped(point, bytes);
        text.remove_prefix(bytes.size());
    }
    return shown;
}

std::string_view first_line(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n\v\f";
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    text.remove_prefix(begin);
    text = text.substr(0, text.find_first_of("\r\n"));
    return text.substr(0, text.find_last_not_of(kBlank) + 1);
}

}  // namespace

CodePoint next_code_point(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at])); };
    const std::uint32_t first = byte(0);
    if (first < 0x80) return {first, 1, true};
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
    std::uint32_t value = first & (0xffu >> (length + 1));
    for (std::size_t at = 1; at < length; ++at) {
        if ((byte(at) & 0xc0) != 0x80) return {};
        value = (value << 6) | (byte(at) & 0x3f);
    }
    constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};  // below: overlong
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < kSmallest[length] || value > 0x10ffff || surrogate) return {};
    return {value, length, true};
}

bool is_control(std::uint32_t code_point) { return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0); }

const char* hidden_kind(std::uint32_t code_point) {
    const auto* found = std::ranges::find_if(
        kHidden, [&](const Hidden& each) { return code_point >= each.first && code_point <= each.last; });
    return found == kHidden.end() ? nullptr : found->kind;
}

std::string printable(std::string_view text) { return escape(text, std::string_view::npos); }
std::string printable_name(std::string_view text) { return escape(text, 160); }

std::string plain_line(std::string_view text, std::size_t max_bytes) {
    std::string_view line = first_line(text);
    std::string plain;
    while (!line.empty()) {
        const CodePoint point = next_code_point(line);
        const std::string_view bytes = line.substr(0, point.length);
        line.remove_prefix(bytes.size());
        if (point.valid && (is_control(point.value) || hidden_kind(point.value) != nullptr)) continue;
        if (plain.size() + bytes.size() > max_bytes) return plain + "…";
        plain += point.valid ? bytes : std::string_view("?");
    }
    return plain;
}

std::string one_line(std::string_view text, std::size_t max_bytes) {
    std::string joined;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte != 0x7f)
            joined += c;
        else if (!joined.empty() && joined.back() != ' ')
            joined += ' ';
    }
    return plain_line(joined, max_bytes);
}

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            encoded += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        encoded += '%';
        encoded += kHex[byte >> 4];
        encoded += kHex[byte & 15];
    }
    return encoded;
}

}  // namespace modelguard
