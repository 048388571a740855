#include "tests/model/invariants.hpp"

#include <algorithm>
#include <set>

#include "tests/model/canonical.hpp"
#include "tests/model/print.hpp"

namespace modelguard::model {

using namespace core;

namespace {

const ModelState* model_in(const State& state, const std::string& name) {
    const auto found = state.models.find(name);
    return found == state.models.end() ? nullptr : &found->second;
}

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
    return std::ranges::find(all, one) != all.end();
}

bool has_digest_rejection(const ModelState& model, const VersionId& version) {
    return std::ranges::any_of(model.rejected,
                               [&](const Rejection& r) { return r.version == version && r.manifest_rev.empty(); });
}

bool is_restart(const Edge& edge) { return std::holds_alternative<Started>(edge.move.event); }

/// The answer that `model` waited for on this edge, whatever its kind.
bool answers_work(const Edge& edge, const std::string& name) {
    const ModelState* model = model_in(edge.before.state, name);
    if (!model || model->work.kind == WorkKind::none) return false;
    return std::visit(
        [&](const auto& e) {
            if constexpr (requires {
                              e.model;
                              e.work_id;
                          })
                return e.model == name && e.work_id == model->work.id;
            return false;
        },
        edge.move.event);
}

const core::Verdict* judged(const Edge& edge, VerdictKind kind) {
    const auto* verdict = std::get_if<core::Verdict>(&edge.move.event);
    return verdict && verdict->verdict == kind && answers_work(edge, verdict->model) ? verdict : nullptr;
}

template <class Fn>
std::string for_each_switch(const Edge& edge, Fn broken) {
    for (const Action& action : edge.step.actions)
        if (const auto* a = std::get_if<Switch>(&action)) {
            const ModelState* model = model_in(edge.after.state, a->model);
            if (!model) return "a switch of a model that is gone";
            if (std::string why = broken(*a, *model); !why.empty()) return why;
        }
    return {};
}

template <class Fn>
std::string for_each_model(const Edge& edge, Fn broken) {
    for (const auto& [name, model] : edge.after.state.models)
        if (std::string why = broken(name, model, model_in(edge.before.state, name)); !why.empty())
            return name + ": " + why;
    return {};
}

template <class Fn>
std::string for_each_new_rejection(const Edge& edge, Fn broken) {
    return for_each_model(
        edge, [&](const std::string& name, const ModelState& after, const ModelState* before) -> std::string {
            for (const Rejection& rejection : after.rejected)
                if (!before || !contains(before->rejected, rejection))
                    if (std::string why = broken(name, rejection); !why.empty()) return why;
            return {};
        });
}

bool begins_os_rollback(const Edge& edge) {
    const auto& before = edge.before.state.os.pending;
    const auto& after = edge.after.state.os.pending;
    return after && (!before || before->target != after->target ||
                     edge.before.state.os.rollbacks_in_window < edge.after.state.os.rollbacks_in_window);
}

/// Probing that runs in the end, as the runner sees the actions.
bool is_probe(const Action& action) {
    return std::holds_alternative<Judge>(action) || std::holds_alternative<Watch>(action);
}

}  // namespace

// ---- versions ------------------------------------------------------------------------------------------------------

std::string switch_to_corrupt(const Edge& edge) {
    return for_each_switch(edge, [&](const Switch& a, const ModelState&) -> std::string {
        const bool corrupt = edge.after.world.models.at(a.model).known_corrupt & bit_of(edge.bounds, a.to);
        return corrupt ? a.to.text + " is known to be corrupt" : "";
    });
}

std::string switch_unverified(const Edge& edge) {
    return for_each_switch(edge, [&](const Switch& a, const ModelState&) -> std::string {
        if (a.to.empty()) return {};
        const auto* found = std::get_if<VersionVerified>(&edge.move.event);
        const bool just_now = found && found->model == a.model && found->intact && found->version == a.to;
        return just_now ? "" : a.to.text + " was not looked at just before";
    });
}

std::string link_differs(const Edge& edge) {
    return for_each_model(edge,
                          [&](const std::string& name, const ModelState& after, const ModelState*) -> std::string {
                              const bool moving = after.phase == Phase::switching || after.phase == Phase::reverting;
                              const VersionId& link = edge.after.world.models.at(name).link;
                              if (moving || after.current == link) return {};
                              return "core says " + after.current.text + ", the link says " + link.text;
                          });
}

