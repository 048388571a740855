#pragma once
// What a manifest may name on this device: addresses, units, containers, images and commands (DESIGN.md section 8).
// Each function gives the text of a finding, or an empty one where the name is allowed. Not for reading either file.

#include <string>
#include <string_view>

#include "supervisor/daemon/manifest.hpp"

namespace modelguard::daemon {

/// `endpoint` is "http(s)://host[:port]": loopback, or listed under `addresses:` as "host:port" or "host".
std::string refuse_endpoint(std::string_view endpoint, const DeviceConfig& device);
/// The same for a whole URL, and for "host:port".
std::string refuse_url(std::string_view url, const DeviceConfig& device);
std::string refuse_address(std::string_view address, const DeviceConfig& device);
/// `<model>.service`, or listed under `units:`.
std::string refuse_unit(std::string_view unit, std::string_view model, const DeviceConfig& device);
/// The model's name, or listed under `containers:`.
std::string refuse_container(std::string_view container, std::string_view model, const DeviceConfig& device);
/// "registry.example/digits:4" or "…@sha256:…": localhost/modelguard/<model>, or listed under `images:` without its
/// tag.
std::string refuse_image(std::string_view reference, std::string_view model, const DeviceConfig& device);
/// A name under `keys:`.
std::string refuse_key(std::string_view name, const DeviceConfig& device);
/// A name under `commands:`.
std::string refuse_command(std::string_view name, const DeviceConfig& device);

}  // namespace modelguard::daemon
