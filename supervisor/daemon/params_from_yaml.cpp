#include "supervisor/daemon/params_from_yaml.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace modelguard::daemon {

namespace {
std::string short_number(double value) {
    std::array<char, 32> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} ? std::string(digits.data(), end) : std::string("?");
}

bool has_range(const ParamSpec& spec) { return spec.minimum < spec.maximum; }

}  // namespace

std::string expectation(const ParamSpec& spec) {
    std::string text;
    switch (spec.type) {
        case ParamType::boolean: return "true or false";
        case ParamType::integer: text = "a whole number"; break;
        case ParamType::number: text = "a number"; break;
        case ParamType::text: return spec.choices.empty() ? "text" : listed(spec.choices);
        case ParamType::duration: text = "a duration as in 50ms or 10m"; break;
        case ParamType::text_list: return "a list, as in [a, b]";
        case ParamType::object: return "a map";
    }
    if (!spec.unit.empty() && spec.type != ParamType::duration) text += " (" + std::string(spec.unit) + ")";
    if (!has_range(spec)) return text;
    const auto bound = [&](double value) {
        return spec.type == ParamType::duration ? format_duration(Usec{std::llround(value * 1e6)})
                                                : short_number(value);
    };
    return text + " from " + bound(spec.minimum) + " to " + bound(spec.maximum);
}

namespace {
class ValueReader {
  public:
    ValueReader(const YamlNode& node, const ParamSpec& spec, const std::string& key, FindingSink& sink)
        : node_(node), spec_(spec), key_(key), sink_(sink) {}

    std::optional<ParamValue> read() {
        switch (spec_.type) {
            case ParamType::boolean: return read_boolean();
            case ParamType::integer: return read_integer();
            case ParamType::number: return read_number();
            case ParamType::text: return read_text();
            case ParamType::duration: return read_duration();
            case ParamType::text_list: return read_list();
            case ParamType::object: return read_object();
        }
        return std::nullopt;
    }

  private:
    std::nullopt_t wrong(std::string_view hint = "") {
        sink_.error(node_.line, key_,
                    "found " + describe_node(node_) + "; expected " + expectation(spec_) + std::string(hint));
        return std::nullopt;
    }
    bool is_scalar() const { return node_.kind == YamlNode::Kind::scalar; }
    // Numbers, booleans and durations in quotes are refused: what is written is what it is.
    bool is_plain() const { return is_scalar() && node_.is_plain; }
    bool is_in_range(double value) const {
        return !has_range(spec_) || (value >= spec_.minimum && value <= spec_.maximum);
    }
    template <class T>
    ParamValue made(T value) const {
        return ParamValue{std::move(value), node_.line};
    }

    std::optional<ParamValue> read_boolean() {
        if (is_plain() && node_.text == "true") return made(true);
        if (is_plain() && node_.text == "false") return made(false);
        return wrong(is_scalar() && !node_.is_plain ? " without quotes" : "");
    }

    std::optional<ParamValue> read_integer() {
        std::int64_t value = 0;
        if (!is_plain() || !converts(value) || !is_in_range(static_cast<double>(value))) return wrong();
        return made(value);
    }

    std::optional<ParamValue> read_number() {
        double value = 0;
        if (!is_plain() || !converts(value))
            return wrong(is_scalar() && node_.text.ends_with('%') ? ", not a percentage" : "");
        // from_chars reads "nan" and "inf" too; no threshold is made of them.
        if (!std::isfinite(value) || !is_in_range(value)) return wrong();
        return made(value);
    }

    template <class T>
    bool converts(T& value) const {
        const char* const last = node_.text.data() + node_.text.size();
        const auto [end, error] = std::from_chars(node_.text.data(), last, value);
        return error == std::errc{} && end == last;
    }

    std::optional<ParamValue> read_text() {
        if (!is_scalar() || node_.text.empty()) return wrong();
        if (node_.text.size() > kLongestText) {
            sink_.error(node_.line, key_,
                        "the text has " + std::to_string(node_.text.size()) + " bytes; expected at most " +
                            std::to_string(kLongestText));
            return std::nullopt;
        }
        if (!spec_.choices.empty() && std::ranges::find(spec_.choices, node_.text) == spec_.choices.end())
            return wrong(did_you_mean(node_.text, spec_.choices));
        return made(node_.text);
    }

    std::optional<ParamValue> read_duration() {
        if (!is_scalar()) return wrong();
        const Result<Usec> value = parse_duration(node_.text);
        if (!value) {
            sink_.error(node_.line, key_, value.error().what);
            return std::nullopt;
        }
        if (!is_in_range(static_cast<double>(value->count()) / 1e6)) return wrong();
        return made(*value);
    }