std::string switch_abandoned(const Edge& edge) {
    if (is_restart(edge)) return {};
    for (const auto& [name, outside] : edge.before.world.models) {
        if (!outside.in_flight || !std::holds_alternative<Switch>(*outside.in_flight) || answers_work(edge, name))
            continue;
        const auto& after = edge.after.world.models.at(name).in_flight;
        if (!after || work_id(*after) != work_id(*outside.in_flight))
            return name + ": nobody waits for the switch any more";
    }
    return {};
}

std::string switch_to_rejected(const Edge& edge) {
    return for_each_switch(edge, [&](const Switch& a, const ModelState& model) -> std::string {
        return find_rejection(model, a.to, a.manifest_rev) ? a.to.text + " is rejected" : "";
    });
}

std::string rejected_on_trial(const Edge& edge) {
    return for_each_model(edge, [&](const std::string&, const ModelState& after, const ModelState*) -> std::string {
        if (!after.trial || after.trial->abort) return {};
        return find_rejection(after, after.trial->version, after.trial->manifest.rev)
                   ? after.trial->version.text + " is rejected and on trial"
                   : "";
    });
}

std::string rejected_without_cause(const Edge& edge) {
    return for_each_new_rejection(edge, [&](const std::string& name, const Rejection& rejection) -> std::string {
        const VersionMask spoken = edge.after.world.models.at(name).ever_failed;
        return spoken & bit_of(edge.bounds, rejection.version)
                   ? ""
                   : rejection.version.text + " never failed and is rejected";
    });
}

std::string known_good_lost(const Edge& edge) {
    return for_each_model(
        edge, [&](const std::string& name, const ModelState& after, const ModelState* before) -> std::string {
            if (!before || before->known_good.size() >= edge.bounds.policy.known_good_kept) return {};
            for (const KnownGood& good : before->known_good) {
                const bool corrupt = edge.after.world.models.at(name).known_corrupt & bit_of(edge.bounds, good.version);
                if (!find_known_good(after, good.version) && !corrupt && !has_digest_rejection(after, good.version))
                    return good.version.text + " is no longer known-good, and neither rejected nor corrupt";
            }
            return {};
        });
}

std::string listed_twice(const Edge& edge) {
    return for_each_model(edge, [&](const std::string&, const ModelState& after, const ModelState*) -> std::string {
        for (const KnownGood& good : after.known_good)
            if (std::ranges::count(after.known_good, good.version, &KnownGood::version) > 1)
                return good.version.text + " is known-good twice, and so takes the place of an older one";
        return {};
    });
}

std::string damage_unheeded(const Edge& edge) {
    const auto* e = std::get_if<VersionDamaged>(&edge.move.event);
    if (!e) return {};
    const ModelState& before = edge.before.state.models.at(e->model);
    const ModelState& after = edge.after.state.models.at(e->model);
    const bool told = std::ranges::any_of(edge.step.decisions, [&](const Decision& d) {
        return d.kind == DecisionKind::corrupt && d.version == e->version;
    });
    const bool stays = find_known_good(after, e->version) != nullptr;
    if (told == stays) return told ? "told, and known-good as before" : "no longer known-good, and nobody is told";
    const bool serves = before.current == e->version;
    const bool free = is_at_rest(before.phase) && before.managed && !edge.before.state.os.pending;
    if (told) {
        const bool goes_back = before.pinned.empty() && !after.known_good.empty();
        if (serves && free && after.phase != (goes_back ? Phase::reverting : Phase::held)) return "it serves on";
        return {};
    }
    const bool is_target = before.revert && before.revert->target == e->version;
    const bool goes_anyway = before.trial && before.trial->abort && before.trial->version == e->version;
    if (serves && free) return "it serves, and nothing is under way";
    const bool is_left = before.phase == Phase::reverting && !is_target;
    return (serves && !is_left) || is_target || goes_anyway ? "" : "nothing relies on it, and it stays known-good";
}

std::string known_good_link_differs(const Edge& edge) {
    return for_each_model(
        edge, [&](const std::string& name, const ModelState& after, const ModelState*) -> std::string {
            const VersionId wanted = lkg(after) ? lkg(after)->version : VersionId{};
            const VersionId& link = edge.after.world.models.at(name).known_good_link;
            return wanted == link ? "" : "the LKG is '" + wanted.text + "', its link says '" + link.text + "'";
        });
}

