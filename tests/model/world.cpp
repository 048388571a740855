#include "tests/model/world.hpp"

#include <algorithm>

namespace modelguard::model {

using namespace core;

namespace {

Event started(const World& world) {
    Started event{.boot_id = world.boot_id, .boot_complete = world.boot_complete, .os = world.os, .links = {}};
    for (const auto& [name, outside] : world.models)
        event.links[name] = outside.link;
    return event;
}

/// Collects the moves of one node.
class Moves {
  public:
    Moves(const Node& node, const Bounds& bounds) : node_(node), bounds_(bounds) {}

    std::vector<Move> all() {
        for (const auto& [name, outside] : node_.world.models)
            if (outside.in_flight) answers(name, outside, *outside.in_flight);
        if (node_.world.os_in_flight) os_answers(*node_.world.os_in_flight);
        if (!(node_.state.os.view == node_.world.os))
            add({MoveKind::os_news, "", OsObserved{node_.world.os}, node_.world, "", true});
        if (!node_.world.boot_complete) {
            World world = node_.world;
            world.boot_complete = true;
            add({MoveKind::os_news, "", BootCompleted{}, world, "", true});
        }
        timers();
        for (const std::string& name : bounds_.models)
            requests(name);
        if (node_.world.budget.admin > 0 && !bounds_.os_updates.empty()) {
            World world = spend(&Budget::admin);
            add({MoveKind::request, "", OsRollbackRequested{world.next_seq++}, world, ""});
        }
        updates();
        scrubs();
        restarts();
        return std::move(moves_);
    }

  private:
    void add(Move move) { moves_.push_back(std::move(move)); }

    World spend(int Budget::* what) const {
        World world = node_.world;
        --(world.budget.*what);
        return world;
    }
    World answered(const std::string& name) const {
        World world = node_.world;
        world.models[name].in_flight.reset();
        return world;
    }

    static std::vector<CheckReport> reports(VerdictKind verdict) {
        if (verdict == VerdictKind::pass) return {};
        const bool fails = verdict == VerdictKind::fail;
        return {CheckReport{.check = "accuracy",
                            .kind = "accuracy",
                            .verdict = verdict,
                            .code = fails ? "below_min" : "timed_out",
                            .text = fails ? "0.31 right, at least 0.90 wanted" : "no answer"}};
    }

    void verdicts(const std::string& name, MoveKind kind, const World& world, core::Verdict verdict) {
        for (const VerdictKind each : {VerdictKind::pass, VerdictKind::fail, VerdictKind::inconclusive}) {
            verdict.verdict = each;
            verdict.reports = reports(each);
            add({kind, name, verdict, world, "", each == VerdictKind::pass});
        }
    }

    void answers(const std::string& name, const Outside& outside, const Action& action) {
        std::visit(
            overloaded{
                [&](const Verify& a) {
                    const VersionMask bit = bit_of(bounds_, a.version);
                    if (outside.corrupt & bit) {
                        add({MoveKind::outcome, name, VersionVerified{name, a.work_id, a.version, false, "bad hash"},
                             answered(name), "", true});
                        return;
                    }
                    add({MoveKind::outcome, name, VersionVerified{name, a.work_id, a.version, true, ""}, answered(name),
                         "", true});
                    if (node_.world.budget.corruptions == 0) return;
                    World world = answered(name);
                    --world.budget.corruptions;
                    world.models[name].corrupt |= bit;
                    add({MoveKind::outcome, name, VersionVerified{name, a.work_id, a.version, false, "bad hash"}, world,
                         "the disk has lost bits"});
                },
                [&](const Judge& a) {
                    verdicts(name, MoveKind::outcome, answered(name),
                             {.model = name,
                              .work_id = a.work_id,
                              .trial_id = a.trial_id,
                              .subject = a.subject,
                              .where = a.where});
                },
                [&](const Watch& a) {
                    verdicts(name, MoveKind::watch, node_.world,
                             {.model = name,
                              .work_id = a.work_id,
                              .trial_id = 0,
                              .subject = a.subject,
                              .where = Where::in_place});
                },
                [&](const StartPreflight& a) {
                    for (const bool ok : {true, false})
                        add({MoveKind::outcome, name, PreflightStarted{name, a.work_id, ok, ok ? "" : "no port"},
                             answered(name), "", ok});
                },
                [&](const Switch& a) { switched(name, a); },
                [&](const RestartService& a) {
                    for (const bool ok : {true, false})
                        add({MoveKind::outcome, name, ServiceRestarted{name, a.work_id, ok, ok ? "" : "timeout"},
                             answered(name), "", ok});
                },
                [](const StopProbing&) {},
                [](const StopPreflight&) {},
                [](const MarkKnownGood&) {},
                [](const ForgetModel&) {},
                [](const StartTimer&) {},
                [](const StopTimer&) {},
                [](const DropStaged&) {},
                [](const OrderOs&) {},
                [](const ConfirmOsDefault&) {},
                [](const Reboot&) {},
            },
            action);
    }

