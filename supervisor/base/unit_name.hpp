#pragma once
// Texts as instance names of systemd's template units. Pure. Only what may not stand in a unit's name is escaped, so
// that names stay readable; a unit takes its instance by %i, since %I would make a "/" of each "-".
// Source: systemd.unit(5), "String escaping for inclusion in unit names".

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace modelguard {

constexpr std::size_t kUnitNameBytes = 255;  ///< systemd's limit for a whole name, suffix included

/// Everything but A-Z a-z 0-9 : _ . - as \xNN.
std::string escape_instance(std::string_view text);
/// Back again; nullopt where it is nothing that escape_instance() makes. One text has one escaped form.
std::optional<std::string> unescape_instance(std::string_view instance);

}  // namespace modelguard
