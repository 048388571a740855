#include "supervisor/daemon/config_files.hpp"

#include <algorithm>

namespace modelguard::daemon {

namespace {
constexpr std::size_t kLargestFile = 1u << 20;  // DESIGN: a manifest is 1 MiB at most
}

Result<DeviceConfig> read_device_config(const sys::Path& config) {
    const sys::Path file = config / "modelguard.yaml";
    auto text = sys::read_file(file, kLargestFile);
    if (!text && text.error().kind == ErrorKind::not_found) return DeviceConfig{};
    if (!text) return std::unexpected(text.error());
    std::vector<Finding> findings;
    auto device = parse_device_config(*text, file.string(), findings);
    if (device) return std::move(*device);
    for (const Finding& finding : findings)
        if (finding.severity == Finding::Severity::error) return fail(ErrorKind::invalid_config, describe(finding));
    return fail(ErrorKind::internal, file.string() + " is refused without a reason");
}

ManifestFiles read_manifests(const sys::Path& config, const DeviceConfig& device) {
    ManifestFiles read;
    std::vector<sys::Path> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(config / "models.d", error))
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const sys::Path& file : files) {
        const auto text = sys::read_file(file, kLargestFile);
        if (!text) {
            read.findings.push_back({Finding::Severity::error, file.string(), 0, "", text.error().what});
            read.wrong.push_back(file.stem().string());
            continue;
        }
        auto manifest = parse_manifest(*text, file.string(), device, read.findings);
        if (!manifest) {
            read.wrong.push_back(file.stem().string());
            continue;
        }
        const auto twin = std::ranges::find(read.manifests, manifest->model, &Manifest::model);
        if (twin == read.manifests.end()) {
            read.manifests.push_back(std::move(*manifest));
            continue;
        }
        read.findings.push_back({Finding::Severity::error, file.string(), 1, "model",
                                 "model '" + manifest->model + "' is described by " + twin->file +
                                     " already, which counts; remove one of the two"});
    }
    return read;
}

}  // namespace modelguard::daemon
