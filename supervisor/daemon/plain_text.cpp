#include "supervisor/daemon/plain_text.hpp"

#include <array>
#include <cstdint>
#include <cstdio>

namespace modelguard::daemon {

namespace {
struct Decoded {
    std::uint32_t code{0};
    std::size_t length{0};  // 0: not UTF-8
};

// One character; overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8 (RFC 3629).
Decoded decode(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
    constexpr std::array<std::uint32_t, 5> kLeadMask{0, 0, 0x1f, 0x0f, 0x07};
    constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
    std::uint32_t code = lead & kLeadMask[length];
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        code = code << 6 | (byte(i) & 0x3f);
    }
    if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
    return {code, length};
}

struct Range {
    std::uint32_t first, last;
    const char* what;
};
constexpr std::array kForbidden{
    Range{0x7f, 0x9f, "a control character"},
    Range{0x200b, 0x200f, "an invisible character"},
    Range{0x2028, 0x202e, "a hidden direction or line mark"},
    Range{0x2060, 0x2069, "a hidden direction mark"},
    Range{0xfeff, 0xfeff, "a byte order mark"},
    Range{0xfff9, 0xfffb, "an invisible character"},
    Range{0xe0000, 0xe007f, "an invisible character"},
};

std::string named(const char* what, std::uint32_t code) {
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "U+%04X", code);
    return std::string(what) + " (" + number.data() + ")";
}
}  // namespace

std::optional<BadText> find_bad_text(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const Decoded found = decode(text.substr(at));
        if (found.length == 0) {
            std::array<char, 8> number{};
            std::snprintf(number.data(), number.size(), "0x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(text[at])));
            return BadText{at, std::string("invalid UTF-8 (byte ") + number.data() + ")"};
        }
        if (found.code == 0) return BadText{at, "a NUL character"};
        const bool ends_line = found.code == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
        if (found.code < 0x20 && found.code != '\n' && found.code != '\t' && !ends_line)
            return BadText{at, named("a control character", found.code)};
        for (const Range& range : kForbidden)
            if (found.code >= range.first && found.code <= range.last)
                return BadText{at, named(range.what, found.code)};
        at += found.length;
    }
    return std::nullopt;
}

}  // namespace modelguard::daemon
