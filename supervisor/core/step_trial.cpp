// Forward: baseline, preflight, switch, trial, soak, known-good.

#include <algorithm>

#include "supervisor/core/stepper.hpp"

namespace modelguard::core {

void Stepper::begin_trial(const Model& model) {
    ModelState& s = model.s;
    const Wish wish = *std::exchange(s.wish, std::nullopt);
    const Phase from = s.phase;
    stop_work(model);
    stop_timer(model, Timer::retry);
    s.trial =
        Trial{.id = state().next_id++, .version = wish.version, .manifest = s.manifest, .seq = wish.seq, .from = from};
    s.used.waits = 0;
    s.used.switches = 0;
    Decision& told = tell(model, DecisionKind::trial_started, wish.version);
    const KnownGood* good = lkg(s);
    // From a state that does not work there is nothing to compare with, and a baseline would only wait for it.
    if (from == Phase::steady && good && good->version == s.current) {
        told.text = "the last known-good version is measured first";
        s.phase = Phase::baselining;
        return begin_work(model, WorkKind::verify);
    }
    told.text = s.current.empty() ? "first install: there is no version to compare with"
                                  : "what serves now does not pass, so there is nothing to compare with";
    go_preflight(model);
}

void Stepper::begin_manifest_trial(const Model& model, const ManifestFacts& facts) {
    ModelState& s = model.s;
    const Phase from = s.phase;
    stop_work(model);
    stop_timer(model, Timer::retry);
    s.trial = Trial{
        .id = state().next_id++, .kind = TrialKind::manifest, .version = s.current, .manifest = facts, .from = from};
    s.phase = Phase::trial;
    Decision& told = tell(model, DecisionKind::trial_started, s.current);
    told.code = "manifest";
    told.text = "manifest revision " + facts.rev + " is tried on the current version";
    start_timer(model, Timer::deadline, facts.deadline);
    begin_work(model, WorkKind::judge);
}

void Stepper::go_preflight(const Model& model) {
    if (!model.s.trial->manifest.preflight) return go_switching(model);
    model.s.phase = Phase::preflight;
    begin_work(model, WorkKind::start_preflight);
}

/// The candidate was hashed on its way in, which may be as long ago as another trial took: it is looked at once more.
void Stepper::go_switching(const Model& model) {
    stop_work(model);
    model.s.phase = Phase::switching;
    begin_work(model, WorkKind::verify);
}

void Stepper::candidate_verified(const Model& model, const VersionVerified& event) {
    ModelState& s = model.s;
    if (s.trial->abort) return aborted_switch_ended(model);
    if (event.intact) return begin_work(model, WorkKind::switch_version);
    drop_corrupt(model, event.version, event.why);
    if (s.current != s.trial->version)
        return end_before_switch(model, DecisionKind::undecided, Blame::environment, "corrupt", {});
    begin_revert(model, Cause::undecided, "corrupt", {});  // an earlier try of the switch has moved the link
}

void Stepper::baseline_verdict(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    if (verdict.verdict == VerdictKind::inconclusive) {
        if (!wait_and_retry(model))
            end_before_switch(model, DecisionKind::undecided, Blame::infrastructure, "no_baseline", verdict.reports);
        return;
    }
    s.trial->has_baseline = true;
    s.trial->baseline_passed = verdict.verdict == VerdictKind::pass;
    if (s.trial->baseline_passed) note_pass_here(model);
    Decision& told = tell(model, DecisionKind::baseline_measured, s.current);
    told.reports = verdict.reports;
    told.code = std::string(to_word(verdict.verdict));
    go_preflight(model);
}

void Stepper::preflight_verdict(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    if (verdict.verdict == VerdictKind::inconclusive && wait_and_retry(model)) return;
    if (verdict.verdict == VerdictKind::pass) {
        act(StopPreflight{model.name});
        tell(model, DecisionKind::preflight_passed, s.trial->version).reports = verdict.reports;
        return go_switching(model);
    }
    if (verdict.verdict == VerdictKind::inconclusive)
        return end_before_switch(model, DecisionKind::undecided, Blame::infrastructure, "preflight_inconclusive",
                                 verdict.reports);
    // The LKG, measured just before, is the re-check of the blame table; where there is none the model is to blame.
    if (s.trial->baseline_passed || !lkg(s)) {
        reject(model, s.trial->version, {}, "failed_preflight");
        return end_before_switch(model, DecisionKind::rejected, Blame::model, "failed_preflight", verdict.reports);
    }
    end_before_switch(model, DecisionKind::undecided, Blame::environment, "failed_preflight", verdict.reports);
}

void Stepper::switched_forward(const Model& model, const SwitchDone& done) {
    ModelState& s = model.s;
    if (done.link_moved || done.result == SwitchResult::done) {
        s.current = s.trial->version;
        s.passed_here = false;
    }
    if (s.trial->abort) return aborted_switch_ended(model);
    CheckReport report{.check = "switch", .kind = "switch", .verdict = VerdictKind::fail, .text = done.why};
    switch (done.result) {
        case SwitchResult::done: {
            s.used.switches = 0;
            tell(model, DecisionKind::switched, s.current).text = "the candidate serves and is judged";
            return go_trial(model);
        }
        case SwitchResult::refused: report.code = "refused"; return trial_failed(model, {report}, "refused");
        case SwitchResult::failed: break;
    }
    report.code = "switch_failed";
    if (s.current != s.trial->version)
        return end_before_switch(model, DecisionKind::undecided, Blame::infrastructure, "switch_failed", {report});
    if (s.used.switches < policy_.switches) {
        s.used.switches += 1;
        s.work = Work{};
        return start_timer(model, Timer::retry, policy_.retry_delay);
    }
    // Several times in a row with this version. Whether it is to blame, the re-check of the LKG will show.
    trial_failed(model, {report}, "switch_failed");
}

/// The trial was ended while its switch was in flight, and now it is known where current points.
void Stepper::aborted_switch_ended(const Model& model) {
    ModelState& s = model.s;
    if (s.current == s.trial->version || *s.trial->abort == Cause::manual) return launch_revert(model);
    const bool superseded = *s.trial->abort == Cause::superseded;
    const std::string code = s.revert->code;
    tell_joined(model, DecisionKind::rolled_back);
    end_before_switch(model, superseded ? DecisionKind::superseded : DecisionKind::undecided, Blame::none, code, {});
}

void Stepper::go_trial(const Model& model) {
    model.s.phase = Phase::trial;
    start_timer(model, Timer::deadline, model.s.trial->manifest.deadline);
    begin_work(model, WorkKind::judge);
}

void Stepper::trial_verdict(const Model& model, const Verdict& verdict) {
    switch (verdict.verdict) {
        case VerdictKind::pass: model.s.trial->reports = verdict.reports; return trial_passed(model);
        case VerdictKind::fail: return trial_failed(model, verdict.reports, "failed_checks");
        case VerdictKind::inconclusive:
            if (!wait_and_retry(model)) trial_undecided(model, verdict.reports, "inconclusive");
            return;
    }
}

void Stepper::trial_passed(const Model& model) {
    ModelState& s = model.s;
    stop_timer(model, Timer::deadline);
    if (s.trial->kind == TrialKind::manifest)
        return end_manifest_trial(model, DecisionKind::manifest_accepted, s.trial->reports);
    s.phase = Phase::soaking;
    s.used.reprobes = 0;
    Decision& told = tell(model, DecisionKind::trial_passed, s.trial->version);
    told.reports = s.trial->reports;
    if (s.trial->manifest.soak == Usec{0}) {
        s.trial->soaked = true;
        if (os().boot_complete) return accept(model);
        return begin_work(model, WorkKind::watch);
    }
    told.text = "it soaks for " + format_duration(s.trial->manifest.soak) + " before it is known-good";
    start_timer(model, Timer::soak, s.trial->manifest.soak);
    begin_work(model, WorkKind::watch);
}

/// The soak ends with one more judging: what is accepted has passed at the end, not only at the beginning.
void Stepper::soak_over(const Model& model) {
    model.s.trial->soaked = true;
    if (model.s.work.kind == WorkKind::watch) begin_work(model, WorkKind::judge);
}

void Stepper::soaking_verdict(const Model& model, const Verdict& verdict) {
    ModelState& s = model.s;
    switch (verdict.verdict) {
        case VerdictKind::pass:
            s.used.reprobes = 0;
            if (!verdict.reports.empty()) s.trial->reports = verdict.reports;
            if (s.trial->soaked && os().boot_complete) return accept(model);
            return begin_work(model, WorkKind::watch);
        case VerdictKind::fail:
            if (s.used.reprobes >= policy_.reprobes) return trial_failed(model, verdict.reports, "failed_in_soak");
            s.used.reprobes += 1;
            return begin_work(model, WorkKind::judge);
        case VerdictKind::inconclusive:
            if (!wait_and_retry(model)) trial_undecided(model, verdict.reports, "inconclusive");
            return;
    }
}

void Stepper::trial_failed(const Model& model, const std::vector<CheckReport>& reports, std::string code) {
    if (model.s.trial->kind == TrialKind::manifest) {
        reject(model, model.s.trial->version, model.s.trial->manifest.rev, code);
        return end_manifest_trial(model, DecisionKind::manifest_rejected, reports);
    }
    begin_revert(model, Cause::candidate_failed, std::move(code), reports);
}

void Stepper::trial_undecided(const Model& model, const std::vector<CheckReport>& reports, std::string code) {
    ModelState& s = model.s;
    if (s.trial->kind == TrialKind::manifest)
        return end_manifest_trial(model, DecisionKind::manifest_undecided, reports);
    switch (s.trial->manifest.on_inconclusive) {
        case OnInconclusive::keep_known_good: return begin_revert(model, Cause::undecided, std::move(code), reports);
        case OnInconclusive::accept:
            s.trial->reports = reports;
            s.trial->soaked = true;
            s.phase = Phase::soaking;
            stop_timer(model, Timer::deadline);
            stop_timer(model, Timer::retry);
            if (os().boot_complete) return accept(model);
            return begin_work(model, WorkKind::watch);
        case OnInconclusive::hold: break;
    }
    Decision& told = tell(model, DecisionKind::undecided, s.trial->version);
    told.seq = s.trial->seq;
    told.blame = Blame::infrastructure;
    told.code = code;
    told.text = "no verdict on the candidate, and its manifest says to hold then";
    told.reports = reports;
    hold(model, Blame::infrastructure, code, "no verdict on the candidate, and its manifest says to hold then",
         reports);
}

void Stepper::accept(const Model& model) {
    ModelState& s = model.s;
    const Trial trial = *s.trial;
    std::erase_if(s.known_good, [&](const KnownGood& k) { return k.version == trial.version; });
    s.known_good.push_back(
        KnownGood{.version = trial.version, .manifest = trial.manifest, .os = {os().booted_identity()}});
    if (s.known_good.size() > policy_.known_good_kept) {
        const auto oldest =
            std::ranges::find_if(s.known_good, [&](const KnownGood& k) { return k.version != s.pinned; });
        s.known_good.erase(oldest);
    }
    s.manifest = trial.manifest;
    s.current_by_rollback = false;
    Decision& told = tell(model, DecisionKind::accepted, trial.version);
    told.seq = trial.seq;
    told.reports = trial.reports;
    told.text = "it passed its trial and its soak: it is the known-good version now";
    s.used = Used{};
    stop_timer(model, Timer::calm);
    rest(model, Phase::steady);
    s.passed_here = true;
    after_rest(model);
}

void Stepper::end_manifest_trial(const Model& model, DecisionKind kind, const std::vector<CheckReport>& reports) {
    close_manifest_trial(model, kind, reports);
    after_rest(model);
}

void Stepper::close_manifest_trial(const Model& model, DecisionKind kind, const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    const Trial trial = *s.trial;
    Decision& told = tell(model, kind, trial.version);
    told.reports = reports;
    told.code = trial.manifest.rev;
    if (kind == DecisionKind::manifest_accepted) {
        told.text = "manifest revision " + trial.manifest.rev + " is in force";
        s.manifest = trial.manifest;
        const auto good = std::ranges::find(s.known_good, s.current, &KnownGood::version);
        if (good != s.known_good.end()) good->manifest = trial.manifest;
        rest(model, good != s.known_good.end() ? Phase::steady : trial.from);
        note_pass_here(model);
    } else {
        const bool failed = kind == DecisionKind::manifest_rejected;
        told.blame = failed ? Blame::model : Blame::infrastructure;
        told.text = "manifest revision " + trial.manifest.rev +
                    (failed ? " does not pass with the current version" : " could not be judged") +
                    "; the previous revision stays in force, the version stays known-good";
        const std::string code = s.code;
        const std::string why = s.why;
        rest(model, trial.from);
        if (trial.from != Phase::steady) {
            s.code = code;
            s.why = why;
        }
    }
}

void Stepper::end_before_switch(const Model& model, DecisionKind kind, Blame blame, std::string code,
                                const std::vector<CheckReport>& reports) {
    close_before_switch(model, kind, blame, std::move(code), reports);
    after_rest(model);
}

void Stepper::close_before_switch(const Model& model, DecisionKind kind, Blame blame, std::string code,
                                  const std::vector<CheckReport>& reports) {
    ModelState& s = model.s;
    if (s.phase == Phase::preflight) act(StopPreflight{model.name});
    const Trial trial = *s.trial;
    Decision& told = tell(model, kind, trial.version);
    told.seq = trial.seq;
    told.blame = blame;
    told.reports = reports;
    told.code = code;
    told.text = (reports.empty() ? std::string() : first_reason(reports) + "; ") + "current was not touched";
    const Phase back = trial.from == Phase::kept ? Phase::empty : trial.from;
    if (back == Phase::steady)
        rest(model, back);
    else
        settle(model, back, back == Phase::empty ? std::move(code) : s.code,
               back == Phase::empty ? std::string(to_word(kind)) : s.why);
}

void Stepper::abort_trial(const Model& model, Cause cause, std::string code) {
    ModelState& s = model.s;
    const bool superseded = cause == Cause::superseded;
    if (s.trial->kind == TrialKind::manifest) return end_manifest_trial(model, DecisionKind::manifest_undecided, {});
    switch (s.phase) {
        case Phase::preflight:
        case Phase::baselining:
            return end_before_switch(model, superseded ? DecisionKind::superseded : DecisionKind::undecided,
                                     Blame::none, std::move(code), {});
        case Phase::switching: {
            if (s.trial->abort) return;
            const KnownGood* good = lkg(s);
            prepare_revert(model, cause, good ? good->version : VersionId{}, s.trial->seq, std::move(code), {});
            s.trial->abort = cause;
            if (s.work.kind == WorkKind::none) launch_revert(model);  // between two tries of the switch
            return;
        }
        case Phase::trial:
        case Phase::soaking: return begin_revert(model, cause, std::move(code), {});
        case Phase::empty:
        case Phase::kept:
        case Phase::steady:
        case Phase::reverting:
        case Phase::verifying:
        case Phase::degraded:
        case Phase::held: return;  // no version trial is open in these
    }
}

}  // namespace modelguard::core
