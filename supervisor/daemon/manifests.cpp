#include "supervisor/daemon/manifests.hpp"

namespace modelguard::daemon {

void Manifests::load(const std::vector<store::StoredManifest>& stored, const DeviceConfig& device,
                     std::vector<std::string>& notes) {
    for (const store::StoredManifest& kept : stored) {
        std::vector<Finding> findings;
        auto manifest = parse_manifest(kept.text, kept.file, device, findings);
        models_[kept.model].sources[kept.rev] = {kept.origin, kept.file};
        if (manifest && manifest->facts.rev == kept.rev) {
            manifest->origin = kept.origin;
            add(std::move(*manifest));
            continue;
        }
        std::string why = "its meaning has changed";
        for (const Finding& finding : findings)
            if (finding.severity == Finding::Severity::error) why = describe(finding);
        notes.push_back("manifest revision " + kept.rev + " of " + kept.model +
                        " cannot be used by this release, checks under it are inconclusive: " + why);
    }
}

std::shared_ptr<const Manifest> Manifests::add(Manifest manifest) {
    OfModel& model = models_[manifest.model];
    auto shared = std::make_shared<const Manifest>(std::move(manifest));
    model.by_rev[shared->facts.rev] = shared;
    model.sources[shared->facts.rev] = {shared->origin, shared->file};
    model.newest = shared;
    return shared;
}

std::shared_ptr<const Manifest> Manifests::find(const std::string& model, const std::string& rev) const {
    const auto found = models_.find(model);
    if (found == models_.end()) return nullptr;
    const auto of_rev = found->second.by_rev.find(rev);
    return of_rev == found->second.by_rev.end() ? nullptr : of_rev->second;
}

std::shared_ptr<const Manifest> Manifests::find_or_newest(const std::string& model, const std::string& rev) const {
    if (auto exact = find(model, rev)) return exact;
    const auto found = models_.find(model);
    return found == models_.end() ? nullptr : found->second.newest;
}

const Manifests::Source* Manifests::source(const std::string& model, const std::string& rev) const {
    const auto found = models_.find(model);
    if (found == models_.end()) return nullptr;
    const auto of_rev = found->second.sources.find(rev);
    return of_rev == found->second.sources.end() ? nullptr : &of_rev->second;
}

}  // namespace modelguard::daemon