std::string known_good_too_early(const Edge& edge) {
    return for_each_model(
        edge, [&](const std::string& name, const ModelState& after, const ModelState* before) -> std::string {
            const std::string booted = booted_identity(edge.after.world.os);
            for (const KnownGood& good : after.known_good) {
                const KnownGood* old = before ? find_known_good(*before, good.version) : nullptr;
                for (const std::string& os : good.os) {
                    if (old && contains(old->os, os)) continue;
                    if (!edge.after.world.boot_complete) return good.version.text + " before the boot is complete";
                    const bool passed = edge.after.world.models.at(name).passed_now & bit_of(edge.bounds, good.version);
                    const bool waived =
                        before && before->trial && before->trial->manifest.on_inconclusive == OnInconclusive::accept;
                    if (os != booted || (!waived && !passed))
                        return good.version.text + " on " + os + ", where it did not pass";
                }
            }
            return {};
        });
}

std::string switch_without_baseline(const Edge& edge) {
    return for_each_switch(edge, [&](const Switch& a, const ModelState& model) -> std::string {
        if (a.way_back || !model.trial || model.trial->from != Phase::steady || model.trial->has_baseline) return {};
        const bool corrupt = edge.after.world.models.at(a.model).known_corrupt & bit_of(edge.bounds, a.from);
        return corrupt || a.from == a.to ? "" : "there is a version that works, and it was not measured first";
    });
}

std::string pinned_moved(const Edge& edge) {
    return for_each_switch(edge, [&](const Switch& a, const ModelState& model) -> std::string {
        return model.pinned.empty() || a.to == model.pinned
                   ? ""
                   : "pinned to " + model.pinned.text + ", moved to " + a.to.text;
    });
}

// ---- the OS --------------------------------------------------------------------------------------------------------

std::string os_order_out_of_bounds(const Edge& edge) {
    const OsState& os = edge.after.state.os;
    if (begins_os_rollback(edge) &&
        edge.before.state.os.rollbacks_in_window >= edge.bounds.policy.os_rollbacks_per_window)
        return "beyond the budget";
    if (begins_os_rollback(edge) && edge.before.state.os.pending && !is_restart(edge))
        return "a second OS rollback while one is under way";
    for (const Action& action : edge.step.actions) {
        if (const auto* a = std::get_if<ConfirmOsDefault>(&action);
            a && (a->target != os.view.booted || os.pending || !os.boot_complete))
            return "confirms " + a->target + " as default";
        const std::string* target = nullptr;
        if (const auto* a = std::get_if<OrderOs>(&action)) target = &a->target;
        if (const auto* a = std::get_if<Reboot>(&action)) target = &a->target;
        if (!target) continue;
        if (!os.pending || os.pending->target != *target) return "ordered without a pending rollback to it";
        const Deployment* deployment = os.view.find(*target);
        if (!deployment || !deployment->bootable) return *target + " cannot be booted";
        if (contains(os.rejected, deployment->identity)) return *target + " is rejected";
        if (deployment->identity == os.booted_identity()) return *target + " is what runs";
    }
    return {};
}

std::string os_rollback_without_blame(const Edge& edge) {
    const auto& pending = edge.after.state.os.pending;
    if (!begins_os_rollback(edge) || pending->asked_by.empty()) return {};
    const ModelState* model = model_in(edge.after.state, pending->asked_by);
    const Outside& outside = edge.after.world.models.at(pending->asked_by);
    if (!model || !find_known_good(*model, model->current)) return "what serves is not known-good";
    if (!(outside.failed_here & bit_of(edge.bounds, model->current))) return "what serves has not failed on this boot";
    if (find_known_good(*model, model->current)->fails_where_it_passed) return "it failed before that OS came";
    const auto passed = outside.good.find(model->current.text);
    if (passed == outside.good.end() || passed->second == booted_identity(edge.after.world.os))
        return "what serves passed last on this very OS";
    return {};
}

std::string two_owners_of_a_boot(const Edge& edge) {
    const OsView& os = edge.after.world.os;
    if (os.boot_trial.empty() || !begins_os_rollback(edge)) return {};
    return edge.after.state.os.pending->asked_by.empty() ? ""
                                                         : os.boot_trial + " watches this boot, and core rolls back";
}

/// After a boot that somebody watched: the OS that a model blamed there is rejected, any other one is not.
std::string left_os_not_rejected(const Edge& edge) {
    if (edge.move.kind != MoveKind::reboot) return {};
    const std::string left = booted_identity(edge.before.world.os), booted = booted_identity(edge.after.world.os);
    const bool blamed =
        std::ranges::any_of(edge.before.state.models, [](const auto& entry) { return is_standing_back(entry.second); });
    const bool before = contains(edge.before.state.os.rejected, left),
               after = contains(edge.after.state.os.rejected, left);
    if (blamed && left != booted && !after) return left + " was blamed and left, and is not rejected";
    if (!blamed && after && !before) return left + " is rejected, and nobody blamed it";
    return {};
}