    void switched(const std::string& name, const Switch& a) {
        struct Outcome {
            SwitchResult result;
            bool moved;
        };
        for (const auto& [result, moved] : {Outcome{SwitchResult::done, true}, Outcome{SwitchResult::refused, true},
                                            Outcome{SwitchResult::refused, false}, Outcome{SwitchResult::failed, true},
                                            Outcome{SwitchResult::failed, false}}) {
            if (a.to.empty() && result == SwitchResult::refused) continue;
            if (!moved && node_.world.models.at(name).link == a.to) continue;  // it names the version already
            World world = answered(name);
            if (moved) world.models[name].link = a.to;
            add({MoveKind::outcome, name,
                 SwitchDone{name, a.work_id, a.to, result, moved, result == SwitchResult::done ? "" : "HTTP 400"},
                 world, "", result == SwitchResult::done});
        }
    }

    void os_answers(const Action& action) {
        World failed = node_.world;
        failed.os_in_flight.reset();
        const auto verb = [&] {
            if (std::holds_alternative<DropStaged>(action)) return OsVerb::drop_staged;
            if (std::holds_alternative<OrderOs>(action)) return OsVerb::order_os;
            if (std::holds_alternative<ConfirmOsDefault>(action)) return OsVerb::confirm_os_default;
            return OsVerb::reboot;
        }();
        World done = failed;
        if (effect(done.os, action) && verb != OsVerb::reboot)
            add({MoveKind::outcome, "", OsActionDone{verb, work_id(action), true, ""}, done, "", true});
        if (const auto* a = std::get_if<Reboot>(&action); a && next_boot(node_.world.os) == a->target) {
            done.going_down = true;
            add({MoveKind::outcome, "", OsActionDone{verb, work_id(action), true, ""}, done, ""});
            World world = node_.world;
            reboot(world, a->target, false, "reboots as core ordered", true);
        }
        add({MoveKind::outcome, "", OsActionDone{verb, work_id(action), false, "rpm-ostreed holds the lock"}, failed,
             ""});
    }

    void timers() {
        for (const auto& [name, model] : node_.state.models)
            for (const Timer timer : model.timers)
                add({MoveKind::timer, name, TimerExpired{name, timer}, node_.world, "", true});
        for (const Timer timer : node_.state.os.timers)
            add({MoveKind::timer, "", TimerExpired{"", timer}, node_.world, "", true});
    }

