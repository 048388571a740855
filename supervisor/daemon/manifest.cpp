// The manifest's grammar (DESIGN.md section 8), section by section. Checks are in manifest_checks.cpp.

#include "supervisor/daemon/manifest.hpp"

#include <algorithm>
#include <array>

#include "supervisor/daemon/device_limits.hpp"
#include "supervisor/daemon/manifest_keys.hpp"
#include "supervisor/daemon/manifest_reader.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::daemon {

namespace {
constexpr ParamSpec kLabelSpec{.name = "label", .type = ParamType::text, .help = "A label's value."};

template <class Kind>
std::vector<std::string_view> names_of(std::span<const Kind* const> kinds) {
    std::vector<std::string_view> names;
    for (const Kind* kind : kinds)
        names.push_back(kind->name);
    return names;
}

std::optional<std::string> text_of(const ParamMap& params, std::string_view name) {
    return has_param(params, name) ? std::optional(text_param(params, name)) : std::nullopt;
}
}  // namespace

std::string name_expectation() { return "a-z, 0-9, '_', '.' and '-', 63 at most, a letter or digit first"; }

void ManifestReader::read(const YamlNode& top) {
    const ParamMap params = params_from_yaml(top, kTopKeys, kSections, "", sink_);
    if (const auto model = text_of(params, "model")) {
        manifest_.model = *model;
        if (!is_valid_name(*model))
            sink_.error(line_of(params, "model"), "model",
                        "found " + in_quotes(*model) + "; expected " + name_expectation());
    }
    if (has_param(params, "required")) manifest_.facts.required = boolean_param(params, "required");
    if (const YamlNode* version = section(top, "version")) read_version(*version);
    const YamlNode nothing{.kind = YamlNode::Kind::map, .line = top.line};
    const YamlNode* serve = section(top, "serve");
    read_serve(serve != nullptr ? *serve : nothing);
    if (const YamlNode* trial = section(top, "trial")) read_trial(*trial);
    read_checks(top);
    read_fleet_keys(top);
    require_endpoint(top);
}

const YamlNode* ManifestReader::section(const YamlNode& top, std::string_view name) {
    const YamlEntry* entry = top.find(name);
    return entry == nullptr ? nullptr : expect_map(entry->value, std::string(name), sink_);
}

int ManifestReader::line_of(const ParamMap& params, std::string_view name) {
    const auto it = params.find(name);
    return it == params.end() ? 0 : it->second.line;
}

void ManifestReader::note_unused(int line, const std::string& key) {
    sink_.note(line, key, "is read but not acted on by this release");
}
void ManifestReader::note_if_written(const ParamMap& params, std::string_view name, std::string_view prefix) {
    if (const int line = line_of(params, name); line > 0) note_unused(line, join_key(prefix, name));
}

void ManifestReader::read_version(const YamlNode& map) {
    const ParamMap params = params_from_yaml(map, kVersionKeys, {}, "version", sink_);
    manifest_.version_label = text_of(params, "label").value_or("");
    manifest_.version_source = text_of(params, "source").value_or("");
    for (const std::string_view name : {"digest", "source_digest"}) {
        if (!has_param(params, name)) continue;
        const auto digest = parse_digest(text_param(params, name));
        if (!digest)
            sink_.error(line_of(params, name), join_key("version", name), digest.error().what);
        else if (name == "digest")
            manifest_.version_digest = digest->text;
    }
    note_if_written(params, "source", "version");
    note_if_written(params, "source_digest", "version");
}

void ManifestReader::read_serve(const YamlNode& map) {
    const ParamMap params = params_from_yaml(map, kServeKeys, kServeReadHere, "serve", sink_);
    const auto unknown = [&](std::string_view name, const std::string& word,
                             const std::vector<std::string_view>& known) {
        sink_.error(line_of(params, name), join_key("serve", name),
                    "found " + in_quotes(word) + "; expected " + listed(known) + did_you_mean(word, known));
    };
    if (const auto word = text_of(params, "switch")) {
        manifest_.switch_kind = rollback::find_switch(*word);
        if (manifest_.switch_kind == nullptr) unknown("switch", *word, names_of(rollback::switches()));
    }
    if (const YamlEntry* protocol = map.find("protocol")) read_protocol(protocol->value);
    if (const auto endpoint = text_of(params, "endpoint")) {
        manifest_.endpoint = endpoint->ends_with('/') ? endpoint->substr(0, endpoint->size() - 1) : *endpoint;
        refuse(line_of(params, "endpoint"), "serve.endpoint", refuse_endpoint(manifest_.endpoint, device_));
    }
    if (const auto key = text_of(params, "key")) {
        refuse(line_of(params, "key"), "serve.key", refuse_key(*key, device_));
        if (const auto found = device_.keys.find(*key); found != device_.keys.end()) manifest_.key_file = found->second;
    }
    manifest_.server_model = text_of(params, "model").value_or(manifest_.model);
    if (has_param(params, "ready_within")) manifest_.ready_within = duration_param(params, "ready_within");
    if (has_param(params, "period")) manifest_.period = duration_param(params, "period");
    if (has_param(params, "preflight")) read_preflight(object_param(params, "preflight"), map);
    if (const YamlEntry* then = map.find("then")) read_then(then->value);
}

