#include "supervisor/daemon/garbage.hpp"

#include <algorithm>
#include <array>

namespace modelguard::daemon {

std::vector<Digest> garbage_of(const core::ModelState& model,
                               const std::vector<const store::VersionInfo*>& newest_first,
                               const std::vector<Digest>& linked, std::size_t spare) {
    std::vector<Digest> garbage;
    if (!core::is_at_rest(model.phase) || model.trial || model.revert || model.wish) return garbage;
    for (const store::VersionInfo* version : newest_first) {
        const Digest& digest = version->digest;
        const bool needed = digest == model.current || digest == model.pinned ||
                            core::find_known_good(model, digest) != nullptr || version->imported_wall_usec == 0 ||
                            std::ranges::find(linked, digest) != linked.end();
        if (needed) continue;
        if (spare > 0)
            --spare;
        else
            garbage.push_back(digest);
    }
    return garbage;
}

namespace {

/// Whether the state refers to the version for anything but a rejection, which outlives the tree.
bool refers_to(const core::ModelState& model, const Digest& digest) {
    const auto is_left = [&](const core::Revert& revert) {
        return revert.target == digest || std::ranges::find(revert.left, digest) != revert.left.end();
    };
    return digest == model.current || digest == model.pinned || core::find_known_good(model, digest) != nullptr ||
           (model.wish && model.wish->version == digest) || (model.trial && model.trial->version == digest) ||
           (model.revert && is_left(*model.revert));
}

/// True where that is not known, too.
bool is_linked(const sys::Path& model_dir, const Digest& digest) {
    return std::ranges::any_of(std::array{"current", "known-good"}, [&](const char* link) {
        const auto target = sys::read_symlink(model_dir / link);
        return !target || (*target && sys::Path(**target).filename() == digest.dir_name());
    });
}

}  // namespace

std::vector<ModelVersion> orphans_of(const store::Loaded& loaded, const store::VersionStore& versions) {
    std::vector<ModelVersion> orphans;
    if (loaded.blank || loaded.restored || loaded.versions_lost || loaded.versions_unread) return orphans;
    for (const std::string& name : store::models_on_disk(versions.places())) {
        const auto digests = versions.list(name);
        if (!digests) continue;
        const auto model = loaded.state.models.find(name);
        for (const Digest& digest : *digests) {
            const bool has_row = std::ranges::any_of(loaded.versions, [&](const store::StoredVersion& version) {
                return version.model == name && version.info.digest == digest;
            });
            const bool is_named = model != loaded.state.models.end() && refers_to(model->second, digest);
            if (!has_row && !is_named && !is_linked(versions.places().model_dir(name), digest))
                orphans.emplace_back(name, digest);
        }
    }
    return orphans;
}

}  // namespace modelguard::daemon