    void requests(const std::string& name) {
        const auto found = node_.state.models.find(name);
        const ModelState* model = found == node_.state.models.end() ? nullptr : &found->second;
        const Budget& budget = node_.world.budget;
        const auto ask = [&](int Budget::* what, auto&& make) {
            World world = spend(what);
            const std::uint64_t seq = world.next_seq++;
            add({MoveKind::request, name, make(seq), world, ""});
        };
        if (model && budget.wants > 0)
            for (const VersionId& version : bounds_.versions) {
                World world = spend(&Budget::wants);
                const std::uint64_t seq = world.next_seq++;
                Outside& outside = world.models[name];  // what is wanted was imported and hashed just now
                outside.corrupt &= ~bit_of(bounds_, version);
                outside.known_corrupt &= ~bit_of(bounds_, version);
                add({MoveKind::request, name, VersionWanted{name, version, seq, Origin::command}, world, ""});
            }
        if (model && budget.rollbacks > 0) {
            ask(&Budget::rollbacks,
                [&](std::uint64_t seq) { return RollbackRequested{name, model->current, {}, seq}; });
            for (const VersionId& version : bounds_.versions)
                ask(&Budget::rollbacks,
                    [&](std::uint64_t seq) { return RollbackRequested{name, model->current, version, seq}; });
        }
        if (budget.admin == 0) return;
        for (const ManifestFacts& facts : bounds_.manifests) {
            if (model && model->managed && model->offered_rev == facts.rev) continue;
            World world = spend(&Budget::admin);
            add({MoveKind::request, name, ManifestApplied{name, facts}, world, ""});
        }
        if (!model) return;
        const auto rejected = [&](const VersionId& version) {
            return std::ranges::find(model->rejected, version, &Rejection::version) != model->rejected.end();
        };
        for (const VersionId& version : bounds_.versions) {
            ask(&Budget::admin, [&](std::uint64_t seq) { return PinRequested{name, version, seq}; });
            if (rejected(version))
                ask(&Budget::admin, [&](std::uint64_t seq) { return UnrejectRequested{name, version, seq}; });
        }
        if (!model->pinned.empty()) ask(&Budget::admin, [&](std::uint64_t seq) { return UnpinRequested{name, seq}; });
        if (model->managed) add({MoveKind::request, name, ManifestGone{name}, spend(&Budget::admin), ""});
        ask(&Budget::admin, [&](std::uint64_t seq) { return RemoveRequested{name, seq}; });
    }

    void updates() {
        if (node_.world.budget.updates == 0) return;
        for (const std::string& identity : bounds_.os_updates) {
            if (identity == booted_identity(node_.world.os)) continue;
            World world = spend(&Budget::updates);
            const std::string id = identity + "." + std::to_string(++world.stagings);
            std::erase_if(world.os.deployments, [&](const Deployment& d) { return d.id == world.os.staged; });
            std::int64_t newest = 0;
            for (const Deployment& d : world.os.deployments)
                newest = std::max(newest, d.newness);
            world.os.deployments.push_back({.id = id, .identity = identity, .newness = newest + 1});
            world.os.staged = id;
            add({MoveKind::os_change, "", OsObserved{world.os}, world, "the updater stages " + id});
        }
    }

    void scrubs() {
        if (node_.world.budget.scrubs == 0) return;
        for (const auto& [name, model] : node_.state.models)
            for (const KnownGood& good : model.known_good) {
                World world = spend(&Budget::scrubs);
                world.models[name].corrupt |= bit_of(bounds_, good.version);
                add({MoveKind::scrub, name, VersionDamaged{name, good.version, "bad hash"}, world, ""});
            }
    }

    /// What the machine may have done with what was in flight when its daemon died.
    std::vector<World> survivors() const {
        std::vector<World> worlds{node_.world};
        const auto branch = [&](auto&& happen) {
            const std::size_t count = worlds.size();
            for (std::size_t i = 0; i < count; ++i) {
                World world = worlds[i];
                if (happen(world)) worlds.push_back(std::move(world));
            }
        };
        for (const auto& [name, outside] : node_.world.models)
            if (const auto* a = outside.in_flight ? std::get_if<Switch>(&*outside.in_flight) : nullptr;
                a && outside.link != a->to)
                branch([&](World& world) {
                    world.models[name].link = a->to;
                    return true;
                });
        if (node_.world.os_in_flight)
            branch([&](World& world) {
                const OsView before = world.os;
                return effect(world.os, *node_.world.os_in_flight) && !(before == world.os);
            });
        for (World& world : worlds) {
            for (auto& [name, outside] : world.models)
                outside.in_flight.reset();
            world.os_in_flight.reset();
        }
        return worlds;
    }

