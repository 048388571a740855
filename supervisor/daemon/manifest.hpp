#pragma once
// The manifest (one YAML file per model) and the device's own configuration, from text to compiled values.
// yaml-cpp's event interface gives every error its line. Not for acting on them: runner.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checks/check.hpp"
#include "rollback/switch.hpp"
#include "supervisor/core/values.hpp"
#include "supervisor/daemon/reboot_window.hpp"

namespace modelguard::daemon {

/// One thing wrong (or worth knowing) about a file: "digits.yaml:12: checks[1].min: expected …".
struct Finding {
    enum class Severity { error, warning, note } severity{Severity::error};
    std::string file;
    int line{0};
    std::string key;
    std::string text;  ///< what, what was expected, the nearest known key, what to do
};
std::string describe(const Finding&);

struct ConfiguredCheck {
    std::string name;
    const checks::CheckKind* kind{nullptr};
    bool required{true};
    ParamMap params;
    std::shared_ptr<const checks::Check> check;  // shared: a judging keeps the manifest it began with
};

struct Manifest {
    std::string model;
    std::string text;
    std::string file;
    core::Origin origin{core::Origin::file};
    core::ManifestFacts facts;                                  ///< rev, required, deadline, soak, …
    std::string version_label, version_source, version_digest;  ///< `version:`, empty where absent
    const rollback::SwitchKind* switch_kind{nullptr};
    const rollback::ThenKind* then{nullptr};
    ParamMap then_params;
    std::string endpoint;
    std::string key_file;  ///< of `serve.key`; empty: none
    std::string protocol_name;
    std::shared_ptr<const checks::Protocol> protocol;  ///< shared: a judging keeps the manifest it began with
    std::string server_model;
    Usec ready_within{std::chrono::seconds(60)};
    Usec period{std::chrono::seconds(10)};  ///< of probing in the steady state
    std::vector<ConfiguredCheck> checks;
};

/// The device's own file: commands and what delivered manifests may name (DESIGN.md section 8).
struct DeviceConfig {
    std::map<std::string, sys::Command, std::less<>> commands;
    std::map<std::string, std::string, std::less<>> keys;  ///< name to file
    std::vector<std::string> units;
    std::vector<std::string> addresses;  ///< "127.0.0.1:8080" patterns beyond loopback
    std::vector<std::string> containers;
    std::vector<std::string> images;  ///< repositories, "registry.example/digits"
    std::string podman_socket{sys::kPodmanSocket};
    std::uint64_t max_bundle_bytes{64ull << 30};
    std::string metrics_textfile;                  ///< where the metrics are written besides; empty: nowhere
    std::optional<RebootWindow> reboot_window;     ///< when an OS rollback may reboot; nullopt: at once
    Usec script_timeout{std::chrono::minutes(1)};  ///< of each drop-in script of the boot gate
    Usec scrub_period{std::chrono::days(7)};       ///< each known-good version is read again about once in it; 0: never
};

/// nullopt exactly where `findings` holds an error. Never throws; at most 1 MiB of text; never more than 50 findings.
std::optional<Manifest> parse_manifest(std::string_view text, const std::string& file, const DeviceConfig& device,
                                       std::vector<Finding>& findings);
std::optional<DeviceConfig> parse_device_config(std::string_view text, const std::string& file,
                                                std::vector<Finding>& findings);

}  // namespace modelguard::daemon
