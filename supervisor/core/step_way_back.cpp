// Back: reverting, verifying, and the ladder when the version that should work does not.

#include <algorithm>

#include "supervisor/core/stepper.hpp"

namespace modelguard::core {

/// Fills in where to go back to and why; the way begins with launch_revert().
void Stepper::prepare_revert(const Model& model, Cause cause, const VersionId& target, std::uint64_t seq,
                             std::string code, const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    const KnownGood* good = find_known_good(s, target);
    Revert revert{.cause = cause, .target = target, .seq = seq, .code = std::move(code), .reports = reports};
    revert.manifest = good ? good->manifest : s.manifest;
    const VersionId left = s.trial && s.trial->kind == TrialKind::version ? s.trial->version : s.current;
    if (!left.empty() && left != target) revert.left.push_back(left);
    s.revert = std::move(revert);
}

void Stepper::launch_revert(const Model& model) {
    ModelState& s = model.s;
    stop_work(model);
    stop_timer(model, Timer::deadline);
    stop_timer(model, Timer::soak);
    stop_timer(model, Timer::retry);
    Decision& told =
        tell(model, DecisionKind::rolling_back, s.revert->left.empty() ? s.current : s.revert->left.front());
    told.serving = s.revert->target;
    told.code = s.revert->code;
    told.reports = s.revert->reports;
    told.text = s.revert->target.empty() ? "there is no known-good version: nothing will be served"
                                         : first_reason(s.revert->reports);
    s.trial.reset();
    s.phase = Phase::reverting;
    s.passed_here = false;
    s.used.waits = 0;
    s.used.switches = 0;
    s.used.reprobes = 0;
    begin_work(model, s.revert->target.empty() ? WorkKind::switch_version : WorkKind::verify);
}

/// From an open trial back to the LKG.
void Stepper::begin_revert(const Model& model, Cause cause, std::string code, const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    const bool is_lkg = lkg(s) && lkg(s)->version == s.trial->version;
    const auto good = std::ranges::find_if(s.known_good.rbegin(), s.known_good.rend(),
                                           [&](const KnownGood& k) { return k.version != s.trial->version; });
    const bool has_other = good != s.known_good.rend();
    if (is_lkg && (cause != Cause::candidate_failed || !has_other)) {
        // The LKG itself was deployed once more: there is no better version to go back to, and none to blame it with.
        if (s.current != s.trial->version)
            return end_before_switch(model,
                                     cause == Cause::superseded ? DecisionKind::superseded : DecisionKind::undecided,
                                     Blame::environment, std::move(code), reports);
        Decision& told = tell(model, cause == Cause::superseded ? DecisionKind::superseded : DecisionKind::undecided,
                              s.trial->version);
        told.seq = s.trial->seq;
        told.blame = Blame::environment;
        told.code = code;
        told.reports = reports;
        told.text = "it is the last known-good version and stays";
        settle(model, Phase::degraded, "environment",
               "the last known-good version does not pass: " + first_reason(reports));
        return after_rest(model);
    }
    const VersionId target = has_other ? good->version : VersionId{};
    if (!s.pinned.empty() && target != s.pinned) {  // deployed again to repair it, and it does not pass
        const std::string why = "the pinned version does not pass: " + first_reason(reports);
        Decision& told = tell(model, DecisionKind::undecided, s.trial->version);
        told.seq = s.trial->seq;
        told.code = std::move(code);
        told.text = why;
        told.reports = reports;
        return hold(model, Blame::environment, "pinned_fails", why, reports);
    }
    prepare_revert(model, cause, target, s.trial->seq, std::move(code), reports);
    launch_revert(model);
}

/// The target cannot be used: the newest known-good not tried yet, or what follows where there is none. True: on the
/// way.
bool Stepper::next_target(const Model& model) {
    ModelState& s = model.s;
    Revert& revert = *s.revert;
    if (revert.cause == Cause::pin) return false;  // no other version was asked for
    const auto good = std::ranges::find_if(s.known_good.rbegin(), s.known_good.rend(), [&](const KnownGood& k) {
        return k.version != revert.target && std::ranges::find(revert.left, k.version) == revert.left.end();
    });
    if (good != s.known_good.rend()) {
        revert.target = good->version;
        revert.manifest = good->manifest;
        s.phase = Phase::reverting;
        begin_work(model, WorkKind::verify);
        return true;
    }
    switch (revert.cause) {
        case Cause::candidate_failed:
        case Cause::superseded:
        case Cause::undecided:
        case Cause::restore:  // serve nothing rather than what is known to be bad or is not ours
            revert.target = {};
            s.phase = Phase::reverting;
            begin_work(model, WorkKind::switch_version);
            return true;
        case Cause::manual:
        case Cause::decay:
        case Cause::give_up:
        case Cause::pin: break;
    }
    return false;
}

void Stepper::switched_back(const Model& model, const SwitchDone& done) {
    ModelState& s = model.s;
    if (done.link_moved || done.result == SwitchResult::done) s.current = s.revert->target;
    const bool moved = s.current == s.revert->target;
    if (done.result != SwitchResult::done && s.used.switches < policy_.switches) {
        s.used.switches += 1;
        s.work = Work{};
        return start_timer(model, Timer::retry, policy_.retry_delay);
    }
    if (!moved) {
        // I/O: nothing else can be done, so it is tried until it works; said once.
        if (s.used.switches == policy_.switches) {
            s.used.switches += 1;
            s.code = "cannot_switch";
            s.why = "the way back cannot be carried out and is tried again every " +
                    format_duration(policy_.retry_delay) + ": " + done.why;
            Decision& told = tell(model, DecisionKind::degraded, s.revert->target);
            told.blame = Blame::infrastructure;
            told.code = s.code;
            told.text = s.why;
        }
        s.work = Work{};
        return start_timer(model, Timer::retry, policy_.retry_delay);
    }
    s.used.switches = 0;
    if (s.revert->target.empty()) return cleared(model);
    if (s.revert->cause == Cause::give_up)
        return hold(model, Blame::environment, "nothing_passes", "no known-good version passes on this device now",
                    s.revert->reports);
    s.phase = Phase::verifying;
    begin_work(model, WorkKind::judge);
}

/// Nothing is served any more: the end of a first install that did not work.
void Stepper::cleared(const Model& model) {
    ModelState& s = model.s;
    const Revert revert = *s.revert;
    const VersionId left = revert.left.empty() ? VersionId{} : revert.left.front();
    if (revert.cause == Cause::candidate_failed) {
        reject(model, left, {}, revert.code);
        Decision& told = tell(model, DecisionKind::rejected, left);
        told.seq = revert.seq;
        told.blame = Blame::model;
        told.code = revert.code;
        told.reports = revert.reports;
        told.text = "it failed and there is no known-good version: nothing is served";
    } else {
        end_candidate_of_revert(model, Blame::none, revert.code);
    }
    tell(model, DecisionKind::cleared, left).code = revert.code;
    tell_joined(model, DecisionKind::cleared);
    s.current_by_rollback = false;
    settle(model, Phase::empty, revert.code, "no known-good version; " + first_reason(revert.reports));
    after_rest(model);
}

/// Answers the deploy whose candidate this way back takes out without blaming it.
void Stepper::end_candidate_of_revert(const Model& model, Blame blame, const std::string& code) {
    const Revert& revert = *model.s.revert;
    const bool of_candidate = revert.cause == Cause::candidate_failed || revert.cause == Cause::undecided ||
                              revert.cause == Cause::superseded;
    if (!of_candidate) return;
    const bool superseded = revert.cause == Cause::superseded;
    Decision& told = tell(model, superseded ? DecisionKind::superseded : DecisionKind::undecided,
                          revert.left.empty() ? VersionId{} : revert.left.front());
    told.seq = revert.seq;
    told.blame = blame;
    told.code = code;
    told.reports = revert.reports;
    told.text = superseded ? "a newer version came before this one was decided"
                           : "it was not given a fair trial; it is not rejected";
}

void Stepper::tell_joined(const Model& model, DecisionKind kind) {
    for (const std::uint64_t seq : std::vector<std::uint64_t>(model.s.revert->joined)) {
        Decision& told = tell(model, kind, model.s.revert->left.empty() ? VersionId{} : model.s.revert->left.front());
        told.seq = seq;
        told.code = "joined";
        told.text = "a way back was under way already: this request has its answer";
        told.blame = Blame::operator_;
    }
}

void Stepper::way_back_verdict(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    switch (verdict.verdict) {
        case VerdictKind::pass: return way_back_works(model);
        case VerdictKind::fail:
            if (s.used.reprobes < policy_.reprobes) {
                s.used.reprobes += 1;
                return begin_work(model, WorkKind::judge);
            }
            if (s.used.restarts < policy_.restarts) {
                s.used.restarts += 1;
                tell(model, DecisionKind::restarted, s.current).code = "way_back_failing";
                return begin_work(model, WorkKind::restart_service);
            }
            return way_back_fails(model, verdict.reports);
        case VerdictKind::inconclusive: {
            if (wait_and_retry(model)) return;
            const std::string why =
                "whether the version gone back to works cannot be found out: " + first_reason(verdict.reports);
            end_candidate_of_revert(model, Blame::infrastructure, "inconclusive");
            Decision& told = tell(model, DecisionKind::degraded, s.current);
            told.seq = s.revert->cause == Cause::manual || s.revert->cause == Cause::pin ? s.revert->seq : 0;
            told.blame = Blame::infrastructure;
            told.code = "inconclusive";
            told.text = why;
            told.reports = verdict.reports;
            tell_joined(model, DecisionKind::degraded);
            settle(model, Phase::degraded, "inconclusive", why);
            return after_rest(model);
        }
    }
}

void Stepper::way_back_works(const Model& model) {
    ModelState& s = model.s;
    const Revert revert = *s.revert;
    const VersionId left = revert.left.empty() ? VersionId{} : revert.left.front();
    Blame blame = Blame::none;
    switch (revert.cause) {
        case Cause::candidate_failed: {
            blame = Blame::model;
            reject(model, left, {}, revert.code);
            Decision& told = tell(model, DecisionKind::rejected, left);
            told.seq = revert.seq;
            told.blame = blame;
            told.code = revert.code;
            told.reports = revert.reports;
            told.text = "it failed, and the known-good version passes on the same device: the model is to blame";
            break;
        }
        case Cause::undecided:
        case Cause::superseded: end_candidate_of_revert(model, Blame::infrastructure, revert.code); break;
        case Cause::decay:
            blame = Blame::model;
            for (const VersionId& version : revert.left)
                reject(model, version, {}, "decayed");
            break;
        case Cause::manual:
        case Cause::pin: blame = Blame::operator_; break;
        case Cause::restore:
        case Cause::give_up: break;
    }
    Decision& told = tell(model, DecisionKind::rolled_back, left);
    told.seq = revert.cause == Cause::manual || revert.cause == Cause::pin ? revert.seq : 0;
    told.blame = blame;
    told.code = revert.code;
    told.text = "the version gone back to serves and passes";
    tell_joined(model, DecisionKind::rolled_back);
    s.current_by_rollback = revert.cause == Cause::manual;
    rest(model, Phase::steady);
    note_pass_here(model);
    after_rest(model);
}

/// The version that should work was reached, and does not: the blame table.
void Stepper::way_back_fails(const Model& model, const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    const bool os_to_blame = blames_os(model);
    const bool older_may_help = s.revert->cause == Cause::decay || s.revert->cause == Cause::manual;
    if (!os_to_blame && older_may_help) {
        const VersionId failed = s.revert->target;
        s.revert->left.push_back(failed);
        if (next_target(model)) return;
        if (s.revert->cause == Cause::decay && lkg(s) && lkg(s)->version != s.current) {
            s.revert->cause = Cause::give_up;  // nothing passes: what passed last serves while an operator looks
            s.revert->target = lkg(s)->version;
            s.revert->manifest = lkg(s)->manifest;
            s.revert->reports = reports;
            s.phase = Phase::reverting;
            return begin_work(model, WorkKind::verify);
        }
        return hold(model, Blame::environment, "nothing_passes", "no known-good version passes on this device now",
                    reports);
    }
    end_candidate_of_revert(model, os_to_blame ? Blame::os : Blame::environment, "lkg_fails_too");
    if (os_to_blame) {
        std::string why_not;
        if (request_os_rollback(model, reports, why_not)) return;
        return hold(model, Blame::os, "no_os_rollback", "the OS is to blame, and there is no OS rollback: " + why_not,
                    reports);
    }
    if (s.revert->cause == Cause::pin)
        return hold(model, Blame::environment, "pinned_fails", "the pinned version does not pass", reports);
    const std::string why =
        std::string("the known-good version does not pass either, and ") +
        (os_changed_since_pass(s, s.current) ? "did not before this OS came: " : "the OS has not changed: ") +
        first_reason(reports);
    Decision& told = tell(model, DecisionKind::degraded, s.current);
    told.blame = Blame::environment;
    told.code = "environment";
    told.text = why;
    told.reports = reports;
    tell_joined(model, DecisionKind::degraded);
    settle(model, Phase::degraded, "environment", why);
    after_rest(model);
}

/// What serves is no longer what was verified. An older known-good takes its place; a wish waits its turn meanwhile.
void Stepper::current_is_corrupt(const Model& model) {
    ModelState& s = model.s;
    if (s.trial) s.wish = Wish{s.trial->version, s.trial->seq, Origin::command};
    s.trial.reset();
    if (!s.pinned.empty() || s.known_good.empty())
        return hold(model, Blame::environment, "corrupt",
                    s.pinned.empty() ? "what serves is corrupt on disk, and there is no other known-good version"
                                     : "the pinned version is corrupt on disk",
                    {});
    prepare_revert(model, Cause::restore, s.known_good.back().version, 0, "corrupt", {});
    launch_revert(model);
}

void Stepper::on(const VersionDamaged& event) {
    const auto found = find(event.model);
    if (!found || !find_known_good(found->s, event.version)) return;
    const Model model = *found;
    ModelState& s = model.s;
    if (s.trial && s.trial->kind == TrialKind::version && s.trial->version == event.version) {  // deployed once more
        if (s.trial->abort) return;
        drop_corrupt(model, event.version, event.why);
        return abort_trial(model, Cause::undecided, "corrupt");
    }
    const bool serves = event.version == s.current;
    const bool may_move = is_at_rest(s.phase) && s.managed && !s.waits_for_os && !os().pending;
    const bool is_left = s.phase == Phase::reverting;
    const bool is_target = s.revert && s.revert->target == event.version;
    if (is_target || (serves && !may_move && !is_left)) return refuse_corrupt_wish(model, event.version);
    drop_corrupt(model, event.version, event.why);
    if (serves && may_move) return current_is_corrupt(model);
    if (s.phase == Phase::kept && !s.wish) s.phase = Phase::empty;
}

void Stepper::hold(const Model& model, Blame blame, std::string code, std::string why,
                   const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    Decision& told = tell(model, DecisionKind::held, s.current);
    told.blame = blame;
    told.code = code;
    told.text = why;
    told.reports = reports;
    if (s.revert) {
        const bool asked = s.revert->cause == Cause::manual || s.revert->cause == Cause::pin;
        told.seq = asked ? s.revert->seq : 0;
        tell_joined(model, DecisionKind::held);
    }
    settle(model, Phase::held, std::move(code), std::move(why));
    after_rest(model);
}

// ---- the ladder --------------------------------------------------------------------------------------------------

/// News from the steady probing.
void Stepper::watched(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    const bool passes = verdict.verdict == VerdictKind::pass;
    const bool fails = verdict.verdict == VerdictKind::fail;
    switch (s.phase) {
        case Phase::soaking:
            if (fails) soaking_verdict(model, verdict);
            return;
        case Phase::steady:
            if (passes) return note_pass_here(model);
            if (fails) current_fails(model, verdict);
            return;
        case Phase::degraded:
            if (passes && find_known_good(s, s.current)) return recover(model);
            // With the environment to blame nothing is left to try, nor with an OS that others roll back; else the
            // ladder goes on where it was left.
            if (fails && s.code != "environment" && !s.waits_for_os && !is_standing_back(s))
                climb(model, verdict.reports);
            return;
        case Phase::held:
            // A candidate that is held for want of a verdict does not become good by answering once.
            if (passes && find_known_good(s, s.current)) recover(model);
            return;
        case Phase::empty:
        case Phase::kept:
        case Phase::baselining:
        case Phase::preflight:
        case Phase::switching:
        case Phase::trial:
        case Phase::reverting:
        case Phase::verifying: return;  // nothing is watched in these
    }
}

void Stepper::current_fails(const Model& model, const Verdict& verdict) {
    model.s.phase = Phase::degraded;
    model.s.code = "failing";
    model.s.why = first_reason(verdict.reports);
    climb(model, verdict.reports);
}

void Stepper::ladder_verdict(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    switch (verdict.verdict) {
        case VerdictKind::pass: return recover(model);
        case VerdictKind::fail:
            if (s.phase == Phase::steady) return current_fails(model, verdict);
            return climb(model, verdict.reports);
        case VerdictKind::inconclusive: {
            if (wait_and_retry(model)) return;
            if (s.phase == Phase::steady) return begin_work(model, WorkKind::watch);
            const std::string why = "whether it works cannot be found out: " + first_reason(verdict.reports);
            Decision& told = tell(model, DecisionKind::degraded, s.current);
            told.blame = Blame::infrastructure;
            told.code = "inconclusive";
            told.text = why;
            told.reports = verdict.reports;
            settle(model, Phase::degraded, "inconclusive", why);
            return after_rest(model);
        }
    }
}

/// One rung: probe again, restart, then by blame: OS rollback, an older known-good, held.
void Stepper::climb(const Model& model, const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    if (s.used.reprobes < policy_.reprobes) {
        s.used.reprobes += 1;
        return begin_work(model, WorkKind::judge);
    }
    if (s.used.restarts < policy_.restarts) {
        s.used.restarts += 1;
        Decision& degraded = tell(model, DecisionKind::degraded, s.current);
        degraded.code = "failing";
        degraded.text = first_reason(reports);
        degraded.reports = reports;
        tell(model, DecisionKind::restarted, s.current).code = "failing";
        stop_work(model);
        return begin_work(model, WorkKind::restart_service);
    }
    if (!s.pinned.empty())
        return hold(model, Blame::environment, "pinned_fails", "the pinned version fails: " + first_reason(reports),
                    reports);
    if (blames_os(model)) {
        std::string why_not;
        if (request_os_rollback(model, reports, why_not)) return;
    }
    const auto older = std::ranges::find_if(s.known_good.rbegin(), s.known_good.rend(),
                                            [&](const KnownGood& k) { return k.version != s.current; });
    if (older == s.known_good.rend())
        return hold(model, Blame::environment, "nothing_passes",
                    "the known-good version fails and there is no older one: " + first_reason(reports), reports);
    stop_work(model);
    prepare_revert(model, Cause::decay, older->version, 0, "decayed", reports);
    launch_revert(model);
}

void Stepper::recover(const Model& model) {
    ModelState& s = model.s;
    // A single flaky pass is not worth a line in the history; a restart or a told degradation is.
    if (s.phase == Phase::held || s.used.restarts > 0 || s.code == "environment" || s.code == "inconclusive")
        if (s.phase != Phase::steady) tell(model, DecisionKind::recovered, s.current).code = s.code;
    if (s.phase == Phase::held) s.used = Used{};
    rest(model, Phase::steady);
    note_pass_here(model);
    after_rest(model);
}

}  // namespace modelguard::core
