// The runner and full hashes: what they found is kept with the version, and what is damaged is taken out of the way.

#include <algorithm>

#include "supervisor/daemon/garbage.hpp"
#include "supervisor/daemon/runner.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

bool Runner::is_idle() const {
    if (storage_failed_ || pumping_ || !queue_.empty() || !on_demand_.empty() || state_.os.pending) return false;
    return std::ranges::all_of(state_.models, [](const auto& entry) {
        const core::ModelState& model = entry.second;
        const bool waits = model.work.kind != core::WorkKind::none && model.work.kind != core::WorkKind::watch;
        return core::is_at_rest(model.phase) && !waits;
    });
}

std::uint64_t Runner::next_hash_turn() const {
    std::uint64_t newest = 0;
    for (const auto& [model, versions] : versions_)
        for (const auto& [digest, info] : versions)
            newest = std::max(newest, info.hash_turn);
    return newest + 1;
}

/// `info` after a full hash. Stamps of what is damaged are not kept, so that it is never again believed by them.
store::VersionInfo Runner::hashed(store::VersionInfo info, const store::VersionStore::Verified& found) const {
    info.stamps = found.intact ? found.stamps : std::string();
    info.damage = found.intact ? std::string() : found.why;
    if (found.intact) info.verified_wall_usec = sys::wall_now_usec();
    info.hash_turn = next_hash_turn();
    return info;
}

void Runner::scrubbed(const std::string& model, const Digest& digest,
                      const Result<store::VersionStore::Verified>& found) {
    const store::VersionInfo* known = version(model, digest);
    if (!known || !is_idle()) return;  // something else came first: it is read again
    store::StoredVersion stored{model, *known};
    if (found && !found->intact) {
        stored.info = hashed(std::move(stored.info), *found);
        note("version " + digest.short_form() + " of " + model + " is damaged on the disk: " + found->why);
        Extra extra;
        extra.versions.push_back(std::move(stored));
        return post(core::VersionDamaged{model, digest, found->why}, std::move(extra));
    }
    if (found)
        stored.info = hashed(std::move(stored.info), *found);
    else
        stored.info.hash_turn = next_hash_turn();
    if (!found)
        note("version " + digest.short_form() + " of " + model +
             " could not be read again; the next one has its turn: " + found.error().what);
    store::Changes changes;
    changes.versions = {stored};
    if (const auto kept = commit(changes); !kept) return storage_trouble(kept.error());
    versions_[model][digest] = std::move(stored.info);
    if (on_commit) on_commit(false);
}

void Runner::quarantine_damaged() {
    if (!is_idle()) return;
    store::Changes changes;
    for (const auto& [name, model] : state_.models) {
        const auto linked = linked_versions(parts_.versions.places().model_dir(name));
        if (!linked || model.wish) continue;
        for (const store::VersionInfo* info : versions_of(name)) {
            if (info->damage.empty() || is_needed(model, info->digest, *linked)) continue;
            const auto moved = parts_.versions.quarantine(name, info->digest);
            note("damaged version " + info->digest.short_form() + " of " + name +
                 (moved ? " was taken out of the way: deploy it again if it is wanted; what is left of it is in " +
                              (parts_.versions.places().model_dir(name) / "quarantine").string()
                        : " could not be taken out of the way: " + moved.error().what));
            if (moved) changes.forgotten_versions.emplace_back(name, info->digest);
        }
    }
    if (changes.forgotten_versions.empty()) return;
    // The directory first: a crash in between leaves a row that says it is damaged, and this is done again.
    if (const auto kept = commit(changes); !kept) return storage_trouble(kept.error());
    for (const auto& [name, digest] : changes.forgotten_versions)
        versions_[name].erase(digest);
    if (on_commit) on_commit(false);
}

/// For want of space; how many.
std::size_t Runner::empty_quarantine() {
    std::size_t count = 0;
    for (const auto& [name, model] : state_.models) {
        const auto emptied = parts_.versions.empty_quarantine(name);
        if (!emptied) note("the quarantine of " + name + " could not be emptied: " + emptied.error().what);
        count += emptied.value_or(0);
    }
    return count;
}

}  // namespace modelguard::daemon
