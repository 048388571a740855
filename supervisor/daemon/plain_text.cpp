#include "supervisor/daemon/plain_text.hpp"

#include <array>
#include <cstdint>
#include <cstdio>

#include "supervisor/base/text.hpp"

namespace modelguard::daemon {

namespace {
std::string named(const char* what, std::uint32_t code) {
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "U+%04X", code);
    return std::string(what) + " (" + number.data() + ")";
}
}  // namespace

std::optional<BadText> find_bad_text(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint found = next_code_point(text.substr(at));
        if (!found.valid) {
            std::array<char, 8> number{};
            std::snprintf(number.data(), number.size(), "0x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(text[at])));
            return BadText{at, std::string("invalid UTF-8 (byte ") + number.data() + ")"};
        }
        if (found.value == 0) return BadText{at, "a NUL character"};
        const bool ends_line = found.value == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
        if (is_control(found.value) && found.value != '\n' && found.value != '\t' && !ends_line)
            return BadText{at, named("a control character", found.value)};
        if (const char* kind = hidden_kind(found.value)) return BadText{at, named(kind, found.value)};
        at += found.length;
    }
    return std::nullopt;
}

}  // namespace modelguard::daemon