    void restarts() {
        for (const World& world : survivors()) {
            add({MoveKind::crash, "", started(world), world, "the daemon dies and starts again"});
            if (!world.boot_complete) {
                World complete = world;
                complete.boot_complete = true;
                add({MoveKind::crash, "", started(complete), complete,
                     "the daemon dies, the boot completes, it starts again"});
            }
            if (world.budget.reboots > 0) {
                World next = world;
                --next.budget.reboots;
                reboot(next, next_boot(world.os), false, "an operator reboots", false);
                if (!world.os.staged.empty()) {
                    World cut = next;
                    std::erase_if(cut.os.deployments, [&](const Deployment& d) { return d.id == world.os.staged; });
                    cut.os.staged.clear();
                    reboot(cut, world.os.default_, false, "power fails", false);
                }
            }
            if (world.budget.fallbacks > 0)
                for (const Deployment& other : world.os.deployments) {
                    if (other.id == next_boot(world.os) || other.id == world.os.staged || !other.bootable) continue;
                    World next = world;
                    --next.budget.fallbacks;
                    reboot(next, other.id, true, "the boot loader falls back to " + other.id, false);
                }
        }
        if (node_.world.going_down)
            reboot(node_.world, next_boot(node_.world.os), false, "reboots as core ordered", true);
    }

    static std::string next_boot(const OsView& os) { return os.staged.empty() ? os.default_ : os.staged; }

    void reboot(World world, const std::string& into, bool fell_back, const std::string& note, bool cooperative) {
        if (!world.os.staged.empty()) {
            // finalised on the way down: it becomes the default, what runs stays as the way back, the rest is pruned
            const std::string staged = world.os.staged;
            world.os.default_ = staged;
            std::erase_if(world.os.deployments, [&](const Deployment& d) {
                return d.id != staged && d.id != world.os.booted && !d.os_pinned;
            });
            world.os.staged.clear();
        }
        if (!world.os.find(into)) return;
        world.os.booted = into;
        world.os.fell_back = fell_back;
        world.os.boot_trial = bounds_.boot_trial;
        world.boot_id = "boot-" + std::to_string(++world.boots);
        world.boot_complete = false;
        world.going_down = false;
        world.os_in_flight.reset();
        for (auto& [name, outside] : world.models) {
            outside.in_flight.reset();
            outside.preflight = false;
            outside.passed_now = 0;
            outside.failed_here = 0;
        }
        Event event = started(world);
        add({MoveKind::reboot, "", std::move(event), std::move(world), note, cooperative});
    }

    static bool effect(OsView& os, const Action& action) {
        if (const auto* a = std::get_if<DropStaged>(&action)) {
            if (os.staged != a->deployment) return os.staged.empty();
            std::erase_if(os.deployments, [&](const Deployment& d) { return d.id == a->deployment; });
            os.staged.clear();
            return true;
        }
        const std::string* target = nullptr;
        if (const auto* a = std::get_if<OrderOs>(&action)) target = &a->target;
        if (const auto* a = std::get_if<ConfirmOsDefault>(&action)) target = &a->target;
        if (!target || !os.find(*target)) return false;
        os.default_ = *target;
        return true;
    }

