// The `checks:` section of a manifest. What a kind takes stands in its descriptor; here are the keys that every check
// has.

#include <array>

#include "supervisor/daemon/manifest_keys.hpp"
#include "supervisor/daemon/manifest_reader.hpp"

namespace modelguard::daemon {

namespace {
// The kind that waits for the model to be loaded: it talks to the server although nothing has to be ready for it.
constexpr std::string_view kReadyKind = "ready";

const ParamSpec* find_spec(std::span<const ParamSpec> table, std::string_view name) {
    for (const ParamSpec& spec : table)
        if (spec.name == name) return &spec;
    return nullptr;
}
}  // namespace

void ManifestReader::read_checks(const YamlNode& top) {
    const YamlEntry* checks = top.find("checks");
    if (checks == nullptr) {
        sink_.error(top.line, "checks",
                    "the key is missing; expected a list of checks, as in `- {name: ready, kind: ready}`");
        return;
    }
    const YamlNode* list = expect_list(checks->value, "checks", sink_);
    if (list == nullptr) return;
    if (list->items.size() > kMostChecks) {
        sink_.error(checks->line, "checks",
                    std::to_string(list->items.size()) + " checks; expected at most " + std::to_string(kMostChecks));
        return;
    }
    for (std::size_t i = 0; i < list->items.size(); ++i)
        read_check(list->items[i], "checks[" + std::to_string(i) + "]");
    if (!has_required_)
        sink_.error(checks->line, "checks", "no check is required; expected at least one, or nothing could ever fail");
    if (!has_ready_)
        sink_.warning(checks->line, "checks",
                      "there is no check of kind ready; the other checks may meet a model that still loads");
}

void ManifestReader::read_check(const YamlNode& item, const std::string& key) {
    if (expect_map(item, key, sink_) == nullptr) return;
    // Only the common keys now: which others are right depends on the kind.
    YamlNode common{.kind = YamlNode::Kind::map, .line = item.line};
    for (const YamlEntry& entry : item.entries)
        if (find_spec(kCommonKeys, entry.key) != nullptr) common.entries.push_back(entry);
    const ParamMap params = params_from_yaml(common, kCommonKeys, {}, key, sink_);

    ConfiguredCheck check;
    if (has_param(params, "name")) {
        check.name = text_param(params, "name");
        const int line = line_of(params, "name");
        if (!is_valid_name(check.name))
            sink_.error(line, key + ".name", "found " + in_quotes(check.name) + "; expected " + name_expectation());
        else if (!check_names_.insert(check.name).second)
            sink_.error(line, key + ".name",
                        "another check is called " + in_quotes(check.name) + "; expected a name of its own");
    }
    check.required = !has_param(params, "severity") || text_param(params, "severity") == "required";
    has_required_ = has_required_ || check.required;
    if (!has_param(params, "kind")) return;
    const std::string& word = text_param(params, "kind");
    check.kind = checks::find_kind(word);
    if (check.kind != nullptr) {
        read_check_params(item, key, std::move(check));
        return;
    }
    std::vector<std::string_view> known;
    for (const checks::CheckKind* kind : checks::kinds())
        known.push_back(kind->name);
    sink_.error(line_of(params, "kind"), key + ".kind",
                "found " + in_quotes(word) + "; expected " + listed(known) + did_you_mean(word, known));
}

void ManifestReader::read_check_params(const YamlNode& item, const std::string& key, ConfiguredCheck check) {
    const std::size_t errors_before = sink_.errors();
    const checks::CheckKind& kind = *check.kind;
    if (kind.name == kReadyKind) has_ready_ = true;
    if ((kind.needs_server || kind.name == kReadyKind) && !server_user_) server_user_ = check.name;

    std::vector<std::string_view> read_here;
    for (const ParamSpec& common : kCommonKeys)
        read_here.push_back(common.name);
    const YamlEntry* must_detect = item.find(kMustDetect.name);
    if (kind.compares) {
        if (find_spec(kind.params, kMustDetect.name) == nullptr) {
            read_here.push_back(kMustDetect.name);
            if (must_detect != nullptr) read_must_detect(must_detect->value, key + ".must_detect");
        }
        if (must_detect != nullptr) note_unused(must_detect->line, key + ".must_detect");
    }
    const YamlEntry* canary = item.find(kCanaryKey);
    const ParamSpec* canary_spec = find_spec(kind.params, kCanaryKey);
    if (canary != nullptr && canary_spec != nullptr && canary->value.kind == YamlNode::Kind::map) {
        read_here.push_back(kCanaryKey);
        read_device_canary(canary->value, key + ".canary", canary_spec->required);
    }
    check.params = params_from_yaml(item, kind.params, read_here, key, sink_);
    refuse_names(check.params, key);
    if (sink_.errors() != errors_before) return;  // the factory may rely on its table

    auto made = kind.make(check.params);
    if (!made) {
        sink_.error(item.line, key, made.error().what);
        return;
    }
    check.check = std::move(*made);
    manifest_.checks.push_back(std::move(check));
}

void ManifestReader::read_must_detect(const YamlNode& node, const std::string& key) {
    if (node.kind == YamlNode::Kind::map)
        std::ignore = params_from_yaml(node, kMustDetectFields, {}, key, sink_);  // only its types count today
    else
        std::ignore = value_from_yaml(node, kMustDetect, key, sink_);
}

// A set that belongs to the device outranks the bundle's. Where the kind cannot do without a set, doing as if it were
// not written would grade nothing, so that is an error until the device's sets are delivered.
void ManifestReader::read_device_canary(const YamlNode& map, const std::string& key, bool is_required) {
    const ParamMap params = params_from_yaml(map, kDeviceCanaryFields, {}, key, sink_);
    if (has_param(params, "digest"))
        if (const auto digest = parse_digest(text_param(params, "digest")); !digest)
            sink_.error(line_of(params, "digest"), key + ".digest", digest.error().what);
    note_unused(map.line, key);
    if (is_required)
        sink_.error(map.line, key,
                    "this release needs the canary set in the bundle; expected its path, as in canary/digits.jsonl");
}

}  // namespace modelguard::daemon
