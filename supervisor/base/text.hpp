#pragma once
// Text of others (servers, scripts, bundles, manifests) and what of it is safe to show. Pure. Not for our own
// sentences.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelguard {

/// The first code point of a text that is not empty; where `valid` is false, `length` is 1 and `value` means nothing.
/// No overlong forms, no surrogates, nothing above U+10FFFF (RFC 3629).
struct CodePoint {
    std::uint32_t value{0};
    std::size_t length{1};
    bool valid{false};
};
CodePoint next_code_point(std::string_view text);

/// C0, DEL and C1: they steer a terminal.
bool is_control(std::uint32_t code_point);
/// What an invisible character is that changes how the rest is read (direction marks, zero width, separators, tags), in
/// words; nullptr for all others.
const char* hidden_kind(std::uint32_t code_point);

/// All of `text`, with control and hidden characters and bytes that are not UTF-8 escaped (\n, \x1b, \u202e).
std::string printable(std::string_view text);
/// The same for a name in a message: cut with "…" after some 160 bytes.
std::string printable_name(std::string_view text);
/// The first non-empty line, trimmed, without control and hidden characters (a reply must not move an operator's
/// cursor) and as valid UTF-8 (reports travel as JSON; "?" for a byte that is not), cut with "…" after `max_bytes`.
std::string plain_line(std::string_view text, std::size_t max_bytes = 160);
/// The same of all lines together, white space and control characters as single blanks: for a server's traceback.
std::string one_line(std::string_view text, std::size_t max_bytes = 300);

/// For one segment of a path or one value of a query: everything but unreserved characters is encoded, "/" too, so that
/// a name cannot name another place (RFC 3986, section 2).
std::string percent_encoded(std::string_view text);

}  // namespace modelguard