    const Node& node_;
    const Bounds& bounds_;
    std::vector<Move> moves_;
};

}  // namespace

std::vector<Move> moves(const Node& node, const Bounds& bounds) { return Moves(node, bounds).all(); }

Node first_node(const Bounds& bounds) {
    Node node;
    node.world.boot_id = "boot-1";
    node.world.os.deployments = {{.id = "os1.0", .identity = "os1", .newness = 1}};
    node.world.os.booted = node.world.os.default_ = "os1.0";
    node.world.os.boot_trial = bounds.boot_trial;
    node.world.budget = bounds.budget;
    for (const std::string& name : bounds.models)
        node.world.models[name];
    return node;
}

Move crash_between(const World& begun) {
    Move move{
        MoveKind::crash, "", started(begun), begun, "the daemon dies before its next action and starts again", false};
    for (auto& [name, outside] : move.world.models)
        outside.in_flight.reset();
    move.world.os_in_flight.reset();
    return move;
}

bool is_carried_out_at_once(const Action& action) {
    return std::holds_alternative<MarkKnownGood>(action) || std::holds_alternative<StopPreflight>(action);
}

void begin_actions(World& world, const Step& step, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const Action& action = step.actions[i];
        if (const auto* a = std::get_if<MarkKnownGood>(&action)) world.models[a->model].known_good_link = a->version;
        if (const auto* a = std::get_if<StopPreflight>(&action)) world.models[a->model].preflight = false;
        if (const auto* a = std::get_if<StartPreflight>(&action)) world.models[a->model].preflight = true;
        if (const auto* a = std::get_if<ForgetModel>(&action)) world.models[a->model] = Outside{};
        if (work_id(action) == 0) continue;
        if (model_of(action).empty())
            world.os_in_flight = action;
        else
            world.models[model_of(action)].in_flight = action;
    }
    // an answer that core does not wait for any more is dropped on arrival; the invariants ask for that
    for (auto& [name, outside] : world.models) {
        const auto model = step.state.models.find(name);
        const bool awaited = outside.in_flight && model != step.state.models.end() &&
                             model->second.work.kind != WorkKind::none &&
                             model->second.work.id == work_id(*outside.in_flight);
        if (!awaited) outside.in_flight.reset();
    }
    if (world.os_in_flight && (!step.state.os.verb || step.state.os.work_id != work_id(*world.os_in_flight)))
        world.os_in_flight.reset();
}

void observe(World& world, const State& before, const Event& event, const Bounds& bounds) {
    const auto judged = [&](const std::string& name) -> VersionMask {
        const auto model = before.models.find(name);
        return model == before.models.end() ? 0 : bit_of(bounds, model->second.current);
    };
    if (const auto* e = std::get_if<core::Verdict>(&event)) {
        Outside& outside = world.models[e->model];
        const auto model = before.models.find(e->model);
        if (e->where == Where::preflight) {
            if (e->verdict == VerdictKind::fail && model != before.models.end() && model->second.trial)
                outside.ever_failed |= bit_of(bounds, model->second.trial->version);
            return;
        }
        const VersionMask bit = judged(e->model);
        if (e->verdict == VerdictKind::fail) {
            outside.ever_failed |= bit;
            outside.failed_here |= bit;
            const bool of_manifest = model->second.trial && model->second.trial->kind == TrialKind::manifest;
            if (!of_manifest) outside.passed_now &= ~bit;  // failing under other thresholds is no failing
        }
        if (e->verdict == VerdictKind::pass) {
            outside.passed_now |= bit;
            if (world.boot_complete && bit && find_known_good(model->second, model->second.current))
                outside.good[model->second.current.text] = booted_identity(world.os);
        }
    }
    if (std::holds_alternative<BootCompleted>(event))
        for (auto& [name, outside] : world.models)
            for (const VersionId& version : bounds.versions)
                if (const auto model = before.models.find(name); model != before.models.end() &&
                                                                 outside.passed_now & bit_of(bounds, version) &&
                                                                 find_known_good(model->second, version))
                    outside.good[version.text] = booted_identity(world.os);
    // a reload that failed with the link moved, and boots that never got through, speak against a candidate too
    if (const auto* e = std::get_if<Started>(&event); e && e->boot_id != before.os.boot_id)
        for (const auto& [name, model] : before.models)
            if (model.trial) world.models[name].ever_failed |= bit_of(bounds, model.trial->version);
    if (const auto* e = std::get_if<SwitchDone>(&event);
        e && (e->result == SwitchResult::refused || (e->result == SwitchResult::failed && e->link_moved))) {
        world.models[e->model].ever_failed |= bit_of(bounds, e->version);
        world.models[e->model].failed_here |= bit_of(bounds, e->version);
    }
    if (const auto* e = std::get_if<VersionVerified>(&event); e && !e->intact)
        world.models[e->model].known_corrupt |= bit_of(bounds, e->version);
    if (const auto* e = std::get_if<VersionDamaged>(&event))
        world.models[e->model].known_corrupt |= bit_of(bounds, e->version);
    if (const auto* e = std::get_if<RollbackRequested>(&event)) {
        Outside& outside = world.models[e->model];
        outside.ever_failed |= judged(e->model);
        const auto model = before.models.find(e->model);
        if (model != before.models.end() && model->second.trial)
            outside.ever_failed |= bit_of(bounds, model->second.trial->version);
    }
}