std::string reboot_elsewhere(const Edge& edge) {
    const OsView& os = edge.after.state.os.view;
    for (const Action& action : edge.step.actions)
        if (const auto* a = std::get_if<Reboot>(&action); a && (os.default_ != a->target || !os.staged.empty()))
            return "meant for " + a->target + ", and " + (os.staged.empty() ? os.default_ : os.staged) + " would boot";
    return {};
}

std::string drop_without_reason(const Edge& edge) {
    const OsState& os = edge.after.state.os;
    for (const Action& action : edge.step.actions) {
        const auto* a = std::get_if<DropStaged>(&action);
        if (!a) continue;
        const Deployment* deployment = os.view.find(a->deployment);
        if (a->deployment.empty() || a->deployment != os.view.staged) return "'" + a->deployment + "' is not staged";
        if (!os.pending && !(deployment && contains(os.rejected, deployment->identity)))
            return a->deployment + " is neither rejected nor in the way";
    }
    return {};
}

// ---- blame ---------------------------------------------------------------------------------------------------------

std::string blame_misplaced(const Edge& edge) {
    const auto* passed = judged(edge, VerdictKind::pass);
    const auto* failed = judged(edge, VerdictKind::fail);
    const auto* verdict = passed ? passed : failed;
    if (!verdict) return {};
    const ModelState& before = edge.before.state.models.at(verdict->model);
    const ModelState& after = edge.after.state.models.at(verdict->model);
    if (before.phase != Phase::verifying || before.revert->cause != Cause::candidate_failed) return {};
    const VersionId& candidate = before.revert->left.front();
    if (passed) {
        if (!has_digest_rejection(after, candidate))
            return "the candidate failed, the LKG passes, and it is not rejected";
        if (after.current != before.revert->target) return "the LKG passes and does not serve";
        return {};
    }
    if (after.revert) return {};  // the ladder is not at its end
    if (has_digest_rejection(after, candidate) && !has_digest_rejection(before, candidate))
        return "both fail, and the candidate is rejected";
    const KnownGood* good = find_known_good(before, before.current);
    const bool os_changed =
        good && good->os.back() != booted_identity(edge.before.world.os) && !good->fails_where_it_passed;
    if (!os_changed && begins_os_rollback(edge)) return "both fail on the same OS, and the OS is rolled back";
    if (!os_changed && is_at_rest(after.phase) && after.phase != Phase::degraded)
        return "both fail on the same OS: degraded is the answer";
    const Blame wanted = os_changed ? Blame::os : Blame::environment;
    const bool told = std::ranges::any_of(edge.step.decisions, [&](const Decision& d) {
        return d.kind == DecisionKind::undecided && d.version == candidate && d.blame == wanted;
    });
    return told ? "" : "both fail, and the blame told is another";
}

std::string ignorance_punished(const Edge& edge) {
    const auto* verdict = std::get_if<core::Verdict>(&edge.move.event);
    const bool fails = verdict && verdict->verdict == VerdictKind::fail;
    const bool passes = verdict && verdict->verdict == VerdictKind::pass;
    if (begins_os_rollback(edge) && !fails && !std::holds_alternative<OsRollbackRequested>(edge.move.event))
        return "an OS rollback begins, and nothing has just failed";
    return for_each_new_rejection(edge, [&](const std::string& name, const Rejection& rejection) -> std::string {
        const ModelState* before = model_in(edge.before.state, name);
        const bool back = before && before->phase == Phase::verifying;
        const bool nothing_to_serve = before && before->phase == Phase::reverting && before->revert->target.empty() &&
                                      std::holds_alternative<SwitchDone>(edge.move.event);
        if (fails || (passes && back) || nothing_to_serve || std::holds_alternative<RollbackRequested>(edge.move.event))
            return {};
        return rejection.version.text + " is rejected by " + describe(edge.move.event);
    });
}

// ---- nothing wedges ------------------------------------------------------------------------------------------------

