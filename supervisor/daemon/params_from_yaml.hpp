#pragma once
// From a YAML map to typed parameters by a parameter table. The manifest's own sections are read by such tables too, so
// that every wrong value is told in the same words. Not for what depends on the device or on other keys.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "supervisor/base/params.hpp"
#include "supervisor/daemon/findings.hpp"
#include "supervisor/daemon/yaml_tree.hpp"

namespace modelguard::daemon {

inline constexpr std::size_t kLongestText = 4096;  // bytes; a path is the longest thing a parameter holds
inline constexpr std::size_t kLongestList = 256;   // items

/// What a row takes, in words: "a number (share 0-1) from 0 to 1", "true or false", …
std::string expectation(const ParamSpec& spec);

/// One value by its row; nullopt where a finding was made at `key`.
std::optional<ParamValue> value_from_yaml(const YamlNode& node, const ParamSpec& spec, const std::string& key,
                                          FindingSink& sink);

/// All values of `map` that have a row in `table`, with defaults filled in. `read_elsewhere` names further keys that
/// are right in this map; any other key, a missing required one and a wrong value are findings. `prefix` is the map's
/// own key path; `line` is where a missing key is reported.
ParamMap params_from_yaml(const YamlNode& map, std::span<const ParamSpec> table,
                          std::span<const std::string_view> read_elsewhere, const std::string& prefix,
                          FindingSink& sink);

/// A finding for every key of `map` that is not in `known`.
void refuse_unknown_keys(const YamlNode& map, std::span<const std::string_view> known, const std::string& prefix,
                         FindingSink& sink);

/// The map under `entry`, or nullptr with a finding ("found a list; expected a map").
const YamlNode* expect_map(const YamlNode& node, const std::string& key, FindingSink& sink);
/// The list's items; a finding and nullptr where it is something else.
const YamlNode* expect_list(const YamlNode& node, const std::string& key, FindingSink& sink);

}  // namespace modelguard::daemon
