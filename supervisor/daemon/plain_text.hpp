#pragma once
// Which text a configuration file may hold at all: valid UTF-8 that a terminal shows as it is. Not for YAML's own
// rules.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace modelguard::daemon {

struct BadText {
    std::size_t offset{0};  ///< in bytes
    std::string what;       ///< "a NUL character", "invalid UTF-8 (byte 0xff)", …

    bool operator==(const BadText&) const = default;
};

/// The first thing in `text` that is not plain: invalid UTF-8, control characters besides line feed (and carriage
/// return before one, and tab), and characters that change how a line is read without being seen (bidirectional
/// controls, invisible separators).
std::optional<BadText> find_bad_text(std::string_view text);

}  // namespace modelguard::daemon