std::string work_unaccounted(const Edge& edge) {
    std::set<std::uint64_t> ids;
    for (std::size_t i = 0; i < edge.step.actions.size(); ++i) {
        const Action& action = edge.step.actions[i];
        const std::uint64_t id = work_id(action);
        if (id == 0) continue;
        if (!ids.insert(id).second) return "two actions with one id";
        const std::string name = model_of(action);
        if (name.empty()) {
            if (!edge.after.state.os.verb || edge.after.state.os.work_id != id)
                return "nobody waits for " + describe(action);
            continue;
        }
        const ModelState* model = model_in(edge.after.state, name);
        if (model && model->work.id == id && model->work.kind == work_kind(action)) continue;
        const bool replaced = std::any_of(edge.step.actions.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                          edge.step.actions.end(), [&](const Action& later) {
                                              return model_of(later) == name &&
                                                     (is_probe(later) || std::holds_alternative<StopProbing>(later));
                                          });
        if (!is_probe(action) || !replaced) return "nobody waits for " + describe(action);
    }
    const bool restart = is_restart(edge);
    if (edge.after.state.os.verb && (restart || edge.after.state.os.work_id != edge.before.state.os.work_id) &&
        !ids.contains(edge.after.state.os.work_id))
        return "the device waits for what was not begun";
    return for_each_model(edge,
                          [&](const std::string&, const ModelState& after, const ModelState* before) -> std::string {
                              const bool same = before && before->work == after.work && !restart;
                              if (after.work.kind == WorkKind::none || same || ids.contains(after.work.id)) return {};
                              return "waits for " + std::string(to_word(after.work.kind)) + ", which was not begun";
                          });
}

std::string probing_left_running(const Edge& edge) {
    if (is_restart(edge)) return {};
    for (const auto& [name, before] : edge.before.state.models) {
        const bool probing =
            before.work.kind == WorkKind::watch || (before.work.kind == WorkKind::judge && !answers_work(edge, name));
        const ModelState* after = model_in(edge.after.state, name);
        if (!probing || (after && after->work == before.work)) continue;
        const bool stopped = std::ranges::any_of(edge.step.actions, [&](const Action& a) {
            return model_of(a) == name && (is_probe(a) || std::holds_alternative<StopProbing>(a));
        });
        if (!stopped) return name + ": probing goes on, and nobody waits for it";
    }
    return {};
}

std::string work_forgotten(const Edge& edge) {
    return for_each_model(
        edge, [&](const std::string& name, const ModelState& after, const ModelState* before) -> std::string {
            if (!before || before->work.kind == WorkKind::watch || !answers_work(edge, name)) return {};
            return after.work == before->work ? "the answer was given and is still waited for" : "";
        });
}

std::string timers_differ(const Edge& edge) {
    const auto run = [&](const std::string& name, std::set<Timer> timers) {
        if (is_restart(edge)) timers.clear();
        if (const auto* e = std::get_if<TimerExpired>(&edge.move.event); e && e->model == name) timers.erase(e->timer);
        for (const Action& action : edge.step.actions) {
            if (const auto* a = std::get_if<StartTimer>(&action); a && a->model == name) timers.insert(a->timer);
            if (const auto* a = std::get_if<StopTimer>(&action); a && a->model == name) timers.erase(a->timer);
        }
        return timers;
    };
    const auto as_set = [](const std::vector<Timer>& timers) { return std::set<Timer>(timers.begin(), timers.end()); };
    if (run("", as_set(edge.before.state.os.timers)) != as_set(edge.after.state.os.timers))
        return "those of the device";
    for (const std::string& name : edge.bounds.models) {
        const ModelState* before = model_in(edge.before.state, name);
        const ModelState* after = model_in(edge.after.state, name);
        const std::set<Timer> none;
        if (run(name, before ? as_set(before->timers) : none) != (after ? as_set(after->timers) : none))
            return "those of " + name;
    }
    return {};
}

