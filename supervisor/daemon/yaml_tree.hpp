#pragma once
// A small tree of a YAML file in which every value knows its line. Only what a configuration needs: maps, lists and
// scalars; anchors, aliases, tags, merge keys, duplicate keys and second documents are findings, so nothing can be
// hidden or multiplied. Not for what the keys mean.

#include <string>
#include <string_view>
#include <vector>

#include "supervisor/daemon/findings.hpp"

namespace modelguard::daemon {

struct YamlEntry;

struct YamlNode {
    enum class Kind { null, scalar, list, map } kind{Kind::null};
    std::string text;                ///< of a scalar
    bool is_plain{false};            ///< a scalar without quotes
    int line{0};                     ///< counted from 1
    std::vector<YamlNode> items;     ///< of a list
    std::vector<YamlEntry> entries;  ///< of a map, in the order of the file

    /// nullptr where there is no such key.
    const YamlEntry* find(std::string_view key) const;
};

struct YamlEntry {
    std::string key;
    int line{0};
    YamlNode value;
};

/// What a node is, for messages: "a list", "a map", "the text 'x'", "nothing".
std::string describe_node(const YamlNode& node);

inline constexpr std::size_t kMostConfigBytes = 1u << 20;  // 200 checks with everything written out need a tenth of it

enum class WhenEmpty { is_error, is_empty_map };
/// The tree of a file whose top is a map. nullopt exactly where a finding of error severity was added. Never throws.
std::optional<YamlNode> parse_yaml_tree(std::string_view text, WhenEmpty when_empty, FindingSink& sink);

/// One text for all files that say the same: map keys sorted, comments, layout and quotes gone. `left_out` names a key
/// of the top map; `sort_by` a key by which lists of maps that all have it are sorted.
std::string canonical_text(const YamlNode& top, std::string_view left_out, std::string_view sort_by);

}  // namespace modelguard::daemon
