#include "supervisor/daemon/manifest_schema.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checks/check.hpp"
#include "rollback/switch.hpp"
#include "supervisor/daemon/manifest_keys.hpp"
#include "supervisor/daemon/params_from_yaml.hpp"

namespace modelguard::daemon {

namespace {
using Json = nlohmann::ordered_json;  // an editor offers keys in the order of the tables

constexpr const char* kNamePattern = "^[a-z0-9][a-z0-9_.-]{0,62}$";
constexpr const char* kDigestPattern = "^([Ss][Hh][Aa]256[:-])?[0-9A-Fa-f]{64}$";
constexpr const char* kRatePattern = "^[1-9][0-9]{0,8}/[smh]$";
constexpr const char* kDurationPattern = "^([0-9]+\\.?[0-9]*|\\.[0-9]+)(us|ms|s|m|h|d)$";

Json map_of(std::span<const ParamSpec> table);

/// Any scalar is text to the reader: `label: 4` needs no quotes.
Json text() { return {{"type", {"string", "number", "boolean"}}, {"minLength", 1}, {"maxLength", kLongestText}}; }

Json value_of(const ParamSpec& spec) {
    const bool bounded = spec.minimum < spec.maximum;
    const auto number = [&](const char* type) {
        Json json{{"type", type}};
        if (bounded) json.update({{"minimum", spec.minimum}, {"maximum", spec.maximum}});
        return json;
    };
    switch (spec.type) {
        case ParamType::boolean: return {{"type", "boolean"}};
        case ParamType::integer: return number("integer");
        case ParamType::number: return number("number");
        case ParamType::text: return spec.choices.empty() ? text() : Json{{"enum", spec.choices}};
        case ParamType::duration: return {{"type", "string"}, {"pattern", kDurationPattern}};
        case ParamType::text_list: return {{"type", "array"}, {"maxItems", kLongestList}, {"items", text()}};
        case ParamType::object: return map_of(spec.fields);
    }
    return {};
}

/// What is written in YAML as the default, as a value; lists and maps are left to the description.
Json default_of(const ParamSpec& spec) {
    if (spec.type == ParamType::text || spec.type == ParamType::duration) return std::string(spec.default_text);
    return Json::parse(spec.default_text, nullptr, /*allow_exceptions=*/false);
}

Json property_of(const ParamSpec& spec) {
    Json json = value_of(spec);
    // What the type does not say already: a unit, a range of a duration.
    const bool more = spec.type == ParamType::duration || !spec.unit.empty();
    json["description"] = std::string(spec.help) + (more ? " Expected: " + expectation(spec) + "." : "");
    if (!spec.default_text.empty())
        if (Json value = default_of(spec); !value.is_discarded() && !value.is_structured()) json["default"] = value;
    return json;
}

Json map_of(std::span<const ParamSpec> table) {
    Json json{{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
    for (const ParamSpec& spec : table) {
        json["properties"][std::string(spec.name)] = property_of(spec);
        if (spec.required) json["required"].push_back(spec.name);
    }
    return json;
}

bool is_required(const ParamSpec& spec) { return spec.required; }

/// `NAME`, `{NAME: {…}}`, or `{NAME: text}` for the first text parameter that is required.
template <class Kind>
Json choice_of(std::span<const Kind* const> kinds, const std::string& help) {
    Json names = Json::array();
    Json maps = Json::object();
    for (const Kind* kind : kinds) {
        Json forms = Json::array({map_of(kind->params)});
        if (std::ranges::none_of(kind->params, is_required)) {
            names.push_back(kind->name);
            forms.push_back({{"type", "null"}});
        }
        const auto is_first = [](const ParamSpec& spec) { return spec.required && spec.type == ParamType::text; };
        if (const auto first = std::ranges::find_if(kind->params, is_first); first != kind->params.end())
            if (std::ranges::count_if(kind->params, is_required) == 1) forms.push_back(property_of(*first));
        maps[std::string(kind->name)] = {{"description", kind->summary}, {"anyOf", forms}};
    }
    Json map{{"type", "object"}, {"properties", maps}, {"additionalProperties", false}};
    map.update({{"minProperties", 1}, {"maxProperties", 1}});
    return {{"description", help}, {"anyOf", {Json{{"enum", names}}, map}}};
}

Json serve() {
    Json json = map_of(kServeKeys);
    Json& keys = json["properties"];
    Json names = Json::array();
    for (const rollback::SwitchKind* kind : rollback::switches())
        names.push_back(kind->name);
    keys["switch"].erase("type");
    keys["switch"].erase("minLength");
    keys["switch"].erase("maxLength");
    keys["switch"]["enum"] = names;
    keys["then"] = choice_of(rollback::thens(), "How the model's service is told of another version.");
    keys["protocol"] = choice_of(checks::protocols(), "What the model server speaks.");
    return json;
}

Json check_of(const checks::CheckKind& kind) {
    Json json = map_of(kCommonKeys);
    Json& keys = json["properties"];
    keys["name"]["pattern"] = kNamePattern;
    keys["kind"] = {{"const", kind.name}, {"description", kind.summary}};
    const Json own = map_of(kind.params);
    keys.update(own["properties"]);
    if (own.contains("required"))
        for (const Json& name : own["required"])
            json["required"].push_back(name);
    const auto has = [&](std::string_view name) {
        return std::ranges::find(kind.params, name, &ParamSpec::name) != kind.params.end();
    };
    if (kind.compares && !has(kMustDetect.name))
        keys[std::string(kMustDetect.name)] = {{"description", kMustDetect.help},
                                               {"anyOf", {value_of(kMustDetect), map_of(kMustDetectFields)}}};
    const auto canary = std::ranges::find(kind.params, kCanaryKey, &ParamSpec::name);
    if (canary != kind.params.end() && !canary->required)
        keys[std::string(kCanaryKey)] = {{"description", canary->help},
                                         {"anyOf", {value_of(*canary), map_of(kDeviceCanaryFields)}}};
    return json;
}

Json check_list() {
    Json names = Json::array();
    Json rules = Json::array();
    for (const checks::CheckKind* kind : checks::kinds()) {
        names.push_back(kind->name);
        Json when{{"properties", {{"kind", {{"const", kind->name}}}}}, {"required", {"kind"}}};
        rules.push_back({{"if", std::move(when)}, {"then", check_of(*kind)}});
    }
    Json item{{"type", "object"}, {"required", {"name", "kind"}}};
    item["properties"]["kind"] = {{"enum", names}, {"description", "What is checked."}};
    item["allOf"] = rules;
    // Were none required, nothing could ever fail.
    const Json wanted{{"properties", {{"severity", {{"const", "wanted"}}}}}, {"required", {"severity"}}};
    Json list{{"type", "array"}, {"description", "The checks that a version must pass."}, {"maxItems", kMostChecks}};
    list["items"] = item;
    list["contains"] = {{"not", wanted}};
    return list;
}

Json placement() {
    Json labels{{"type", "object"}, {"additionalProperties", text()}};
    return {{"type", "object"}, {"properties", {{"match_labels", labels}}}, {"additionalProperties", false}};
}

Json described(Json json, const char* help) {
    json["description"] = help;
    return json;
}
}  // namespace

std::string manifest_schema() {
    Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                {"title", "modelguard manifest"},
                {"description", "One model: what serves it, what it must pass, and how long it is tried."}};
    schema.update(map_of(kTopKeys));
    Json& keys = schema["properties"];
    keys["model"]["pattern"] = kNamePattern;
    keys["version"] = described(map_of(kVersionKeys), "The version that is wanted.");
    for (const char* name : {"digest", "source_digest"})
        keys["version"]["properties"][name]["pattern"] = kDigestPattern;
    keys["serve"] = described(serve(), "How the model is served.");
    keys["checks"] = check_list();
    schema["required"].push_back("checks");
    keys["trial"] = described(map_of(kTrialKeys), "How a candidate is tried.");
    keys["trial"]["properties"]["rate"]["pattern"] = kRatePattern;
    keys["placement"] = described(placement(), "Which devices take the manifest.");
    keys["rollout"] = described(map_of(kRolloutKeys), "How many devices take it.");
    return schema.dump(2) + "\n";
}

}  // namespace modelguard::daemon