std::string restart_changes(const Edge& edge) {
    if (edge.move.kind != MoveKind::crash) return {};
    const bool same_outside = edge.before.state.os.view == edge.move.world.os &&
                              edge.before.state.os.boot_complete == edge.move.world.boot_complete &&
                              std::ranges::all_of(edge.before.state.models, [&](const auto& entry) {
                                  const auto& [name, model] = entry;
                                  const bool rechecks = model.phase == Phase::steady && lkg(model) &&
                                                        find_known_good(model, model.current) &&
                                                        find_known_good(model, model.current)->os.back() !=
                                                            booted_identity(edge.move.world.os);
                                  return !rechecks;  // a restart looks again at an OS that is new to current
                              });
    if (!same_outside) return {};
    State before = edge.before.state;
    for (auto& [name, model] : before.models) {
        const bool moving = model.phase == Phase::switching || model.phase == Phase::reverting;
        const VersionId& link = edge.move.world.models.at(name).link;
        if (moving && model.current != link) {  // seen at the start instead of told by the switch
            model.current = link;
            model.passed_here = false;
        }
        const bool to_something =
            model.phase == Phase::switching || (model.phase == Phase::reverting && !model.revert->target.empty());
        if (to_something && model.work.kind == WorkKind::switch_version)
            model.work.kind = WorkKind::verify;                                // once more
        if (model.phase == Phase::switching && model.trial->abort) return {};  // not switched again to be taken back
        if (model.phase == Phase::preflight) return {};  // begun anew: the candidate may have died with the daemon
    }
    before.os.confirmed = edge.after.state.os.confirmed;  // a confirmation in flight is begun again
    // What could not be dropped or confirmed is tried again, as what stands now wants it.
    if (!before.os.pending) before.os.verb = edge.after.state.os.verb;
    if (before.os.pending && before.os.verb) {  // what was staged while a step was in flight is dropped first
        const bool is_staged = !before.os.view.staged.empty();
        OsStep& step = before.os.pending->step;
        if (is_staged != (step == OsStep::dropping) && (is_staged || step == OsStep::dropping)) {
            step = is_staged ? OsStep::dropping : OsStep::ordering;
            before.os.verb = is_staged ? OsVerb::drop_staged : OsVerb::order_os;
        }
    }
    return canonical(before) == canonical(edge.after.state) ? "" : "what core holds is another";
}

std::string preflight_left_running(const Edge& edge) {
    for (const auto& [name, outside] : edge.after.world.models) {
        const ModelState* model = model_in(edge.after.state, name);
        if (outside.preflight && !(model && model->phase == Phase::preflight))
            return name + ": the candidate still runs beside current";
    }
    return {};
}

std::string budget_exceeded(const Edge& edge) {
    const Policy& policy = edge.bounds.policy;
    const OsState& os = edge.after.state.os;
    if (os.rollbacks_in_window > policy.os_rollbacks_per_window) return "OS rollbacks";
    if (os.pending && os.pending->attempts > policy.os_attempts) return "attempts of an OS rollback";
    return for_each_model(edge, [&](const std::string&, const ModelState& after, const ModelState*) -> std::string {
        if (after.used.reprobes > policy.reprobes) return "reprobes";
        if (after.used.restarts > policy.restarts) return "restarts";
        if (after.used.waits > policy.waits) return "waits";
        if (after.used.switches > policy.switches + 1) return "switches";  // one more: 'said once'
        if (after.trial && after.trial->boots > policy.boots_in_trial) return "boots in a trial";
        return {};
    });
}

std::string phase_incoherent(const Edge& edge) {
    const OsState& os = edge.after.state.os;
    return for_each_model(edge, [&](const std::string&, const ModelState& m, const ModelState*) -> std::string {
        const bool forward = m.phase == Phase::baselining || m.phase == Phase::preflight ||
                             m.phase == Phase::switching || m.phase == Phase::trial || m.phase == Phase::soaking;
        const bool back = m.phase == Phase::reverting || m.phase == Phase::verifying;
        const bool rests = is_at_rest(m.phase);
        const bool goes_on = m.work.kind != WorkKind::none || contains(m.timers, Timer::retry);
        if (m.trial.has_value() != forward) return "a trial where there is none, or none where there is one";
        if (m.revert.has_value() != (back || (m.phase == Phase::switching && m.trial->abort)))
            return "a way back out of place";
        if ((m.phase == Phase::empty || m.phase == Phase::kept) && !m.current.empty())
            return "serves something and calls itself empty";
        if (m.phase == Phase::kept && !m.wish) return "kept, and nothing is wanted";
        if (m.phase == Phase::steady && (!lkg(m) || lkg(m)->version != m.current))
            return "steady on what is not the LKG";
        if ((m.phase == Phase::trial || m.phase == Phase::soaking) && m.current != m.trial->version)
            return "the candidate is not current";
        if (m.phase == Phase::verifying && m.current != m.revert->target) return "judges what is not current";
        if ((m.phase == Phase::degraded || m.phase == Phase::held) && (m.code.empty() || m.current.empty()))
            return "no reason, or nothing served";
        if (contains(m.timers, Timer::deadline) != (m.phase == Phase::trial))
            return "a deadline without a trial, or a trial without one";
        if (contains(m.timers, Timer::soak) && m.phase != Phase::soaking) return "soaks outside its soak";
        if (contains(m.timers, Timer::retry) && m.work.kind != WorkKind::none)
            return "waits for an answer and for a retry";
        if (!rests && !goes_on) return "nothing is under way and no timer runs";
        if (rests && m.managed && !m.current.empty() && !m.waits_for_os && !goes_on) return "served and not watched";
        if (m.waits_for_os && !os.pending) return "waits for an OS rollback that is not";
        const bool is_judged_anew = m.phase == Phase::degraded && m.code == "failing" && m.work.kind != WorkKind::watch;
        const bool waits = os.pending || is_standing_back(m) || is_judged_anew;
        if (rests && m.managed && !waits && m.wish) return "a wish is left lying";
        if (rests && m.managed && !waits && m.next_manifest) return "a manifest is left lying";
        return {};
    });
}

