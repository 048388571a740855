#include "supervisor/daemon/garbage.hpp"

#include <algorithm>

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

}  // namespace modelguard::daemon
