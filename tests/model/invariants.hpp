#pragma once
// What must hold on every edge of the explored graph, one line each with the promise (DESIGN.md section 1) or rule it
// comes from. What needs the whole graph (rest is reachable, no livelock) is in explorer.hpp.

#include <span>
#include <string>

#include "tests/model/world.hpp"

namespace modelguard::model {

/// One edge: `before` --move--> `after`, with what core answered.
struct Edge {
    const Node& before;
    const Move& move;
    const core::Step& step;
    const Node& after;
    const Bounds& bounds;
};

struct Invariant {
    const char* name;
    const char* comes_from;
    std::string (*broken)(const Edge&);  ///< empty: holds; else what is wrong
};

/// promise 1: current names a complete version whose digest was verified
std::string switch_to_corrupt(const Edge&);
/// promise 1: whatever becomes current was found intact right before
std::string switch_unverified(const Edge&);
/// promise 1: what core calls current is where the link points
std::string link_differs(const Edge&);
/// promise 1: two switches at once, or one that nobody waits for, could leave any version current
std::string switch_abandoned(const Edge&);
/// promise 3: a rejected version is never tried again by itself, nor gone back to
std::string switch_to_rejected(const Edge&);
/// promise 3, refs/greenboot.md: nor one trial opened for it
std::string rejected_on_trial(const Edge&);
/// promise 2 and 3: only a failing verdict, a refusal or an operator rejects
std::string rejected_without_cause(const Edge&);
/// promise 4: a known-good version leaves the list only as rejected, corrupt or removed
std::string known_good_lost(const Edge&);
/// promise 4, section 6: what a scrub found damaged is told and not relied on, or left to what verifies it itself
std::string damage_unheeded(const Edge&);
/// promise 4: the `known-good` link names the LKG
std::string known_good_link_differs(const Edge&);
/// promise 4: known-good only after boot-complete.target (section 10), and only what passed
std::string known_good_too_early(const Edge&);
/// promise 4: the LKG is hashed and measured before a candidate takes its place
std::string switch_without_baseline(const Edge&);
/// the operator's word: a pinned model is moved to the pinned version or not at all
std::string pinned_moved(const Edge&);
/// promise 5: the OS is ordered back only within one pending rollback, to a bootable tree that is not rejected
std::string os_order_out_of_bounds(const Edge&);
/// promise 5 and the blame table: only if the LKG fails here and the OS changed since it passed
std::string os_rollback_without_blame(const Edge&);
/// promise 5: a reboot goes where it was meant to go
std::string reboot_elsewhere(const Edge&);
/// section 10: a staged deployment is dropped only on purpose
std::string drop_without_reason(const Edge&);
/// the blame table, rows 1 to 3
std::string blame_misplaced(const Edge&);
/// the blame table, last row: ignorance neither rejects nor rolls the OS back
std::string ignorance_punished(const Edge&);
/// promise 6: what is waited for was begun exactly once
std::string work_unaccounted(const Edge&);
/// promise 6: probing that nobody waits for is stopped
std::string probing_left_running(const Edge&);
/// promise 6: an answer that was given is not waited for
std::string work_forgotten(const Edge&);
/// promise 6: timers that run are the timers that core holds
std::string timers_differ(const Edge&);
/// promise 6: a restart on the same boot changes nothing and begins everything outstanding again
std::string restart_changes(const Edge&);
/// promise 6: nothing of a preflight is left running
std::string preflight_left_running(const Edge&);
/// promise 6: budgets are bounds
std::string budget_exceeded(const Edge&);
/// promise 6: each phase holds what it needs, and only that
std::string phase_incoherent(const Edge&);
/// promise 7: every request that was taken is open until exactly one decision ends it
std::string request_unanswered(const Edge&);
/// promise 7: every decision says why
std::string decision_unexplained(const Edge&);

std::span<const Invariant> invariants();

/// Nonsense and stale answers change nothing (checked once per node, not per edge). Empty: holds.
std::string stale_answer_obeyed(const Node& node, const Bounds& bounds);

}  // namespace modelguard::model
