#pragma once
// The state machine of the whole device: step(state, event, policy) -> state, actions, decisions.
// Total, deterministic, no I/O, no clock. Persist `state` and `decisions` first, then perform `actions`; every action
// is idempotent, and a Started event after a restart issues again what is outstanding. Not for probing: a Verdict comes
// in whole.

#include <variant>

#include "supervisor/core/values.hpp"

namespace modelguard::core {

// ---- events: what happened -------------------------------------------------------------------------------------

/// The daemon has loaded its ledger. `links` is where each model's `current` really points.
struct Started {
    std::string boot_id;
    bool boot_complete{false};
    OsView os;
    std::map<std::string, VersionId, std::less<>> links;
};
struct OsObserved {
    OsView os;
};
struct BootCompleted {};
struct ManifestApplied {
    std::string model;
    ManifestFacts facts;
};
struct ManifestGone {
    std::string model;
};
struct RemoveRequested {
    std::string model;
    std::uint64_t seq{0};
};
/// A version that is complete, verified and kept is wanted.
struct VersionWanted {
    std::string model;
    VersionId version;
    std::uint64_t seq{0};
    Origin origin{Origin::command};
};
struct RollbackRequested {
    std::string model;
    VersionId seen_current;
    VersionId to;
    std::uint64_t seq{0};
};
struct PinRequested {
    std::string model;
    VersionId version;
    std::uint64_t seq{0};
};
struct UnpinRequested {
    std::string model;
    std::uint64_t seq{0};
};
struct UnrejectRequested {
    std::string model;
    VersionId version;
    std::uint64_t seq{0};
};
struct OsRollbackRequested {
    std::uint64_t seq{0};
};
/// The answer to Verify.
struct VersionVerified {
    std::string model;
    std::uint64_t work_id{0};
    VersionId version;
    bool intact{false};
    std::string why;
};
/// A re-hash that nothing waits for found a version not intact. Left alone where what is under way relies on just this
/// version: it is then verified before it is served, or found again once the model is at rest.
struct VersionDamaged {
    std::string model;
    VersionId version;
    std::string why;
};
/// The answer to StartPreflight.
struct PreflightStarted {
    std::string model;
    std::uint64_t work_id{0};
    bool ok{false};
    std::string why;
};
enum class SwitchResult {
    done,     ///< the version is current and its service was told
    refused,  ///< the version's own fault: the server says it cannot load it (hard evidence)
    failed,   ///< not the version's fault: I/O, no server, a command that could not run
};
/// The answer to Switch. `link_moved`: `current` names the version whatever became of the service.
struct SwitchDone {
    std::string model;
    std::uint64_t work_id{0};
    VersionId version;
    SwitchResult result{SwitchResult::failed};
    bool link_moved{false};
    std::string why;
};
struct ServiceRestarted {
    std::string model;
    std::uint64_t work_id{0};
    bool ok{false};
    std::string why;
};
/// The answer to Judge (exactly one), or news from Watch. Hard evidence is a failing verdict at once.
struct Verdict {
    std::string model;
    std::uint64_t work_id{0};
    std::uint64_t trial_id{0};
    Subject subject{Subject::current};
    Where where{Where::in_place};
    VerdictKind verdict{VerdictKind::inconclusive};
    std::vector<CheckReport> reports;
};
struct TimerExpired {
    std::string model;
    Timer timer{Timer::retry};
};  ///< model empty: a timer of the device
struct OsActionDone {
    OsVerb verb{OsVerb::order_os};
    std::uint64_t work_id{0};
    bool ok{false};
    std::string why;
};

using Event = std::variant<Started, OsObserved, BootCompleted, ManifestApplied, ManifestGone, RemoveRequested,
                           VersionWanted, RollbackRequested, PinRequested, UnpinRequested, UnrejectRequested,
                           OsRollbackRequested, VersionVerified, VersionDamaged, PreflightStarted, SwitchDone,
                           ServiceRestarted, Verdict, TimerExpired, OsActionDone>;

// ---- actions: what to do, after the state is persisted -----------------------------------------------------------

enum class VerifyDepth { full, stamps };  ///< stamps: compare (ino, size, mtime, ctime), hash fully where they differ
struct Verify {
    std::string model;
    std::uint64_t work_id{0};
    VersionId version;
    VerifyDepth depth{VerifyDepth::full};
};
enum class JudgePurpose { baseline, trial, preflight, way_back, recheck, ladder };
/// One judging under the checks of `manifest_rev`; answered by exactly one Verdict. Replaces any probing of the model.
struct Judge {
    std::string model;
    std::uint64_t work_id{0};
    std::uint64_t trial_id{0};
    Subject subject{Subject::current};
    Where where{Where::in_place};
    JudgePurpose purpose{JudgePurpose::trial};
    VersionId version;
    std::string manifest_rev;
    bool use_baseline{false};
};
/// Probe at the steady period until stopped; a Verdict whenever it changes, and at least one.
struct Watch {
    std::string model;
    std::uint64_t work_id{0};
    Subject subject{Subject::current};
    VersionId version;
    std::string manifest_rev;
};
struct StopProbing {
    std::string model;
};
struct StartPreflight {
    std::string model;
    std::uint64_t work_id{0};
    VersionId version;
    std::string manifest_rev;
};
struct StopPreflight {
    std::string model;
};
/// Make `to` current and tell its service; `to` empty: no current.
struct Switch {
    std::string model;
    std::uint64_t work_id{0};
    VersionId from;
    VersionId to;
    std::string manifest_rev;
    bool way_back{false};
};
struct RestartService {
    std::string model;
    std::uint64_t work_id{0};
    std::string manifest_rev;
};
struct MarkKnownGood {
    std::string model;
    VersionId version;
};  ///< the `known-good` link; empty: none
struct ForgetModel {
    std::string model;
};
/// Idempotent: a timer that runs keeps its elapsed time, over reboots too.
struct StartTimer {
    std::string model;
    Timer timer{Timer::retry};
    Usec duration{0};
};
struct StopTimer {
    std::string model;
    Timer timer{Timer::retry};
};
struct DropStaged {
    std::uint64_t work_id{0};
    std::string deployment;
};
struct OrderOs {
    std::uint64_t work_id{0};
    std::string target;
};
struct ConfirmOsDefault {
    std::uint64_t work_id{0};
    std::string target;
};
struct Reboot {
    std::uint64_t work_id{0};
    std::string target;
};

using Action =
    std::variant<Verify, Judge, Watch, StopProbing, StartPreflight, StopPreflight, Switch, RestartService,
                 MarkKnownGood, ForgetModel, StartTimer, StopTimer, DropStaged, OrderOs, ConfirmOsDefault, Reboot>;

// ---- decisions: what is told, kept in the history and explained -------------------------------------------------

enum class DecisionKind {
    kept,
    trial_started,
    baseline_measured,
    preflight_passed,
    switched,
    trial_passed,
    accepted,    ///< the candidate is known-good (ends a deploy: done)
    rejected,    ///< ends a deploy: no
    undecided,   ///< ends a deploy: no verdict in time
    superseded,  ///< ends a deploy: a newer one came
    refused,     ///< a request that was not carried out, with the reason (ends that request)
    rolling_back,
    rolled_back,
    degraded,
    recovered,
    restarted,
    held,
    cleared,
    corrupt,
    pinned,
    unpinned,
    unrejected,
    removed,
    unmanaged,
    manifest_accepted,
    manifest_rejected,
    manifest_undecided,
    resumed,  ///< after a restart of the daemon
    staged_dropped,
    os_rollback_ordered,
    os_rolled_back,
    os_rollback_failed,
    os_default_confirmed,
    rebuilt,  ///< the ledger was damaged: what its state was replaced by
};
enum class Blame { none, model, os, environment, infrastructure, operator_ };

struct Decision {
    DecisionKind kind{DecisionKind::kept};
    std::string model;
    VersionId version;     ///< the one decided about
    VersionId serving;     ///< current once this is carried out
    std::uint64_t seq{0};  ///< the wish or request it ends, 0: none
    Blame blame{Blame::none};
    std::string code;  ///< why, as a word
    std::string text;  ///< why, one line for people
    std::vector<CheckReport> reports;

    bool operator==(const Decision&) const = default;
};
std::string_view to_word(DecisionKind);
std::string_view to_word(Blame);
std::string_view to_word(JudgePurpose);

struct Step {
    State state;
    std::vector<Action> actions;
    std::vector<Decision> decisions;
};

Step step(const State& state, const Event& event, const Policy& policy);

/// What `explain` says about one decision: the reasons, numbers and what follows, as lines without trailing newline.
std::vector<std::string> explain(const Decision& decision);

/// Where an OS rollback would go now, or nullptr with the reason as a word in `why_not`.
const Deployment* os_rollback_target(const State& state, const Policy& policy, std::string& why_not);

}  // namespace modelguard::core
