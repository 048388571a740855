#include "supervisor/daemon/rebuild.hpp"

#include <algorithm>

namespace modelguard::daemon {

namespace {

/// Where a link of a model points, if that is a version that is there.
Digest linked_version(const store::Places& places, const std::string& model, const char* link) {
    const auto target = sys::read_symlink(places.model_dir(model) / link);
    if (!target || !*target) return {};
    constexpr std::string_view kPrefix = "versions/";
    const std::string_view text = **target;
    if (!text.starts_with(kPrefix)) return {};
    const auto digest = parse_digest(text.substr(kPrefix.size()));
    std::error_code error;
    if (!digest || !std::filesystem::is_directory(places.version_dir(model, *digest), error)) return {};
    return *digest;
}

/// As a phase of a newer release is read: on the way back to the known-good version. Core verifies it first, with a
/// full hash since no stamps are known, and where it is not what its name says, nothing is served.
core::ModelState way_back(const Digest& current, const Digest& known_good, const Manifest* manifest,
                          std::uint64_t& next_id) {
    core::ModelState s;
    s.managed = manifest != nullptr;
    if (manifest) {
        s.manifest = manifest->facts;
        s.offered_rev = manifest->facts.rev;
    }
    s.current = current;
    s.phase = core::Phase::reverting;
    s.revert =
        core::Revert{.cause = core::Cause::restore, .target = known_good, .manifest = s.manifest, .code = "rebuilt"};
    if (!current.empty() && current != known_good) s.revert->left = {current};
    if (!known_good.empty()) s.known_good = {{known_good, s.manifest, {}}};
    s.work = {known_good.empty() ? core::WorkKind::switch_version : core::WorkKind::verify, next_id++};
    return s;
}

}  // namespace

void rebuild_from_links(store::Loaded& loaded, const store::Places& places, const std::vector<Manifest>& manifests) {
    for (const std::string& name : store::models_on_disk(places)) {
        const Digest current = linked_version(places, name, "current");
        const Digest known_good = linked_version(places, name, "known-good");
        const auto has_link = sys::read_symlink(places.model_dir(name) / "current");
        if (known_good.empty() && has_link && !*has_link) continue;  // nothing serves: it begins as a new model
        const auto manifest = std::ranges::find(manifests, name, &Manifest::model);
        loaded.state.models[name] =
            way_back(current, known_good, manifest == manifests.end() ? nullptr : &*manifest, loaded.state.next_id);
        core::Decision& told = loaded.decisions.emplace_back();
        told.kind = core::DecisionKind::rebuilt;
        told.model = name;
        told.version = known_good.empty() ? current : known_good;
        told.serving = known_good;
        told.blame = core::Blame::environment;
        told.code = "rebuilt";
        told.text = known_good.empty()
                        ? "the ledger is lost and there is no known-good link: what served is not believed"
                        : "the ledger is lost; the known-good link names " + known_good.short_form() +
                              ", which serves again if its digest is right and it passes; what was rejected, pinned or "
                              "wanted is forgotten";
        loaded.notes.push_back(name + ": " + told.text);
    }
}

void follow_newer_links(store::Loaded& loaded, const store::Places& places, const std::vector<Manifest>& manifests) {
    for (const std::string& name : store::models_on_disk(places)) {
        const Digest known_good = linked_version(places, name, "known-good");
        if (known_good.empty()) continue;
        core::ModelState old;
        if (const auto found = loaded.state.models.find(name); found != loaded.state.models.end()) old = found->second;
        const core::KnownGood* lkg = core::lkg(old);
        if ((lkg && lkg->version == known_good) || core::find_rejection(old, known_good, "") != nullptr) continue;
        const auto manifest = std::ranges::find(manifests, name, &Manifest::model);
        core::ModelState s = way_back(linked_version(places, name, "current"), known_good,
                                      manifest == manifests.end() ? nullptr : &*manifest, loaded.state.next_id);
        std::erase_if(old.known_good, [&](const core::KnownGood& good) { return good.version == known_good; });
        s.known_good.insert(s.known_good.begin(), old.known_good.begin(), old.known_good.end());
        s.rejected = std::move(old.rejected);
        if (old.pinned == known_good) s.pinned = known_good;  // another pin was lifted since, or current would be that
        loaded.state.models[name] = std::move(s);
        core::Decision& told = loaded.decisions.emplace_back();
        told.kind = core::DecisionKind::rebuilt;
        told.model = name;
        told.version = told.serving = known_good;
        told.blame = core::Blame::environment;
        told.code = "older_backup";
        told.text = "the backup of the ledger is older than the known-good link, which names " +
                    known_good.short_form() + ": that version serves again if its digest is right and it passes";
        loaded.notes.push_back(name + ": " + told.text);
    }
}

void adopt_unknown_versions(store::Loaded& loaded, const store::VersionStore& versions) {
    for (const std::string& name : store::models_on_disk(versions.places())) {
        const auto digests = versions.list(name);
        if (!digests) continue;
        for (const Digest& digest : *digests) {
            const bool known = std::ranges::any_of(loaded.versions, [&](const store::StoredVersion& version) {
                return version.model == name && version.info.digest == digest;
            });
            if (!known) loaded.adopted.push_back({name, versions.describe(name, digest)});
        }
    }
    loaded.versions.insert(loaded.versions.end(), loaded.adopted.begin(), loaded.adopted.end());
    if (!loaded.adopted.empty())
        loaded.notes.push_back(std::to_string(loaded.adopted.size()) +
                               " versions on the disk are not known to the ledger any more and are kept; see versions");
}

}  // namespace modelguard::daemon