    std::optional<ParamValue> read_list() {
        if (node_.kind != YamlNode::Kind::list) return wrong();
        if (node_.items.size() > kLongestList) {
            sink_.error(
                node_.line, key_,
                std::to_string(node_.items.size()) + " items; expected at most " + std::to_string(kLongestList));
            return std::nullopt;
        }
        std::vector<std::string> texts;
        for (std::size_t i = 0; i < node_.items.size(); ++i) {
            const YamlNode& item = node_.items[i];
            // Any scalar is text here: [1, 64] is a list of two words to whoever reads it.
            if (item.kind != YamlNode::Kind::scalar || item.text.size() > kLongestText) {
                sink_.error(item.line, key_ + "[" + std::to_string(i) + "]",
                            "found " + describe_node(item) + "; expected text of at most 4096 bytes");
                return std::nullopt;
            }
            texts.push_back(item.text);
        }
        return made(std::move(texts));
    }

    std::optional<ParamValue> read_object() {
        if (node_.kind != YamlNode::Kind::map) return wrong();
        return made(params_from_yaml(node_, spec_.fields, {}, key_, sink_));
    }

    const YamlNode& node_;
    const ParamSpec& spec_;
    const std::string& key_;
    FindingSink& sink_;
};

/// A table's default is written as in YAML; one that does not parse is a mistake in the table.
ParamValue default_value(const ParamSpec& spec) {
    std::vector<Finding> findings;
    FindingSink sink("default", findings);
    YamlNode node{.kind = YamlNode::Kind::scalar, .text = std::string(spec.default_text), .is_plain = true};
    if (spec.type == ParamType::text_list || spec.type == ParamType::object) {
        auto tree = parse_yaml_tree("value: " + node.text, WhenEmpty::is_error, sink);
        MG_ASSERT(tree.has_value());
        node = std::move(tree->entries.front().value);
    }
    auto value = value_from_yaml(node, spec, std::string(spec.name), sink);
    MG_ASSERT(value.has_value() && findings.empty());
    value->line = 0;
    return std::move(*value);
}
}  // namespace

std::optional<ParamValue> value_from_yaml(const YamlNode& node, const ParamSpec& spec, const std::string& key,
                                          FindingSink& sink) {
    return ValueReader(node, spec, key, sink).read();
}

ParamMap params_from_yaml(const YamlNode& map, std::span<const ParamSpec> table,
                          std::span<const std::string_view> read_elsewhere, const std::string& prefix,
                          FindingSink& sink) {
    std::vector<std::string_view> known(read_elsewhere.begin(), read_elsewhere.end());
    for (const ParamSpec& spec : table)
        known.push_back(spec.name);
    refuse_unknown_keys(map, known, prefix, sink);

    ParamMap params;
    for (const ParamSpec& spec : table) {
        const std::string key = join_key(prefix, spec.name);
        if (std::ranges::find(read_elsewhere, spec.name) != read_elsewhere.end()) continue;
        if (const YamlEntry* entry = map.find(spec.name)) {
            if (auto value = value_from_yaml(entry->value, spec, key, sink))
                params.emplace(spec.name, std::move(*value));
        } else if (spec.required) {
            sink.error(map.line, key,
                       "the key is missing; expected " + expectation(spec) + ": " + std::string(spec.help));
        } else if (!spec.default_text.empty()) {
            params.emplace(spec.name, default_value(spec));
        }
    }
    return params;
}

void refuse_unknown_keys(const YamlNode& map, std::span<const std::string_view> known, const std::string& prefix,
                         FindingSink& sink) {
    for (const YamlEntry& entry : map.entries) {
        if (std::ranges::find(known, entry.key) != known.end()) continue;
        const std::string hint = did_you_mean(entry.key, known);
        sink.error(entry.line, join_key(prefix, entry.key),
                   "unknown key " + in_quotes(entry.key) +
                       (!hint.empty()   ? hint
                        : known.empty() ? std::string("; expected none")
                                        : "; expected " + listed(known)));
    }
}

const YamlNode* expect_map(const YamlNode& node, const std::string& key, FindingSink& sink) {
    if (node.kind == YamlNode::Kind::map) return &node;
    sink.error(node.line, key, "found " + describe_node(node) + "; expected a map");
    return nullptr;
}

const YamlNode* expect_list(const YamlNode& node, const std::string& key, FindingSink& sink) {
    if (node.kind == YamlNode::Kind::list) return &node;
    sink.error(node.line, key, "found " + describe_node(node) + "; expected a list");
    return nullptr;
}

}  // namespace modelguard::daemon
