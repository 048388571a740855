// The runner and manifests: those of models.d, those that are sent, who describes a model, and its removal.

#include <algorithm>
#include <set>

#include "supervisor/daemon/active.hpp"

namespace modelguard::daemon {

void Runner::apply(std::vector<Manifest> manifests, const std::vector<std::string>& kept) {
    std::set<std::string> present(kept.begin(), kept.end());
    for (Manifest& manifest : manifests) {
        present.insert(manifest.model);
        Extra extra = stored(manifest);
        const auto added = manifests_.add(std::move(manifest));
        post(core::ManifestApplied{added->model, added->facts}, std::move(extra));
    }
    std::vector<std::string> gone;
    for (const auto& [name, model] : state_.models) {
        const Manifests::Source* owned = owner(name);
        const bool by_file = !owned || owned->origin == core::Origin::file;
        if (model.managed && by_file && !present.contains(name)) gone.push_back(name);
    }
    for (const std::string& name : gone)
        post(core::ManifestGone{name});
}

/// What a commit has to keep of the manifest: nothing where it is kept already.
Runner::Extra Runner::stored(const Manifest& manifest) const {
    Extra extra;
    const auto known = manifests_.find(manifest.model, manifest.facts.rev);
    if (!known || known->text != manifest.text || known->origin != manifest.origin)
        extra.manifests.push_back({manifest.model, manifest.facts.rev, manifest.text, manifest.file, manifest.origin});
    return extra;
}

const Manifests::Source* Runner::owner(const std::string& model) const {
    const auto found = state_.models.find(model);
    if (found == state_.models.end()) return nullptr;
    const core::ModelState& s = found->second;
    return manifests_.source(model, s.offered_rev.empty() ? s.manifest.rev : s.offered_rev);
}

std::vector<std::string> Runner::units_of(const std::string& model) const {
    const auto manifest = manifests_.find_or_newest(model, state_.models.at(model).manifest.rev);
    if (!manifest) return {};
    std::set<std::string> units;
    const auto add = [&](const ParamMap& params) {
        if (has_param(params, "unit")) units.insert(text_param(params, "unit"));
    };
    add(manifest->then_params);
    for (const ConfiguredCheck& check : manifest->checks)
        add(check.params);
    return {units.begin(), units.end()};
}

/// A second origin for a model is an error that names the first, which stays.
Result<void> Runner::refuse_if_a_file_describes(const std::string& model, const std::string& advice) const {
    const Manifests::Source* owned = owner(model);
    if (!owned || owned->origin != core::Origin::file || !state_.models.at(model).managed) return {};
    return fail(ErrorKind::conflict, "'" + model + "' is described by " + owned->file + ": " + advice);
}

Result<store::Operation> Runner::apply(Manifest manifest, store::Operation operation) {
    MG_CHECK(refuse_if_a_file_describes(manifest.model,
                                        "change that file and reload the daemon, or remove it first, then apply"));
    manifest.origin = core::Origin::applied;
    operation.model = manifest.model;
    operation.code = manifest.facts.rev;
    operation.text = "the version that serves is judged under manifest revision " + operation.code + " now";
    Extra extra = stored(manifest);
    const auto added = manifests_.add(std::move(manifest));
    return request(
        std::move(operation), [&](std::uint64_t) { return core::ManifestApplied{added->model, added->facts}; },
        std::move(extra));
}

Result<store::Operation> Runner::remove(store::Operation operation) {
    MG_CHECK(refuse_if_a_file_describes(operation.model, "remove that file and reload the daemon, then remove"));
    const std::string model = operation.model;
    return request(std::move(operation), [&](std::uint64_t seq) { return core::RemoveRequested{model, seq}; });
}

}  // namespace modelguard::daemon