void ManifestReader::read_preflight(const ParamMap& preflight, const YamlNode& serve) {
    if (const auto endpoint = text_of(preflight, "endpoint"))
        refuse(line_of(preflight, "endpoint"), "serve.preflight.endpoint", refuse_endpoint(*endpoint, device_));
    refuse_names(preflight, "serve.preflight");
    note_unused(serve.find("preflight")->line, "serve.preflight");
}

// `NAME`, `{NAME: {…}}`, or `{NAME: text}` for the first text parameter that is required.
template <class Kind>
std::optional<ManifestReader::Choice<Kind>> ManifestReader::read_choice(const YamlNode& node, const std::string& key,
                                                                        std::span<const Kind* const> kinds,
                                                                        std::string_view example) {
    const auto known = names_of(kinds);
    YamlNode none{.kind = YamlNode::Kind::map, .line = node.line};
    std::string name = node.text;
    std::string place = key;
    int line = node.line;
    const YamlNode* written = &none;
    if (node.kind == YamlNode::Kind::map && node.entries.size() == 1) {
        name = node.entries.front().key;
        place = join_key(key, name);
        line = node.entries.front().line;
        written = &node.entries.front().value;
    } else if (node.kind != YamlNode::Kind::scalar) {
        const std::string found = node.kind == YamlNode::Kind::map
                                      ? "a map of " + std::to_string(node.entries.size()) + " keys"
                                      : describe_node(node);
        sink_.error(node.line, key,
                    "found " + found + "; expected one of {" + listed(known) + ": …}, as in " + std::string(example));
        return std::nullopt;
    }
    const auto kind = std::ranges::find(kinds, name, [](const Kind* each) { return each->name; });
    if (kind == kinds.end()) {
        sink_.error(line, place,
                    "found " + in_quotes(name) + "; expected " + listed(known) + did_you_mean(name, known));
        return std::nullopt;
    }
    if (written->kind == YamlNode::Kind::null) {
        written = &none;
    } else if (written->kind == YamlNode::Kind::scalar) {
        const auto first = std::ranges::find_if(
            (*kind)->params, [](const ParamSpec& spec) { return spec.required && spec.type == ParamType::text; });
        if (first != (*kind)->params.end()) {
            none.line = written->line;
            none.entries.push_back({std::string(first->name), written->line, *written});
            written = &none;
        }
    }
    place = join_key(key, name);
    const YamlNode* map = expect_map(*written, place, sink_);
    if (map == nullptr) return std::nullopt;
    Choice<Kind> choice{*kind, params_from_yaml(*map, (*kind)->params, {}, place, sink_)};
    refuse_names(choice.params, place);
    return choice;
}

void ManifestReader::read_then(const YamlNode& node) {
    auto then = read_choice(node, "serve.then", rollback::thens(), "{oip_repository: {}}");
    if (!then) return;
    manifest_.then = then->kind;
    manifest_.then_params = std::move(then->params);
}

void ManifestReader::read_protocol(const YamlNode& node) {
    const std::size_t errors_before = sink_.errors();
    const auto protocol = read_choice(node, "serve.protocol", checks::protocols(), "oip");
    if (!protocol || sink_.errors() != errors_before) return;  // the factory may rely on its table
    auto made = protocol->kind->make(protocol->params);
    if (!made) return sink_.error(node.line, "serve.protocol", made.error().what);
    manifest_.protocol_name = protocol->kind->name;
    manifest_.protocol = std::move(*made);
}

void ManifestReader::read_trial(const YamlNode& map) {
    const ParamMap params = params_from_yaml(map, kTrialKeys, {}, "trial", sink_);
    if (has_param(params, "deadline")) manifest_.facts.deadline = duration_param(params, "deadline");
    if (has_param(params, "soak")) manifest_.facts.soak = duration_param(params, "soak");
    if (const auto word = text_of(params, "on_inconclusive"))
        manifest_.facts.on_inconclusive = *core::from_word<core::OnInconclusive>(*word);
    if (const auto rate = text_of(params, "rate")) {
        const auto slash = rate->find('/');
        const auto per = slash == std::string::npos ? std::string() : rate->substr(slash + 1);
        const bool counts = slash != std::string::npos && slash > 0 && slash < 10 &&
                            rate->substr(0, slash).find_first_not_of("0123456789") == std::string::npos &&
                            rate->at(0) != '0';
        if (!counts || (per != "s" && per != "m" && per != "h"))
            sink_.error(line_of(params, "rate"), "trial.rate",
                        "found " + in_quotes(*rate) +
                            "; expected a whole number of probes in a second, minute or hour, as in 20/s");
    }
    for (const std::string_view name : {"rate", "false_rollback", "missed_regression"})
        note_if_written(params, name, "trial");
    if (manifest_.facts.deadline <= manifest_.ready_within)
        sink_.warning(line_of(params, "deadline") > 0 ? line_of(params, "deadline") : map.line, "trial.deadline",
                      "is not longer than serve.ready_within (" + format_duration(manifest_.ready_within) +
                          "): a version that is slow to load stays undecided");
}

