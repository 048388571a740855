#pragma once
// The outside of the core, small enough to be enumerated: where the links point, which versions are corrupt, the OS
// deployments, what was begun and not answered, and how much may still happen. Not for deciding anything: core does
// that.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/step.hpp"

namespace modelguard::model {

/// One bit per version of a model, in the order of Bounds::versions.
using VersionMask = unsigned;

/// What the outside knows about one model. The masks are ghosts: they watch core, core never sees them.
struct Outside {
    core::VersionId link;                       ///< where `current` points
    core::VersionId known_good_link;            ///< where `known-good` points
    std::optional<core::Action> in_flight;      ///< begun, not answered
    std::optional<core::WorkKind> ledger_work;  ///< what the ledger says is waited for, where that is something else
    bool preflight{false};                      ///< a candidate runs beside current; survives the daemon
    VersionMask corrupt{0};                     ///< no longer intact on disk, whether anybody knows it or not
    VersionMask known_corrupt{0};               ///< core was told so
    VersionMask ever_failed{0};                 ///< a failing verdict, a refusal or an operator spoke against it
    VersionMask failed_here{0};                 ///< a failing verdict in place on this boot
    std::map<std::string, std::string> good;  ///< version → OS identity it passed on last, in place, the boot complete
    VersionMask passed_now{0};                ///< passed in place on this boot, complete or not
};

/// Everything that is left to happen; each move of that kind takes one.
struct Budget {
    int wants{0};      ///< VersionWanted
    int rollbacks{0};  ///< RollbackRequested
    int admin{0};      ///< pin, unpin, unreject, manifests, remove, roll the OS back
    int updates{0};    ///< the updater stages an OS
    int reboots{0};    ///< by the operator or by a power cut; those that core orders are free
    int fallbacks{0};  ///< the boot loader takes another tree than the default
    int corruptions{0};
    int scrubs{0};  ///< a re-hash at any moment finds a known-good version damaged
};

struct World {
    std::map<std::string, Outside> models;
    core::OsView os;
    std::string boot_id;
    bool boot_complete{false};
    int boots{1};
    int stagings{0};  ///< serial numbers given so far
    std::optional<core::Action> os_in_flight;
    bool going_down{false};  ///< a reboot was answered with success and has not come yet
    std::uint64_t next_seq{1};
    Budget budget;
};

struct Node {
    core::State state;
    World world;
};

/// What a configuration lets happen. Names are short: A, B, C.
struct Bounds {
    std::string name;
    std::vector<std::string> models;
    std::vector<core::VersionId> versions;
    std::vector<core::ManifestFacts> manifests;  ///< the first one is in force at the beginning
    std::vector<std::string> os_updates;         ///< identities that the updater may stage
    std::string boot_trial;                      ///< who watches each boot
    core::Policy policy;
    Budget budget;
    bool established{false};  ///< begins with A and B known-good, B current
};

/// What the edge stands for; says who moved, for the liveness analysis.
enum class MoveKind {
    outcome,  ///< the answer to something begun
    watch,    ///< news from a Watch that has answered before, or will
    timer,
    request,    ///< somebody wants something
    os_news,    ///< OsObserved, BootCompleted
    os_change,  ///< the updater
    scrub,      ///< VersionDamaged
    crash,      ///< the daemon dies and is started again, same boot
    reboot,
};

struct Move {
    MoveKind kind{MoveKind::outcome};
    std::string model;  ///< whose; empty: the device
    core::Event event;
    World world;              ///< after the move, before core's actions
    std::string note;         ///< what happened outside
    bool cooperative{false};  ///< what a world without faults does next
};

/// All moves that can be made from `node`, always in the same order.
std::vector<Move> moves(const Node& node, const Bounds& bounds);

/// The device before its daemon has ever run.
Node first_node(const Bounds& bounds);

/// The world after the first `count` of core's actions were begun.
void begin_actions(World& world, const core::Step& step, std::size_t count);
/// True for an action that is carried out at once and leaves a trace: a crash just before it is a case of its own.
bool is_carried_out_at_once(const core::Action& action);
/// The daemon dies before it has begun the rest of its actions, and is started again on the same boot.
Move crash_between(const World& begun);

/// The ghosts learn what core was told; `before` is what core knew then.
void observe(World& world, const core::State& before, const core::Event& event, const Bounds& bounds);

/// The runner commits a step, or leaves it out where it told nothing and only the work within a phase went on.
void commit(World& world, const core::State& before, const core::Step& step);
/// What is read back after the daemon or the machine died.
core::State ledger_of(const Node& node);

/// The ghosts learn what core made known-good.
void learn(World& world, const core::State& before, const core::State& after);

/// Where a move begins: `node`, or in `room` what the ledger holds of it where the daemon died.
const Node& base_of(const Node& node, const Move& move, Node& room);
/// The node that `move` leads to from `node`, with what core answered.
Node perform(const Node& node, const Move& move, const Bounds& bounds, core::Step& answer);

VersionMask bit_of(const Bounds& bounds, const core::VersionId& version);
/// The identity of the OS that is running.
std::string booted_identity(const core::OsView& os);
/// The work id of an action that is to be answered, or 0.
std::uint64_t work_id(const core::Action& action);
/// Whose action it is; empty: the device's.
std::string model_of(const core::Action& action);
core::WorkKind work_kind(const core::Action& action);

template <class... Fs>
struct overloaded : Fs... {
    using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;

}  // namespace modelguard::model