// ---- telling -------------------------------------------------------------------------------------------------------

std::string request_unanswered(const Edge& edge) {
    const auto open_in = [](const State& state) {
        std::set<std::uint64_t> open;
        for (const auto& [name, model] : state.models) {
            if (model.wish) open.insert(model.wish->seq);
            if (model.trial) open.insert(model.trial->seq);
            if (!model.revert) continue;
            open.insert(model.revert->seq);
            open.insert(model.revert->joined.begin(), model.revert->joined.end());
        }
        if (state.os.pending) open.insert(state.os.pending->seq);
        open.erase(0);
        return open;
    };
    std::set<std::uint64_t> open = open_in(edge.before.state);
    std::visit(
        [&](const auto& e) {
            if constexpr (requires { e.seq; }) open.insert(e.seq);
        },
        edge.move.event);
    for (const Decision& decision : edge.step.decisions)
        if (decision.seq != 0 && open.erase(decision.seq) == 0)
            return "#" + std::to_string(decision.seq) + " is ended by '" + describe(decision) + "' and was not open";
    const std::set<std::uint64_t> after = open_in(edge.after.state);
    if (open == after) return {};
    for (const std::uint64_t seq : open)
        if (!after.contains(seq)) return "#" + std::to_string(seq) + " vanished without an answer";
    return "a request is open again";
}

std::string decision_unexplained(const Edge& edge) {
    for (const Decision& decision : edge.step.decisions) {
        const auto lines = explain(decision);
        if (lines.empty() || lines.front().empty()) return describe(decision);
        switch (decision.kind) {
            case DecisionKind::rejected:
            case DecisionKind::undecided:
            case DecisionKind::superseded:
            case DecisionKind::refused:
            case DecisionKind::degraded:
            case DecisionKind::held:
            case DecisionKind::corrupt:
                if (decision.code.empty() || decision.text.empty()) return describe(decision) + " has no reason";
                break;
            case DecisionKind::kept:
            case DecisionKind::trial_started:
            case DecisionKind::baseline_measured:
            case DecisionKind::preflight_passed:
            case DecisionKind::switched:
            case DecisionKind::trial_passed:
            case DecisionKind::accepted:
            case DecisionKind::rolling_back:
            case DecisionKind::rolled_back:
            case DecisionKind::recovered:
            case DecisionKind::restarted:
            case DecisionKind::cleared:
            case DecisionKind::pinned:
            case DecisionKind::unpinned:
            case DecisionKind::unrejected:
            case DecisionKind::removed:
            case DecisionKind::unmanaged:
            case DecisionKind::manifest_accepted:
            case DecisionKind::manifest_rejected:
            case DecisionKind::manifest_undecided:
            case DecisionKind::resumed:
            case DecisionKind::staged_dropped:
            case DecisionKind::os_rollback_ordered:
            case DecisionKind::os_rolled_back:
            case DecisionKind::os_rollback_failed:
            case DecisionKind::os_default_confirmed:
            case DecisionKind::rebuilt: break;
        }
    }
    return {};
}

// ---- the table -----------------------------------------------------------------------------------------------------

