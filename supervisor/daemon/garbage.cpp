#include "supervisor/daemon/garbage.hpp"

#include <algorithm>

namespace modelguard::daemon {

std::optional<std::vector<Digest>> linked_versions(const sys::Path& model_dir) {
    std::vector<Digest> digests;
    for (const char* link : {"current", "known-good"}) {
        const auto target = sys::read_symlink(model_dir / link);
        if (!target) return std::nullopt;
        if (*target)
            if (const auto digest = parse_digest(sys::Path(**target).filename().native())) digests.push_back(*digest);
    }
    return digests;
}

bool is_needed(const core::ModelState& model, const Digest& digest, const std::vector<Digest>& linked) {
    const auto is_left = [&](const core::Revert& revert) {
        return revert.target == digest || std::ranges::find(revert.left, digest) != revert.left.end();
    };
    return digest == model.current || digest == model.pinned || core::find_known_good(model, digest) != nullptr ||
           (model.wish && model.wish->version == digest) || (model.trial && model.trial->version == digest) ||
           (model.revert && is_left(*model.revert)) || std::ranges::find(linked, digest) != linked.end();
}

std::vector<Digest> garbage_of(const core::ModelState& model,
                               const std::vector<const store::VersionInfo*>& newest_first,
                               const std::vector<Digest>& linked, std::size_t spare) {
    std::vector<Digest> garbage;
    if (!core::is_at_rest(model.phase) || model.trial || model.revert || model.wish) return garbage;
    for (const store::VersionInfo* version : newest_first) {
        if (version->imported_wall_usec == 0 || is_needed(model, version->digest, linked)) continue;
        if (spare > 0)
            --spare;
        else
            garbage.push_back(version->digest);
    }
    return garbage;
}

std::vector<ModelVersion> orphans_of(const store::Loaded& loaded, const store::VersionStore& versions) {
    std::vector<ModelVersion> orphans;
    if (loaded.blank || loaded.restored || loaded.versions_lost || loaded.versions_unread) return orphans;
    for (const std::string& name : store::models_on_disk(versions.places())) {
        const auto digests = versions.list(name);
        const auto linked = linked_versions(versions.places().model_dir(name));
        if (!digests || !linked) continue;
        const auto found = loaded.state.models.find(name);
        const core::ModelState& model = found == loaded.state.models.end() ? core::ModelState{} : found->second;
        for (const Digest& digest : *digests) {
            const bool has_row = std::ranges::any_of(loaded.versions, [&](const store::StoredVersion& version) {
                return version.model == name && version.info.digest == digest;
            });
            if (!has_row && !is_needed(model, digest, *linked)) orphans.emplace_back(name, digest);
        }
    }
    return orphans;
}

}  // namespace modelguard::daemon
