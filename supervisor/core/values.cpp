#include "supervisor/core/values.hpp"

#include <algorithm>

namespace modelguard::core {

const Deployment* OsView::find(std::string_view id) const {
    const auto found = std::ranges::find(deployments, id, &Deployment::id);
    return found == deployments.end() ? nullptr : &*found;
}

std::string OsState::booted_identity() const {
    const Deployment* booted = view.booted_deployment();
    return booted ? booted->identity : std::string();
}

const KnownGood* lkg(const ModelState& model) { return model.known_good.empty() ? nullptr : &model.known_good.back(); }

const KnownGood* find_known_good(const ModelState& model, const VersionId& version) {
    const auto found = std::ranges::find(model.known_good, version, &KnownGood::version);
    return found == model.known_good.end() ? nullptr : &*found;
}

const Rejection* find_rejection(const ModelState& model, const VersionId& version, std::string_view manifest_rev) {
    const auto found = std::ranges::find_if(model.rejected, [&](const Rejection& r) {
        return r.version == version && (r.manifest_rev.empty() || r.manifest_rev == manifest_rev);
    });
    return found == model.rejected.end() ? nullptr : &*found;
}

bool is_at_rest(Phase phase) {
    switch (phase) {
        case Phase::empty:
        case Phase::kept:
        case Phase::steady:
        case Phase::degraded:
        case Phase::held: return true;
        case Phase::baselining:
        case Phase::preflight:
        case Phase::switching:
        case Phase::trial:
        case Phase::soaking:
        case Phase::reverting:
        case Phase::verifying: return false;
    }
    return false;
}

bool is_healthy(const ModelState& model) {
    switch (model.phase) {
        case Phase::empty:
        case Phase::kept:
        case Phase::reverting:
        case Phase::verifying:
        case Phase::degraded:
        case Phase::held: return false;
        case Phase::baselining:
        case Phase::preflight:
        case Phase::switching:
        case Phase::trial:
        case Phase::soaking:
        case Phase::steady: return true;
    }
    return false;
}

bool is_standing_back(const ModelState& model) {
    return model.phase == Phase::degraded && model.code == "os" && !model.waits_for_os;
}

}  // namespace modelguard::core
