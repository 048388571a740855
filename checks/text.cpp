#include "checks/text.hpp"

namespace modelguard::checks {
namespace {

/// Bytes of the well-formed UTF-8 sequence at the front of `text`, 0 if there is none (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0 && byte(1) < 0xA0) return 0;
        if (lead == 0xED && byte(1) > 0x9F) return 0;
        return continues(1) && continues(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0 && byte(1) < 0x90) return 0;
        if (lead == 0xF4 && byte(1) > 0x8F) return 0;
        return continues(1) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

/// C1 controls (U+0080…U+009F) steer terminals like the C0 ones do.
bool is_control(std::string_view character) {
    const auto first = static_cast<unsigned char>(character[0]);
    if (character.size() == 1) return first < 0x20 || first == 0x7F;
    return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

/// Characters that nobody sees and that change how the rest is read: direction marks, zero width, separators, tags.
/// The same as a manifest must not hold.
bool is_hidden(std::string_view character) {
    if (character.size() == 3) {
        const auto first = static_cast<unsigned char>(character[0]);
        const auto second = static_cast<unsigned char>(character[1]);
        const auto third = static_cast<unsigned char>(character[2]);
        if (first == 0xE2 && second == 0x80)
            return (third >= 0x8B && third <= 0x8F) || (third >= 0xA8 && third <= 0xAE);
        if (first == 0xE2 && second == 0x81) return third >= 0xA0 && third <= 0xAF;
        return first == 0xEF &&
               ((second == 0xBB && third == 0xBF) || (second == 0xBF && third >= 0xB9 && third <= 0xBB));
    }
    return character.size() == 4 && (character.starts_with("\xF3\xA0\x80") || character.starts_with("\xF3\xA0\x81"));
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

std::string plain_line(std::string_view text, std::size_t max_bytes) {
    std::string_view line = first_line(text);
    std::string plain;
    while (!line.empty()) {
        const std::size_t length = utf8_length(line);
        const std::string_view character = line.substr(0, length == 0 ? 1 : length);
        line.remove_prefix(character.size());
        if (length != 0 && (is_control(character) || is_hidden(character))) continue;
        if (plain.size() + character.size() > max_bytes) return plain + "…";
        plain += length == 0 ? std::string_view("?") : character;
    }
    return plain;
}

}  // namespace modelguard::checks
