#include "supervisor/core/step.hpp"

#include <algorithm>

#include "supervisor/core/stepper.hpp"

namespace modelguard::core {

Step step(const State& state, const Event& event, const Policy& policy) {
    Stepper stepper(state, policy);
    std::visit([&](const auto& happened) { stepper.on(happened); }, event);
    stepper.mark_known_good(state, std::holds_alternative<Started>(event));
    return stepper.take();
}

std::string first_reason(const std::vector<CheckReport>& reports) {
    for (const CheckReport& report : reports)
        if (report.required && report.verdict != VerdictKind::pass) return report.check + ": " + report.text;
    return {};
}

// ---- common ------------------------------------------------------------------------------------------------------

std::optional<Stepper::Model> Stepper::find(const std::string& name) {
    const auto it = state().models.find(name);
    if (it == state().models.end()) return std::nullopt;
    return Model{it->first, it->second};
}

/// The model that waits for just this answer; a stale or foreign one finds nothing and changes nothing.
template <class Answer>
std::optional<Stepper::Model> Stepper::awaiting(const Answer& answer, WorkKind kind) {
    auto model = find(answer.model);
    if (!model || model->s.work.kind != kind || model->s.work.id != answer.work_id) return std::nullopt;
    return model;
}

/// The `known-good` link follows the LKG, however it changed. After a start it is written again: the daemon may have
/// died between the ledger and the link.
void Stepper::mark_known_good(const State& before, bool always) {
    for (const auto& [name, s] : state().models) {
        const auto old = before.models.find(name);
        const KnownGood* was = old == before.models.end() ? nullptr : lkg(old->second);
        const KnownGood* is = lkg(s);
        const VersionId left = was ? was->version : VersionId{};
        const VersionId good = is ? is->version : VersionId{};
        if (always || left != good) act(MarkKnownGood{name, good});
    }
}

Decision& Stepper::tell(const Model& model, DecisionKind kind, const VersionId& version) {
    Decision& decision = step_.decisions.emplace_back();
    decision.kind = kind;
    decision.model = model.name;
    decision.version = version;
    decision.serving = model.s.current;
    return decision;
}

void Stepper::refuse(const std::string& model, std::uint64_t seq, const VersionId& version, std::string code,
                     std::string text) {
    Decision& decision = step_.decisions.emplace_back();
    decision.kind = DecisionKind::refused;
    decision.model = model;
    decision.version = version;
    if (const auto found = find(model)) decision.serving = found->s.current;
    decision.seq = seq;
    decision.blame = Blame::operator_;
    decision.code = std::move(code);
    decision.text = std::move(text);
}

void Stepper::begin_work(const Model& model, WorkKind kind) {
    model.s.work = Work{kind, state().next_id++};
    act(action_for(model));
}

void Stepper::stop_work(const Model& model) {
    if (model.s.work.kind == WorkKind::judge || model.s.work.kind == WorkKind::watch) act(StopProbing{model.name});
    model.s.work = Work{};
}

/// The action that the model's phase and work stand for; the same after a restart.
Action Stepper::action_for(const Model& model) const {
    const ModelState& s = model.s;
    const std::uint64_t id = s.work.id;
    const bool back = s.phase == Phase::reverting || s.phase == Phase::verifying;
    switch (s.work.kind) {
        case WorkKind::verify:
            if (back) return Verify{model.name, id, s.revert->target, VerifyDepth::stamps};
            if (s.phase == Phase::switching) return Verify{model.name, id, s.trial->version, VerifyDepth::stamps};
            return Verify{model.name, id, lkg(s)->version, VerifyDepth::full};
        case WorkKind::judge: {
            Judge judge{
                .model = model.name, .work_id = id, .version = s.current, .manifest_rev = manifest_of_current(s).rev};
            if (back) {
                judge.subject = Subject::lkg;
                judge.purpose = JudgePurpose::way_back;
                judge.version = s.revert->target;
                judge.manifest_rev = s.revert->manifest.rev;
            } else if (s.trial) {
                judge.trial_id = s.trial->id;
                judge.manifest_rev = s.trial->manifest.rev;
                judge.version = s.trial->version;
                judge.subject = s.trial->kind == TrialKind::manifest ? Subject::current : Subject::candidate;
                judge.use_baseline = s.trial->has_baseline;
                if (s.phase == Phase::baselining) {
                    judge.subject = Subject::lkg;
                    judge.purpose = JudgePurpose::baseline;
                    judge.version = s.current;
                } else if (s.phase == Phase::preflight) {
                    judge.where = Where::preflight;
                    judge.purpose = JudgePurpose::preflight;
                }
            } else {
                judge.purpose = s.phase == Phase::steady ? JudgePurpose::recheck : JudgePurpose::ladder;
            }
            return judge;
        }
        case WorkKind::start_preflight: return StartPreflight{model.name, id, s.trial->version, s.trial->manifest.rev};
        case WorkKind::switch_version:
            if (back) {
                const std::string& rev = s.revert->target.empty() ? s.manifest.rev : s.revert->manifest.rev;
                return Switch{model.name, id, s.current, s.revert->target, rev, true};
            }
            return Switch{model.name, id, s.current, s.trial->version, s.trial->manifest.rev, false};
        case WorkKind::restart_service:
            return RestartService{model.name, id, back ? s.revert->manifest.rev : manifest_of_current(s).rev};
        case WorkKind::none:
        case WorkKind::watch: break;
    }
    if (s.trial && s.phase == Phase::soaking)
        return Watch{model.name, id, Subject::candidate, s.trial->version, s.trial->manifest.rev};
    return Watch{model.name, id, Subject::current, s.current, manifest_of_current(s).rev};
}

Usec Stepper::duration_of(const Model& model, Timer timer) const {
    switch (timer) {
        case Timer::deadline: return model.s.trial ? model.s.trial->manifest.deadline : model.s.manifest.deadline;
        case Timer::soak: return model.s.trial ? model.s.trial->manifest.soak : model.s.manifest.soak;
        case Timer::retry: return policy_.retry_delay;
        case Timer::calm: return policy_.calm;
        case Timer::os_window: return policy_.os_window;
        case Timer::os_retry: return policy_.retry_delay;
    }
    return policy_.retry_delay;
}

void Stepper::start_timer(const Model& model, Timer timer, Usec duration) {
    if (std::ranges::find(model.s.timers, timer) == model.s.timers.end()) model.s.timers.push_back(timer);
    act(StartTimer{model.name, timer, duration});
}

void Stepper::stop_timer(const Model& model, Timer timer) {
    if (std::erase(model.s.timers, timer) > 0) act(StopTimer{model.name, timer});
}

void Stepper::stop_timers(const Model& model) {
    for (const Timer timer : std::vector<Timer>(model.s.timers))
        stop_timer(model, timer);
}

bool Stepper::wait_and_retry(const Model& model) {
    if (model.s.used.waits >= policy_.waits) {
        model.s.used.waits = 0;
        return false;
    }
    model.s.used.waits += 1;
    stop_work(model);
    start_timer(model, Timer::retry, policy_.retry_delay);
    return true;
}

void Stepper::reject(const Model& model, const VersionId& version, std::string manifest_rev, std::string code) {
    ModelState& s = model.s;
    if (manifest_rev.empty()) std::erase_if(s.known_good, [&](const KnownGood& k) { return k.version == version; });
    if (!find_rejection(s, version, manifest_rev))
        s.rejected.push_back(Rejection{version, std::move(manifest_rev), std::move(code)});
    if (s.rejected.size() > policy_.rejections_kept) s.rejected.erase(s.rejected.begin());
}

void Stepper::drop_corrupt(const Model& model, const VersionId& version, const std::string& why) {
    std::erase_if(model.s.known_good, [&](const KnownGood& k) { return k.version == version; });
    Decision& told = tell(model, DecisionKind::corrupt, version);
    told.blame = Blame::environment;
    told.code = "corrupt";
    told.text = "this version is not intact on disk any more and is not used: " + why;
    refuse_corrupt_wish(model, version);
}

/// A version that waits its turn is not hashed once more when it comes.
void Stepper::refuse_corrupt_wish(const Model& model, const VersionId& version) {
    if (!model.s.wish || model.s.wish->version != version) return;
    refuse(model.name, model.s.wish->seq, version, "corrupt",
           "the version is not intact on disk any more: deploy it again");
    model.s.wish.reset();
}

/// Current is judged under the manifest it became known-good with, so that a new one cannot make it look broken.
const ManifestFacts& Stepper::manifest_of_current(const ModelState& model) const {
    const KnownGood* good = find_known_good(model, model.current);
    return good ? good->manifest : model.manifest;
}

bool Stepper::os_changed_since_pass(const ModelState& model, const VersionId& version) const {
    const KnownGood* good = find_known_good(model, version);
    if (!good || good->os.empty()) return false;
    const std::string booted = step_.state.os.booted_identity();
    return !booted.empty() && good->os.back() != booted;
}

/// Everything was tried and current fails: is it the OS? Only one that came after current had passed, and not one
/// that found it failing already: going back would help nobody.
bool Stepper::blames_os(const Model& model) {
    const auto good = std::ranges::find(model.s.known_good, model.s.current, &KnownGood::version);
    if (good == model.s.known_good.end()) return false;
    if (os_changed_since_pass(model.s, model.s.current)) return !good->fails_where_it_passed;
    good->fails_where_it_passed = true;
    return false;
}

/// Current passed here and now: once the boot is complete it is known-good on this OS deployment.
void Stepper::note_pass_here(const Model& model) {
    model.s.passed_here = true;
    const auto good = std::ranges::find(model.s.known_good, model.s.current, &KnownGood::version);
    if (good == model.s.known_good.end()) return;
    good->fails_where_it_passed = false;
    if (!os().boot_complete) return;
    const std::string booted = os().booted_identity();
    if (!good->os.empty() && good->os.back() == booted) return;
    std::erase(good->os, booted);
    good->os.push_back(booted);
    if (good->os.size() > policy_.os_identities_kept) good->os.erase(good->os.begin());
}

/// A wish that was not tried is answered.
void Stepper::drop_wish(const Model& model, std::string code) {
    const Wish wish = *std::exchange(model.s.wish, std::nullopt);
    Decision& told = tell(model, DecisionKind::superseded, wish.version);
    told.seq = wish.seq;
    told.code = std::move(code);
    told.text = "something newer came before this version was tried";
}

/// Everything of a trial or a way back is over; what serves is watched if anybody supervises it.
void Stepper::rest(const Model& model, Phase phase) {
    ModelState& s = model.s;
    stop_work(model);
    stop_timer(model, Timer::deadline);
    stop_timer(model, Timer::soak);
    stop_timer(model, Timer::retry);
    s.trial.reset();
    s.revert.reset();
    s.phase = phase;
    s.used.waits = 0;
    s.used.switches = 0;
    if (phase == Phase::steady) {
        // What passed last is the LKG, whichever was accepted last.
        const auto good = std::ranges::find(s.known_good, s.current, &KnownGood::version);
        if (good != s.known_good.end()) std::rotate(good, good + 1, s.known_good.end());
        s.code.clear();
        s.why.clear();
        s.used.reprobes = 0;
        if (s.used.restarts > 0) start_timer(model, Timer::calm, policy_.calm);
    }
    if (!s.current.empty() && s.managed) begin_work(model, WorkKind::watch);
}

void Stepper::settle(const Model& model, Phase phase, std::string code, std::string why) {
    rest(model, phase);
    model.s.code = std::move(code);
    model.s.why = std::move(why);
}

/// At rest: what arrived meanwhile has its turn, the manifest before the version.
void Stepper::after_rest(const Model& model) {
    ModelState& s = model.s;
    if (!s.managed || s.waits_for_os || os().pending || !is_at_rest(s.phase)) return;
    if (is_standing_back(s)) return;  // nothing has a fair trial on this OS, and another one is to boot
    if (s.next_manifest) {
        const ManifestFacts facts = *std::exchange(s.next_manifest, std::nullopt);
        offer_manifest(model, facts);
    }
    if (!is_at_rest(s.phase) || !s.wish) return;
    // What was learned since it was wanted counts: it may have been rejected, or become current on the way back.
    const Wish wish = *s.wish;
    if (!is_settled_without_trial(model, wish)) return begin_trial(model);
    s.wish.reset();
    if (s.phase == Phase::kept) s.phase = Phase::empty;
}

/// True: a wish for this version has its answer already, and was given it.
bool Stepper::is_settled_without_trial(const Model& model, const Wish& wish) {
    const ModelState& s = model.s;
    if (const Rejection* rejection = find_rejection(s, wish.version, s.manifest.rev)) {
        refuse(model.name, wish.seq, wish.version, "rejected",
               "this version was rejected (" + rejection->code + ") and is not tried again; unreject lifts it");
        return true;
    }
    if (!s.pinned.empty() && s.pinned != wish.version) {
        refuse(model.name, wish.seq, wish.version, "pinned", "the model is pinned to another version; unpin it first");
        return true;
    }
    if (!is_at_rest(s.phase) || s.current != wish.version || !find_known_good(s, s.current)) return false;
    if (s.phase != Phase::steady) {
        refuse(model.name, wish.seq, wish.version, "already_current",
               "this version serves already and does not pass now: " + s.why);
        return true;
    }
    Decision& told = tell(model, DecisionKind::accepted, wish.version);
    told.seq = wish.seq;
    told.code = "already_current";
    told.text = "this version is current and known-good already";
    return true;
}

// ---- start and boot ----------------------------------------------------------------------------------------------

void Stepper::on(const Started& event) {
    const bool new_boot = os().boot_id != event.boot_id;
    const std::string ran_before = os().booted_identity();
    os().view = event.os;
    os().boot_id = event.boot_id;
    os().boot_complete = event.boot_complete;
    if (new_boot) {
        os().confirmed = false;
        reject_os_that_was_left(ran_before);
    }
    for (auto& [name, s] : state().models) {
        const auto link = event.links.find(name);
        resume(Model{name, s}, new_boot, link == event.links.end() ? VersionId{} : link->second);
    }
    resume_os(new_boot);  // after the models: what becomes of an OS rollback may set them going
    tend_os();
}

void Stepper::resume(const Model& model, bool new_boot, const VersionId& link) {
    ModelState& s = model.s;
    if (new_boot) s.passed_here = false;
    if (s.manifest.preflight && s.phase != Phase::preflight)
        act(StopPreflight{model.name});  // it may outlive the daemon
    for (const Timer timer : s.timers)
        act(StartTimer{model.name, timer, duration_of(model, timer)});

    const bool on_the_way = s.phase == Phase::switching || s.phase == Phase::reverting;
    if (on_the_way && s.current != link) {  // the switch moved it before the daemon died
        s.current = link;
        s.passed_here = false;
    }
    if (s.phase == Phase::switching && s.trial->abort) return aborted_switch_ended(model);
    if (!on_the_way && link != s.current) {
        // Somebody else moved the link, or the ledger is older than the disk: the ledger decides.
        if (s.phase == Phase::trial || s.phase == Phase::soaking) {
            if (s.trial->kind == TrialKind::version) return begin_revert(model, Cause::undecided, "link_moved", {});
            end_manifest_trial(model, DecisionKind::manifest_undecided, {});
        } else if (s.phase == Phase::baselining || s.phase == Phase::preflight) {
            end_before_switch(model, DecisionKind::undecided, Blame::environment, "link_moved", {});
        }
        if (s.phase == Phase::verifying) {
            s.phase = Phase::reverting;
            return begin_work(model, WorkKind::verify);
        }
        if (!is_at_rest(s.phase) || s.current == link) return;
        stop_work(model);
        prepare_revert(model, Cause::restore, s.current, 0, "link_moved", {});
        return launch_revert(model);
    }
    if (new_boot && s.trial && s.trial->kind == TrialKind::version &&
        (s.phase == Phase::switching || s.phase == Phase::trial || s.phase == Phase::soaking)) {
        s.trial->boots += 1;
        if (s.trial->boots > policy_.boots_in_trial) {
            return begin_revert(model, Cause::candidate_failed, "boots", {});
        }
    }
    if (!is_at_rest(s.phase)) {
        Decision& told = tell(model, DecisionKind::resumed, s.trial ? s.trial->version : s.revert->target);
        told.code = std::string(to_word(s.phase));
        told.text =
            "picked up again in phase " + told.code + (new_boot ? " after a boot" : " after a restart of the daemon");
    }
    if (s.phase == Phase::steady && s.managed && os_changed_since_pass(s, s.current)) {
        stop_timer(model, Timer::retry);
        return begin_work(model, WorkKind::judge);
    }
    if (new_boot && is_standing_back(s) && s.managed) {  // another boot, another try, whatever became of the OS
        s.code = "failing";
        s.used.reprobes = 0;
        s.used.restarts = 0;
        return begin_work(model, WorkKind::judge);
    }
    if (s.phase == Phase::preflight) {  // the candidate may have died with us
        stop_timer(model, Timer::retry);
        return begin_work(model, WorkKind::start_preflight);
    }
    // What is accepted must have passed on this boot, for another OS may have booted; and the boot may have completed
    // while the daemon was away.
    if ((new_boot || os().boot_complete) && s.phase == Phase::soaking && s.trial->soaked &&
        s.work.kind == WorkKind::watch)
        return begin_work(model, WorkKind::judge);
    // A switch begins with the verification of its version again, whichever of its two steps the ledger knows of: the
    // runner may then leave the commit between them out.
    const bool to_a_version = s.phase == Phase::switching || (s.phase == Phase::reverting && !s.revert->target.empty());
    if (to_a_version && s.work.kind == WorkKind::switch_version) return begin_work(model, WorkKind::verify);
    if (s.work.kind != WorkKind::none) begin_work(model, s.work.kind);
    // What serves is judged first, on an OS that may be to blame; what waits has its turn then.
    const bool on_a_rung = s.work.kind == WorkKind::judge || s.work.kind == WorkKind::restart_service;
    if (s.phase != Phase::degraded || !on_a_rung) after_rest(model);
}

void Stepper::on(const BootCompleted&) {
    if (os().boot_complete) return;
    os().boot_complete = true;
    for (auto& [name, s] : state().models) {
        const Model model{name, s};
        if (s.phase == Phase::soaking && s.trial->soaked && s.work.kind == WorkKind::watch)
            accept(model);
        else if (s.passed_here)
            note_pass_here(model);
    }
    tend_os();
}

// ---- answers -----------------------------------------------------------------------------------------------------

void Stepper::on(const VersionVerified& event) {
    const auto found = awaiting(event, WorkKind::verify);
    if (!found) return;
    const Model model = *found;
    if (model.s.phase == Phase::baselining) {
        if (event.intact) return begin_work(model, WorkKind::judge);
        drop_corrupt(model, event.version, event.why);
        return current_is_corrupt(model);
    }
    if (model.s.phase == Phase::switching) return candidate_verified(model, event);
    if (event.intact) return begin_work(model, WorkKind::switch_version);
    drop_corrupt(model, event.version, event.why);
    if (!next_target(model))
        hold(model, Blame::environment, "nothing_intact", "no intact known-good version is left to go back to", {});
}

void Stepper::on(const PreflightStarted& event) {
    const auto found = awaiting(event, WorkKind::start_preflight);
    if (!found) return;
    if (event.ok) return begin_work(*found, WorkKind::judge);
    end_before_switch(*found, DecisionKind::undecided, Blame::infrastructure, "preflight_not_started", {});
}

void Stepper::on(const SwitchDone& event) {
    const auto model = awaiting(event, WorkKind::switch_version);
    if (!model) return;
    if (model->s.phase == Phase::switching)
        switched_forward(*model, event);
    else
        switched_back(*model, event);
}

void Stepper::on(const ServiceRestarted& event) {
    if (const auto model = awaiting(event, WorkKind::restart_service)) begin_work(*model, WorkKind::judge);
}

void Stepper::on(const Verdict& event) {
    const auto found = find(event.model);
    if (!found || found->s.work.id != event.work_id) return;
    const Model model = *found;
    const bool of_manifest = model.s.trial && model.s.trial->kind == TrialKind::manifest;
    if (model.s.work.kind != WorkKind::watch && model.s.work.kind != WorkKind::judge) return;
    if (event.verdict == VerdictKind::fail && event.where == Where::in_place && !of_manifest)
        model.s.passed_here = false;
    if (model.s.work.kind == WorkKind::watch) return watched(model, event);
    if (event.verdict != VerdictKind::inconclusive) model.s.used.waits = 0;
    switch (model.s.phase) {
        case Phase::baselining: return baseline_verdict(model, event);
        case Phase::preflight: return preflight_verdict(model, event);
        case Phase::trial: return trial_verdict(model, event);
        case Phase::soaking: return soaking_verdict(model, event);
        case Phase::verifying: return way_back_verdict(model, event);
        case Phase::steady:
        case Phase::degraded: return ladder_verdict(model, event);
        case Phase::empty:
        case Phase::kept:
        case Phase::switching:
        case Phase::reverting:
        case Phase::held: return;  // no judging is begun in these
    }
}

void Stepper::on(const TimerExpired& event) {
    if (event.model.empty()) return os_timer_expired(event.timer);
    const auto found = find(event.model);
    if (!found || std::erase(found->s.timers, event.timer) == 0) return;
    const Model model = *found;
    act(StopTimer{model.name, event.timer});
    switch (event.timer) {
        case Timer::deadline:
            if (model.s.phase == Phase::trial) trial_undecided(model, {}, "deadline");
            return;
        case Timer::soak:
            if (model.s.phase == Phase::soaking) soak_over(model);
            return;
        case Timer::retry: return retry_expired(model);
        case Timer::calm:
            if (model.s.phase == Phase::steady) model.s.used = Used{};
            return;
        case Timer::os_window:
        case Timer::os_retry: return;  // of the device
    }
}

void Stepper::retry_expired(const Model& model) {
    if (model.s.work.kind != WorkKind::none) return;
    switch (model.s.phase) {
        case Phase::switching: return begin_work(model, WorkKind::verify);  // it may be damaged since the last try
        case Phase::reverting:
            return begin_work(model, model.s.revert->target.empty() ? WorkKind::switch_version : WorkKind::verify);
        case Phase::baselining:
        case Phase::preflight:
        case Phase::trial:
        case Phase::soaking:
        case Phase::verifying:
        case Phase::steady:
        case Phase::degraded: return begin_work(model, WorkKind::judge);
        case Phase::empty:
        case Phase::kept:
        case Phase::held: return;  // nothing is retried at rest
    }
}

}  // namespace modelguard::core