// Which devices take the manifest is the delivery's business, which comes with a later release.
void ManifestReader::read_fleet_keys(const YamlNode& top) {
    if (const YamlNode* placement = section(top, "placement")) {
        refuse_unknown_keys(*placement, kPlacementKeys, "placement", sink_);
        if (const YamlEntry* labels = placement->find("match_labels"))
            if (const YamlNode* map = expect_map(labels->value, "placement.match_labels", sink_))
                for (const YamlEntry& label : map->entries)
                    std::ignore =
                        value_from_yaml(label.value, kLabelSpec, join_key("placement.match_labels", label.key), sink_);
        note_unused(top.find("placement")->line, "placement");
    }
    if (const YamlNode* rollout = section(top, "rollout")) {
        std::ignore = params_from_yaml(*rollout, kRolloutKeys, {}, "rollout", sink_);  // only its types count today
        note_unused(top.find("rollout")->line, "rollout");
    }
}

// Only now is it known whether anything talks to a server.
void ManifestReader::require_endpoint(const YamlNode& top) {
    const YamlEntry* serve = top.find("serve");
    const int line = serve == nullptr ? top.line : serve->line;
    const bool has_endpoint_key = serve != nullptr && serve->value.find("endpoint") != nullptr;
    const bool has_protocol_key = serve != nullptr && serve->value.find("protocol") != nullptr;
    const bool then_talks = manifest_.then != nullptr && manifest_.then->needs_endpoint;
    if (!has_endpoint_key && (server_user_.has_value() || then_talks))
        sink_.error(
            line, "serve.endpoint",
            "the key is missing; expected the server's address, as in http://127.0.0.1:8080: " +
                (server_user_ ? "the check " + in_quotes(*server_user_) : "then " + in_quotes(manifest_.then->name)) +
                " talks to it");
    if (!has_protocol_key && server_user_.has_value())
        sink_.error(line, "serve.protocol",
                    "the key is missing; expected " + listed(names_of(checks::protocols())) + ": the check " +
                        in_quotes(*server_user_) + " speaks it");
}

void ManifestReader::refuse(int line, const std::string& key, const std::string& why) {
    if (!why.empty()) sink_.error(line, key, why);
}

// A parameter called `unit` names a unit, `container` a container, one called `run` a command, and `url` and `address`
// what they say, whichever kind takes it.
void ManifestReader::refuse_names(const ParamMap& params, const std::string& prefix) {
    const auto text = [&](std::string_view name) -> const std::string* {
        const auto it = params.find(name);
        return it == params.end() ? nullptr : std::get_if<std::string>(&it->second.value);
    };
    if (const auto* unit = text("unit"); unit != nullptr && !manifest_.model.empty())
        refuse(line_of(params, "unit"), prefix + ".unit", refuse_unit(*unit, manifest_.model, device_));
    if (const auto* container = text("container"); container != nullptr && !manifest_.model.empty())
        refuse(line_of(params, "container"), prefix + ".container",
               refuse_container(*container, manifest_.model, device_));
    if (const auto* run = text("run")) refuse(line_of(params, "run"), prefix + ".run", refuse_command(*run, device_));
    if (const auto* url = text("url")) refuse(line_of(params, "url"), prefix + ".url", refuse_url(*url, device_));
    if (const auto* address = text("address"))
        refuse(line_of(params, "address"), prefix + ".address", refuse_address(*address, device_));
}

std::optional<Manifest> parse_manifest(std::string_view text, const std::string& file, const DeviceConfig& device,
                                       std::vector<Finding>& findings) {
    FindingSink sink(file, findings);
    const auto top = parse_yaml_tree(text, WhenEmpty::is_error, sink);
    if (!top) return std::nullopt;
    Manifest manifest;
    manifest.text = text;
    manifest.file = file;
    ManifestReader(manifest, device, sink).read(*top);
    if (sink.has_error()) return std::nullopt;
    // `version:` moves without a new revision; the order of keys and of checks says nothing.
    constexpr std::size_t kRevisionHex = 16;
    manifest.facts.rev = "m" + sys::sha256_hex(canonical_text(*top, "version", "name")).substr(0, kRevisionHex);
    return manifest;
}

}  // namespace modelguard::daemon
