#pragma once
// Reads the sections of a manifest's tree into a Manifest. Internal to parse_manifest(): manifest.cpp and
// manifest_checks.cpp.

#include <optional>
#include <set>
#include <string>

#include "supervisor/daemon/findings.hpp"
#include "supervisor/daemon/manifest.hpp"
#include "supervisor/daemon/params_from_yaml.hpp"
#include "supervisor/daemon/yaml_tree.hpp"

namespace modelguard::daemon {

/// The words for is_valid_name().
std::string name_expectation();

class ManifestReader {
  public:
    ManifestReader(Manifest& manifest, const DeviceConfig& device, FindingSink& sink)
        : manifest_(manifest), device_(device), sink_(sink) {}

    void read(const YamlNode& top);

  private:
    void read_version(const YamlNode& map);
    void read_serve(const YamlNode& map);
    void read_preflight(const ParamMap& preflight, const YamlNode& serve);
    template <class Kind>
    struct Choice {
        const Kind* kind;
        ParamMap params;
    };
    /// One kind of a list with its parameters; nullopt with a finding.
    template <class Kind>
    std::optional<Choice<Kind>> read_choice(const YamlNode& node, const std::string& key,
                                            std::span<const Kind* const> kinds, std::string_view example);
    void read_then(const YamlNode& node);
    void read_protocol(const YamlNode& node);
    void read_trial(const YamlNode& map);
    void read_fleet_keys(const YamlNode& top);
    void require_endpoint(const YamlNode& top);

    void read_checks(const YamlNode& top);
    void read_check(const YamlNode& item, const std::string& key);
    void read_check_params(const YamlNode& item, const std::string& key, ConfiguredCheck check);
    void read_must_detect(const YamlNode& node, const std::string& key);
    void read_device_canary(const YamlNode& map, const std::string& key, bool is_required);

    /// nullptr where the section is absent or, with a finding, no map.
    const YamlNode* section(const YamlNode& top, std::string_view name);
    static int line_of(const ParamMap& params, std::string_view name);
    void note_unused(int line, const std::string& key);
    void note_if_written(const ParamMap& params, std::string_view name, std::string_view prefix);
    void refuse(int line, const std::string& key, const std::string& why);
    void refuse_names(const ParamMap& params, const std::string& prefix);

    Manifest& manifest_;
    const DeviceConfig& device_;
    FindingSink& sink_;
    std::set<std::string, std::less<>> check_names_;
    std::optional<std::string> server_user_;  // the first check that talks to the model server
    bool has_ready_{false};
    bool has_required_{false};
};

}  // namespace modelguard::daemon
