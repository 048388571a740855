#pragma once
// The files of /etc/modelguard (or ROOT/etc/modelguard): modelguard.yaml and models.d/*.yaml. Reading only; wrong files
// are told and left out, they never stop the daemon.

#include <string>
#include <vector>

#include "supervisor/daemon/manifest.hpp"
#include "supervisor/store/versions.hpp"

namespace modelguard::daemon {

/// A missing file is an empty configuration. invalid_config where the file is wrong: the first finding, with file and
/// line.
Result<DeviceConfig> read_device_config(const sys::Path& config);

struct ManifestFiles {
    std::vector<Manifest> manifests;
    std::vector<std::string> wrong;  ///< models (by file name) whose file is there but cannot be used
    std::vector<Finding> findings;   ///< of all files
};
/// models.d/*.yaml in the order of their names. Two files for one model: the first counts, the second is an error that
/// names both.
ManifestFiles read_manifests(const sys::Path& config, const DeviceConfig& device);

}  // namespace modelguard::daemon