std::span<const Invariant> invariants() {
    static constexpr Invariant kAll[] = {
        {"switch_to_corrupt", "promise 1", switch_to_corrupt},
        {"switch_unverified", "promise 1, section 6", switch_unverified},
        {"link_differs", "promise 1", link_differs},
        {"switch_abandoned", "promise 1", switch_abandoned},
        {"switch_to_rejected", "promise 3", switch_to_rejected},
        {"rejected_on_trial", "promise 3", rejected_on_trial},
        {"rejected_without_cause", "promises 2, 3", rejected_without_cause},
        {"known_good_lost", "promise 4", known_good_lost},
        {"listed_twice", "promise 4", listed_twice},
        {"damage_unheeded", "promise 4, section 6", damage_unheeded},
        {"known_good_link_differs", "promise 4", known_good_link_differs},
        {"known_good_too_early", "promise 4, section 10", known_good_too_early},
        {"switch_without_baseline", "promise 4", switch_without_baseline},
        {"pinned_moved", "section 5", pinned_moved},
        {"os_order_out_of_bounds", "promise 5", os_order_out_of_bounds},
        {"os_rollback_without_blame", "promise 5", os_rollback_without_blame},
        {"two_owners_of_a_boot", "promise 5, section 10", two_owners_of_a_boot},
        {"left_os_not_rejected", "section 10", left_os_not_rejected},
        {"reboot_elsewhere", "promise 5", reboot_elsewhere},
        {"drop_without_reason", "section 10", drop_without_reason},
        {"blame_misplaced", "section 5, rows 1-3", blame_misplaced},
        {"ignorance_punished", "section 5, row 7", ignorance_punished},
        {"work_unaccounted", "promise 6", work_unaccounted},
        {"probing_left_running", "promise 6", probing_left_running},
        {"work_forgotten", "promise 6", work_forgotten},
        {"timers_differ", "promise 6", timers_differ},
        {"restart_changes", "promise 6", restart_changes},
        {"preflight_left_running", "promise 6", preflight_left_running},
        {"budget_exceeded", "promise 6", budget_exceeded},
        {"phase_incoherent", "promise 6", phase_incoherent},
        {"request_unanswered", "promise 7", request_unanswered},
        {"decision_unexplained", "promise 7", decision_unexplained},
    };
    return kAll;
}

std::string stale_answer_obeyed(const Node& node, const Bounds& bounds) {
    const std::uint64_t stale = node.state.next_id + 1000;
    const auto ignored = [&](const Event& event, bool may_refuse) -> std::string {
        const Step answer = step(node.state, event, bounds.policy);
        const bool refused = may_refuse && std::ranges::all_of(answer.decisions, [](const Decision& d) {
                                 return d.kind == DecisionKind::refused;
                             });
        if (answer.state == node.state && answer.actions.empty() && (refused || answer.decisions.empty())) return {};
        return describe(event) + " changed something";
    };
    std::vector<Event> events{OsActionDone{OsVerb::reboot, stale, true, ""},
                              OsActionDone{OsVerb::drop_staged, stale, false, "no"}};
    const auto answers = [&](const std::string& name, std::uint64_t id, WorkKind awaited) {
        if (awaited != WorkKind::verify)
            events.push_back(VersionVerified{name, id, bounds.versions.front(), false, "no"});
        if (awaited != WorkKind::start_preflight) events.push_back(PreflightStarted{name, id, false, "no"});
        if (awaited != WorkKind::switch_version)
            events.push_back(SwitchDone{name, id, bounds.versions.front(), SwitchResult::refused, true, "no"});
        if (awaited != WorkKind::restart_service) events.push_back(ServiceRestarted{name, id, true, ""});
        if (awaited != WorkKind::judge && awaited != WorkKind::watch)
            events.push_back(core::Verdict{.model = name, .work_id = id, .verdict = VerdictKind::fail});
    };
    for (const auto& [name, model] : node.state.models) {
        answers(name, stale, WorkKind::none);
        if (model.work.kind != WorkKind::none) answers(name, model.work.id, model.work.kind);
        for (const Timer timer : {Timer::deadline, Timer::soak, Timer::retry, Timer::calm})
            if (!contains(model.timers, timer)) events.push_back(TimerExpired{name, timer});
    }
    for (const Event& event : events)
        if (std::string why = ignored(event, false); !why.empty()) return why;
    const std::string nobody = "nobody";
    answers(nobody, node.state.next_id - 1, WorkKind::none);
    for (const Event& event : std::vector<Event>{
             VersionWanted{nobody, bounds.versions.front(), 99, Origin::command}, RollbackRequested{nobody, {}, {}, 99},
             PinRequested{nobody, {}, 99}, UnpinRequested{nobody, 99}, UnrejectRequested{nobody, {}, 99},
             RemoveRequested{nobody, 99}, ManifestGone{nobody}, VersionDamaged{nobody, bounds.versions.front(), "no"},
             TimerExpired{nobody, Timer::retry}, TimerExpired{"", Timer::deadline}})
        if (std::string why = ignored(event, true); !why.empty()) return why;
    return {};
}

}  // namespace modelguard::model
