// The OS: a targeted rollback within its budget, rejected deployments dropped, the default confirmed after a fallback.

#include <algorithm>

#include "supervisor/core/stepper.hpp"

namespace modelguard::core {

const Deployment* os_rollback_target(const State& state, const Policy& policy, std::string& why_not) {
    const OsState& os = state.os;
    if (os.pending) {
        why_not = "one is under way";
        return nullptr;
    }
    if (os.rollbacks_in_window >= policy.os_rollbacks_per_window) {
        why_not = "the budget of " + std::to_string(policy.os_rollbacks_per_window) + " in " +
                  format_duration(policy.os_window) + " is used up";
        return nullptr;
    }
    if (std::ranges::find(os.rolled_back_from, os.view.booted) != os.rolled_back_from.end()) {
        why_not = "this deployment was rolled back from once already";
        return nullptr;
    }
    const std::string booted = os.booted_identity();
    const Deployment* best = nullptr;
    for (const Deployment& deployment : os.view.deployments) {
        if (!deployment.bootable || deployment.identity == booted || deployment.id == os.view.staged) continue;
        if (std::ranges::find(os.rejected, deployment.identity) != os.rejected.end()) continue;
        const bool all_good = std::ranges::all_of(state.models, [&](const auto& entry) {
            const ModelState& model = entry.second;
            if (!model.manifest.required || !model.managed) return true;
            return std::ranges::any_of(model.known_good, [&](const KnownGood& good) {
                return std::ranges::find(good.os, deployment.identity) != good.os.end();
            });
        });
        if (all_good && (!best || deployment.newness > best->newness)) best = &deployment;
    }
    if (!best) why_not = "no other bootable, not rejected deployment has a known-good version of every required model";
    return best;
}

Decision& Stepper::tell_os(DecisionKind kind, std::string code, std::string text) {
    Decision& decision = step_.decisions.emplace_back();
    decision.kind = kind;
    decision.blame = Blame::os;
    decision.code = std::move(code);
    decision.text = std::move(text);
    return decision;
}

void Stepper::start_os_timer(Timer timer, Usec duration) {
    if (std::ranges::find(os().timers, timer) == os().timers.end()) os().timers.push_back(timer);
    act(StartTimer{{}, timer, duration});
}

void Stepper::stop_os_timer(Timer timer) {
    if (std::erase(os().timers, timer) > 0) act(StopTimer{{}, timer});
}

void Stepper::reject_os(const std::string& identity) {
    if (std::ranges::find(os().rejected, identity) == os().rejected.end()) os().rejected.push_back(identity);
}

/// The blame is on the OS. True: an OS rollback is under way and the model waits for it, or somebody else watches this
/// boot: the gate fails then, and to go back is left to them, for two owners would undo each other's rollback.
bool Stepper::request_os_rollback(const Model& model, const std::vector<CheckReport>& reports, std::string& why_not) {
    const bool stands_back = !os().pending && !os().view.boot_trial.empty();
    if (!os().pending && !stands_back) {
        const Deployment* target = os_rollback_target(state(), policy_, why_not);
        if (!target) return false;
        begin_os_rollback(*target, model.name, 0);
    }
    ModelState& s = model.s;
    const std::string why = "the OS changed and the known-good version fails on it: " +
                            (stands_back ? os().view.boot_trial + " watches this boot and is left to roll the OS back"
                                         : std::string("an OS rollback is under way"));
    Decision& told = tell(model, DecisionKind::degraded, s.current);
    told.blame = Blame::os;
    told.code = "os";
    told.text = why;
    told.reports = reports;
    if (s.revert) {
        const bool asked = s.revert->cause == Cause::manual || s.revert->cause == Cause::pin;
        told.seq = asked ? s.revert->seq : 0;
        tell_joined(model, DecisionKind::degraded);
    }
    s.waits_for_os = !stands_back;
    settle(model, Phase::degraded, "os", why);
    if (!stands_back) stop_work(model);
    return true;
}

/// A model blamed the OS `left`, and another one booted since: whoever watched that boot has rolled it back.
void Stepper::reject_os_that_was_left(const std::string& left) {
    if (left.empty() || left == os().booted_identity()) return;
    if (std::ranges::none_of(state().models, [](const auto& entry) { return is_standing_back(entry.second); })) return;
    reject_os(left);
    tell_os(DecisionKind::os_rolled_back, "left", "the OS that was to blame was left: " + os().view.booted + " booted");
}

void Stepper::begin_os_rollback(const Deployment& target, const std::string& asked_by, std::uint64_t seq) {
    OsState& o = os();
    o.pending = OsPending{.target = target.id,
                          .target_identity = target.identity,
                          .from_identity = o.booted_identity(),
                          .asked_by = asked_by,
                          .seq = seq};
    reject_os(o.pending->from_identity);
    o.rolled_back_from.push_back(o.view.booted);
    constexpr std::size_t kStagingsRemembered = 8;  // more deployments than a host can hold
    if (o.rolled_back_from.size() > kStagingsRemembered) o.rolled_back_from.erase(o.rolled_back_from.begin());
    o.rollbacks_in_window += 1;
    start_os_timer(Timer::os_window, policy_.os_window);
    Decision& told =
        tell_os(DecisionKind::os_rollback_ordered, target.id, "from " + o.view.booted + " to " + target.id);
    told.model = asked_by;
    issue_os_step();
}

void Stepper::issue_os_verb(OsVerb verb, const std::string& target) {
    os().verb = verb;
    os().work_id = state().next_id++;
    const std::uint64_t id = os().work_id;
    switch (verb) {
        case OsVerb::drop_staged: return act(DropStaged{id, target});
        case OsVerb::order_os: return act(OrderOs{id, target});
        case OsVerb::confirm_os_default: return act(ConfirmOsDefault{id, target});
        case OsVerb::reboot: return act(Reboot{id, target});
    }
}

/// A staged deployment would be finalised at the reboot and win over the order: it goes first, by an action of its own,
/// whenever the updater has staged it.
void Stepper::issue_os_step() {
    OsStep& step = os().pending->step;
    if (!os().view.staged.empty()) step = OsStep::dropping;
    if (os().view.staged.empty() && step == OsStep::dropping) step = OsStep::ordering;  // somebody else dropped it
    switch (os().pending->step) {
        case OsStep::dropping: return issue_os_verb(OsVerb::drop_staged, os().view.staged);
        case OsStep::ordering: return issue_os_verb(OsVerb::order_os, os().pending->target);
        case OsStep::rebooting: return issue_os_verb(OsVerb::reboot, os().pending->target);
    }
}

void Stepper::give_up_os_rollback(const std::string& why) {
    const OsPending pending = *std::exchange(os().pending, std::nullopt);
    os().verb.reset();
    stop_os_timer(Timer::os_retry);
    Decision& told = tell_os(DecisionKind::os_rollback_failed, pending.target, why);
    told.seq = pending.seq;
    told.model = pending.asked_by;
    for (auto& [name, s] : state().models) {
        if (!s.waits_for_os) continue;
        s.waits_for_os = false;
        if (is_at_rest(s.phase))
            hold(Model{name, s}, Blame::os, "os_rollback_failed", "the OS rollback failed: " + why, {});
    }
    for (auto& [name, s] : state().models)
        after_rest(Model{name, s});  // nothing was begun while an OS rollback was under way
    tend_os();
}

void Stepper::resume_os(bool new_boot) {
    for (const Timer timer : os().timers)
        act(StartTimer{{}, timer, timer == Timer::os_window ? policy_.os_window : policy_.retry_delay});
    os().verb.reset();
    if (!os().pending) return;
    const bool waits = std::ranges::find(os().timers, Timer::os_retry) != os().timers.end();
    if (!new_boot && waits) return;
    if (!new_boot) return issue_os_step();
    stop_os_timer(Timer::os_retry);
    OsPending& pending = *os().pending;
    const std::string booted = os().booted_identity();
    if (booted == pending.from_identity) {  // the power went before the order was on disk
        if (os().view.find(pending.target) == nullptr)
            return give_up_os_rollback("the deployment to go back to is gone: another one took its place");
        pending.attempts += 1;
        if (pending.attempts >= policy_.os_attempts)
            return give_up_os_rollback("the device keeps booting the old deployment");
        pending.step = OsStep::ordering;
        return issue_os_step();
    }
    if (booted != pending.target_identity)
        return give_up_os_rollback("another deployment booted than the one asked for");
    Decision& told = tell_os(DecisionKind::os_rolled_back, pending.target, "booted the deployment asked for");
    told.seq = pending.seq;
    told.model = pending.asked_by;
    os().pending.reset();
    for (auto& [name, s] : state().models) {
        const Model model{name, s};
        if (std::exchange(s.waits_for_os, false) && is_at_rest(s.phase)) {
            s.code = "failing";  // nobody is to blame yet on this OS
            s.used.reprobes = 0;
            s.used.restarts = 0;
            begin_work(model, WorkKind::judge);  // does it work on the old OS?
        }
        after_rest(model);  // nothing was begun while the OS rollback was under way
    }
}

void Stepper::on(const OsActionDone& event) {
    OsState& o = os();
    if (o.verb != event.verb || o.work_id != event.work_id) return;
    o.verb.reset();
    if (!o.pending) {  // tending, not a rollback
        if (event.verb == OsVerb::drop_staged) {
            if (event.ok) o.view.staged.clear();
            tell_os(DecisionKind::staged_dropped, event.ok ? "dropped" : "failed",
                    event.ok ? "a rejected deployment was staged again and is dropped" : event.why);
        } else if (event.verb == OsVerb::confirm_os_default) {
            o.confirmed = true;
            if (event.ok) o.view.default_ = o.view.booted;
            tell_os(DecisionKind::os_default_confirmed, event.ok ? "ordered" : "failed",
                    event.ok ? "the booted deployment is the default again" : event.why);
        }
        if (event.ok) tend_os();
        return;
    }
    OsPending& pending = *o.pending;
    if (!event.ok) {
        // A refused reboot waits for its window, prepared; anything else has its attempts.
        if (pending.step != OsStep::rebooting && ++pending.attempts >= policy_.os_attempts)
            return give_up_os_rollback(event.why);
        return start_os_timer(Timer::os_retry, policy_.retry_delay);
    }
    switch (pending.step) {
        case OsStep::dropping:
            o.view.staged.clear();
            tell_os(DecisionKind::staged_dropped, "dropped",
                    "a staged deployment would undo the OS rollback and is dropped");
            pending.step = OsStep::ordering;
            return issue_os_step();
        case OsStep::ordering:
            o.view.default_ = pending.target;
            pending.step = OsStep::rebooting;
            return issue_os_step();
        case OsStep::rebooting:
            return start_os_timer(Timer::os_retry, policy_.retry_delay);  // asked again if we live on
    }
}

void Stepper::on(const OsObserved& event) {
    os().view = event.os;
    tend_os();
}

/// Between rollbacks: drop a rejected deployment that was staged again; confirm the default after a fallback.
void Stepper::tend_os() {
    OsState& o = os();
    if (o.pending || o.verb) return;
    const auto is_rejected = [&](const std::string& id) {
        const Deployment* deployment = o.view.find(id);
        return deployment && std::ranges::find(o.rejected, deployment->identity) != o.rejected.end();
    };
    if (policy_.drop_rejected_staged && !o.view.staged.empty() && is_rejected(o.view.staged))
        return issue_os_verb(OsVerb::drop_staged, o.view.staged);
    if (o.boot_complete && !o.confirmed && o.view.default_ != o.view.booted &&
        (o.view.fell_back || is_rejected(o.view.default_)))
        issue_os_verb(OsVerb::confirm_os_default, o.view.booted);
}

void Stepper::on(const OsRollbackRequested& event) {
    std::string why_not;
    const Deployment* target = os_rollback_target(state(), policy_, why_not);
    if (!target) return refuse({}, event.seq, {}, "no_os_rollback", why_not);
    begin_os_rollback(*target, {}, event.seq);
}

void Stepper::os_timer_expired(Timer timer) {
    if (std::erase(os().timers, timer) == 0) return;
    act(StopTimer{{}, timer});
    if (timer == Timer::os_window) {
        os().rollbacks_in_window = 0;
    } else if (timer == Timer::os_retry && os().pending && !os().verb) {
        issue_os_step();
    }
}

}  // namespace modelguard::core
