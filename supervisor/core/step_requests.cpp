// What people and manifests ask for: apply, deploy, rollback, pin, unpin, unreject, remove.

#include <algorithm>

#include "supervisor/core/stepper.hpp"

namespace modelguard::core {

void Stepper::on(const ManifestApplied& event) {
    const auto [it, is_new] = state().models.try_emplace(event.model);
    const Model model{it->first, it->second};
    ModelState& s = model.s;
    if (is_new) {
        s.manifest = event.facts;
        s.offered_rev = event.facts.rev;
        return;
    }
    const bool was_managed = std::exchange(s.managed, true);
    if (!was_managed && is_at_rest(s.phase) && !s.current.empty() && !s.waits_for_os)
        begin_work(model, WorkKind::watch);
    if (s.offered_rev != event.facts.rev) {
        s.offered_rev = event.facts.rev;
        s.next_manifest = event.facts;
    }
    after_rest(model);
}

void Stepper::offer_manifest(const Model& model, const ManifestFacts& facts) {
    ModelState& s = model.s;
    if (facts.rev == s.manifest.rev && facts.rev == manifest_of_current(s).rev) {
        s.manifest = facts;
        return;
    }
    if (!s.current.empty() && facts.rev == manifest_of_current(s).rev) {
        s.manifest = facts;
        Decision& told = tell(model, DecisionKind::manifest_accepted, s.current);
        told.code = facts.rev;
        told.text = "manifest revision " + facts.rev + " is in force: the version that serves is judged by it already";
        return;
    }
    if (s.current.empty()) {
        s.manifest = facts;
        Decision& told = tell(model, DecisionKind::manifest_accepted, {});
        told.code = "nothing_served";
        told.text = "manifest revision " + facts.rev + " is in force; nothing is served yet";
        return;
    }
    if (const Rejection* rejection = find_rejection(s, s.current, facts.rev)) {
        refuse(model.name, 0, s.current, "rejected",
               "manifest revision " + facts.rev + " was rejected with this version (" + rejection->code +
                   "); the previous revision stays in force, unreject lifts it");
        return;
    }
    begin_manifest_trial(model, facts);
}

void Stepper::on(const ManifestGone& event) {
    const auto found = find(event.model);
    if (!found || !found->s.managed) return;
    const Model model = *found;
    ModelState& s = model.s;
    s.managed = false;
    s.next_manifest.reset();
    s.offered_rev.clear();
    tell(model, DecisionKind::unmanaged, s.current).text =
        "its manifest is gone: what is served stays, and is not supervised until a manifest comes back";
    if (s.wish) drop_wish(model, "unmanaged");
    if (s.trial) abort_trial(model, Cause::undecided, "unmanaged");
    if (!is_at_rest(s.phase)) return;
    stop_work(model);
    stop_timer(model, Timer::retry);
}

void Stepper::on(const RemoveRequested& event) {
    const auto model = find(event.model);
    if (!model) return refuse(event.model, event.seq, {}, "not_found", "there is no such model");
    if (!is_at_rest(model->s.phase) || model->s.waits_for_os)
        return refuse(event.model, event.seq, model->s.current, "busy",
                      "a version is being changed right now; wait for it or roll it back, then remove");
    stop_work(*model);
    stop_timers(*model);
    if (model->s.wish) drop_wish(*model, "removed");
    Decision& told = tell(*model, DecisionKind::removed, model->s.current);
    told.seq = event.seq;
    told.serving = {};
    act(ForgetModel{model->name});
    state().models.erase(event.model);
}

void Stepper::on(const VersionWanted& event) {
    const auto found = find(event.model);
    if (!found) return refuse(event.model, event.seq, event.version, "not_found", "there is no such model");
    const Model model = *found;
    ModelState& s = model.s;
    if (!s.managed)
        return refuse(model.name, event.seq, event.version, "unmanaged", "the model has no manifest; apply one first");
    const Wish wish{event.version, event.seq, event.origin};
    if (is_settled_without_trial(model, wish)) return;
    if (s.wish) drop_wish(model, "newer_wish");
    const bool in_trial = s.trial && s.trial->kind == TrialKind::version;
    if (in_trial && s.trial->version == event.version && !s.trial->abort) {
        Decision& told = tell(model, DecisionKind::superseded, event.version);
        told.seq = std::exchange(s.trial->seq, event.seq);
        told.code = "asked_again";
        told.text = "the same version was asked for again while it is on trial: the newer request gets the answer";
        return;
    }
    s.wish = wish;
    tell(model, DecisionKind::kept, event.version).text = "complete and verified; it is tried next";
    if (in_trial && !s.trial->abort) abort_trial(model, Cause::superseded, "newer_wish");
    if (s.phase == Phase::empty) s.phase = Phase::kept;
    after_rest(model);
}

void Stepper::on(const RollbackRequested& event) {
    const auto found = find(event.model);
    if (!found) return refuse(event.model, event.seq, event.to, "not_found", "there is no such model");
    const Model model = *found;
    ModelState& s = model.s;
    const auto no = [&](std::string code, std::string text) {
        refuse(model.name, event.seq, event.to, std::move(code), std::move(text));
    };
    if (s.revert) {
        if (!event.to.empty() && event.to != s.revert->target)
            return no("conflict", "a way back to another version is under way; wait for it");
        s.revert->joined.push_back(event.seq);
        return;
    }
    if (event.seen_current != s.current)
        return no("conflict", "current is another version than the one you saw; look again and decide anew");
    if (!s.pinned.empty()) return no("pinned", "the model is pinned; unpin it first");
    if (s.waits_for_os) return no("conflict", "an OS rollback for this model is under way; wait for it");
    const bool candidate_on_its_way = s.trial && s.phase == Phase::switching;
    const VersionId& left = candidate_on_its_way ? s.trial->version : s.current;
    VersionId target = event.to;
    if (target.empty()) {
        if (s.current_by_rollback && !candidate_on_its_way)
            return no("choose", "current was itself reached by a rollback; say which version with --to");
        const auto good = std::ranges::find_if(s.known_good.rbegin(), s.known_good.rend(),
                                               [&](const KnownGood& k) { return k.version != left; });
        if (good == s.known_good.rend())
            return no("no_known_good", "there is no other known-good version to go back to");
        target = good->version;
    }
    if (!find_known_good(s, target)) return no("not_known_good", "the version to go back to is not known-good here");
    if (target == left) return no("already_current", "this version is current already");

    const std::vector<CheckReport> none;
    if (s.wish) drop_wish(model, "manual");
    const auto tell_candidate_left = [&] {
        Decision& told = tell(model, DecisionKind::rejected, s.trial->version);
        told.seq = std::exchange(s.trial->seq, 0);
        told.serving = target;
        told.blame = Blame::operator_;
        told.code = "manual";
        told.text = "an operator rolled it back during its trial";
    };
    if (candidate_on_its_way) {  // the switch ends first, then everything goes back
        tell_candidate_left();
        prepare_revert(model, Cause::manual, target, event.seq, "manual", none);
        reject(model, s.trial->version, {}, "manual");
        s.trial->abort = Cause::manual;
        if (s.work.kind == WorkKind::none) launch_revert(model);  // between two tries of the switch
        return;
    }
    if (s.trial && s.trial->kind == TrialKind::manifest) {
        close_manifest_trial(model, DecisionKind::manifest_undecided, none);
    } else if (s.trial && (s.phase == Phase::baselining || s.phase == Phase::preflight)) {
        close_before_switch(model, DecisionKind::superseded, Blame::operator_, "manual", none);
    } else if (s.trial) {
        tell_candidate_left();
    }
    stop_work(model);
    prepare_revert(model, Cause::manual, target, event.seq, "manual", none);
    if (!s.current.empty()) reject(model, s.current, {}, "manual");
    launch_revert(model);
}

void Stepper::on(const PinRequested& event) {
    const auto found = find(event.model);
    if (!found) return refuse(event.model, event.seq, event.version, "not_found", "there is no such model");
    const Model model = *found;
    ModelState& s = model.s;
    const VersionId version = event.version.empty() ? s.current : event.version;
    if (!is_at_rest(s.phase) || s.waits_for_os)
        return refuse(model.name, event.seq, version, "busy",
                      "a version is being changed right now; wait for it, then pin");
    if (version.empty() || !find_known_good(s, version))
        return refuse(model.name, event.seq, version, "not_known_good", "only a known-good version can be pinned");
    s.pinned = version;
    if (s.wish && s.wish->version != version) drop_wish(model, "pinned");
    Decision& told = tell(model, DecisionKind::pinned, version);
    told.serving = version;
    told.blame = Blame::operator_;
    if (version == s.current) {
        told.seq = event.seq;
        return;
    }
    stop_work(model);
    prepare_revert(model, Cause::pin, version, event.seq, "pin", {});
    launch_revert(model);
}

void Stepper::on(const UnpinRequested& event) {
    const auto model = find(event.model);
    if (!model) return refuse(event.model, event.seq, {}, "not_found", "there is no such model");
    if (model->s.pinned.empty()) return refuse(event.model, event.seq, {}, "not_pinned", "the model is not pinned");
    Decision& told = tell(*model, DecisionKind::unpinned, model->s.pinned);
    told.seq = event.seq;
    told.blame = Blame::operator_;
    model->s.pinned = {};
}

void Stepper::on(const UnrejectRequested& event) {
    const auto model = find(event.model);
    if (!model) return refuse(event.model, event.seq, event.version, "not_found", "there is no such model");
    const auto gone = std::erase_if(model->s.rejected, [&](const Rejection& r) { return r.version == event.version; });
    if (gone == 0) return refuse(event.model, event.seq, event.version, "not_rejected", "this version is not rejected");
    Decision& told = tell(*model, DecisionKind::unrejected, event.version);
    told.seq = event.seq;
    told.blame = Blame::operator_;
    model->s.offered_rev.clear();  // a manifest revision that was refused for it may be offered again
}

}  // namespace modelguard::core