void commit(World& world, const State& before, const Step& step) {
    const auto goes_on = [&](const std::string& name, const ModelState& after) {
        const auto old = before.models.find(name);
        return old != before.models.end() && old->second.work.kind != WorkKind::none &&
               after.work.kind != WorkKind::none;
    };
    State same = step.state;
    same.next_id = before.next_id;
    for (auto& [name, model] : same.models)
        if (goes_on(name, model)) model.work = before.models.at(name).work;
    const bool committed = !(same == before) || !step.decisions.empty();
    for (auto& [name, outside] : world.models) {
        const auto after = step.state.models.find(name);
        if (committed || after == step.state.models.end() || !goes_on(name, after->second)) {
            if (committed) outside.ledger_work.reset();
            continue;
        }
        const WorkKind known = outside.ledger_work.value_or(before.models.at(name).work.kind);
        outside.ledger_work = known == after->second.work.kind ? std::nullopt : std::optional(known);
    }
}

State ledger_of(const Node& node) {
    State state = node.state;
    for (auto& [name, model] : state.models)
        if (const auto& known = node.world.models.at(name).ledger_work) model.work.kind = *known;
    return state;
}

void learn(World& world, const State& before, const State& after) {
    for (const auto& [name, model] : after.models) {
        const auto old = before.models.find(name);
        for (const KnownGood& good : model.known_good)
            if (old == before.models.end() || !find_known_good(old->second, good.version))
                world.models[name].good[good.version.text] = booted_identity(world.os);
    }
}

const Node& base_of(const Node& node, const Move& move, Node& room) {
    if (move.kind != MoveKind::crash && move.kind != MoveKind::reboot) return node;
    if (std::ranges::none_of(node.world.models, [](const auto& entry) { return entry.second.ledger_work.has_value(); }))
        return node;
    room = Node{ledger_of(node), node.world};
    return room;
}

Node perform(const Node& node, const Move& move, const Bounds& bounds, Step& answer) {
    Node next{{}, move.world};
    observe(next.world, node.state, move.event, bounds);
    answer = step(node.state, move.event, bounds.policy);
    next.state = answer.state;
    learn(next.world, node.state, answer.state);
    commit(next.world, node.state, answer);
    begin_actions(next.world, answer, answer.actions.size());
    return next;
}

VersionMask bit_of(const Bounds& bounds, const VersionId& version) {
    const auto found = std::ranges::find(bounds.versions, version);
    return found == bounds.versions.end() ? 0 : 1U << static_cast<unsigned>(found - bounds.versions.begin());
}

std::string booted_identity(const OsView& os) {
    const Deployment* booted = os.booted_deployment();
    return booted ? booted->identity : std::string();
}

std::uint64_t work_id(const Action& action) {
    return std::visit(
        [](const auto& a) -> std::uint64_t {
            if constexpr (requires { a.work_id; }) return a.work_id;
            return 0;
        },
        action);
}

std::string model_of(const Action& action) {
    return std::visit(
        [](const auto& a) -> std::string {
            if constexpr (requires { a.model; }) return a.model;
            return {};
        },
        action);
}

WorkKind work_kind(const Action& action) {
    if (std::holds_alternative<Verify>(action)) return WorkKind::verify;
    if (std::holds_alternative<Judge>(action)) return WorkKind::judge;
    if (std::holds_alternative<Watch>(action)) return WorkKind::watch;
    if (std::holds_alternative<StartPreflight>(action)) return WorkKind::start_preflight;
    if (std::holds_alternative<Switch>(action)) return WorkKind::switch_version;
    if (std::holds_alternative<RestartService>(action)) return WorkKind::restart_service;
    return WorkKind::none;
}

}  // namespace modelguard::model
