// After a restart: every phase goes on where it was, and the link decides what is current in the middle of a switch.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

/// Each takes a device with A known-good to one phase.
struct PhaseRow {
    const char* name;
    Phase phase;
    void (*reach)(Device&);
    const char* ends_on;  ///< what serves when everything goes well from there
};

class Resume : public testing::TestWithParam<PhaseRow> {
  protected:
    static Device reached() {
        Device device({.rev = "r1", .preflight = true});
        device.install("A");
        GetParam().reach(device);
        EXPECT_EQ(to_word(device.phase()), to_word(GetParam().phase));
        return device;
    }
};

TEST_P(Resume, restart_of_the_daemon_begins_the_outstanding_work_again) {
    Device device = reached();
    const Work before = device.m().work;

    device.restarts_daemon();

    EXPECT_EQ(to_word(device.phase()), to_word(GetParam().phase));
    EXPECT_NE(device.m().work.id, before.id) << "an answer to the old one would be stale";
    EXPECT_EQ(device.told(DecisionKind::resumed) != nullptr, !is_at_rest(GetParam().phase));
    device.goes_well();
    EXPECT_EQ(device.current(), GetParam().ends_on);
}

TEST_P(Resume, new_boot_ends_the_same_way) {
    Device device = reached();

    device.reboots().happens(BootCompleted{});
    device.goes_well();

    EXPECT_EQ(device.current(), GetParam().ends_on);
}

TEST_P(Resume, timers_that_ran_run_on) {
    Device device = reached();
    const std::vector<Timer> armed = device.m().timers;

    device.restarts_daemon();

    std::vector<Timer> started;
    for (const Action& action : device.last.actions)
        if (const auto* timer = std::get_if<StartTimer>(&action)) started.push_back(timer->timer);
    EXPECT_EQ(started, armed);
}

TEST_P(Resume, answers_from_before_the_restart_are_stale) {
    Device device = reached();
    const std::uint64_t old = device.m().work.id;
    device.restarts_daemon();
    const State state = device.state;

    for (const Event& event : std::vector<Event>{VersionVerified{"m", old, version("A"), false, "no"},
                                                 PreflightStarted{"m", old, false, "no"},
                                                 SwitchDone{"m", old, version("A"), SwitchResult::refused, true, "no"},
                                                 ServiceRestarted{"m", old, true, ""},
                                                 Verdict{.model = "m", .work_id = old, .verdict = VerdictKind::fail}}) {
        device.happens(event);
        EXPECT_EQ(device.state, state);
        EXPECT_TRUE(device.last.actions.empty());
        EXPECT_TRUE(device.last.decisions.empty());
    }
}

void reach(Device& device, Phase phase) {
    device.deploy("B");
    for (int i = 0; i < 30 && device.phase() != phase; ++i)
        device.answer_well();
}

INSTANTIATE_TEST_SUITE_P(
    every_phase, Resume,
    testing::Values(PhaseRow{"steady", Phase::steady, [](Device&) {}, "A"},
                    PhaseRow{"baselining", Phase::baselining, [](Device& d) { reach(d, Phase::baselining); }, "B"},
                    PhaseRow{"preflight", Phase::preflight, [](Device& d) { reach(d, Phase::preflight); }, "B"},
                    PhaseRow{"switching", Phase::switching, [](Device& d) { reach(d, Phase::switching); }, "B"},
                    PhaseRow{"trial", Phase::trial, [](Device& d) { reach(d, Phase::trial); }, "B"},
                    PhaseRow{"soaking", Phase::soaking, [](Device& d) { reach(d, Phase::soaking); }, "B"},
                    PhaseRow{"reverting", Phase::reverting, [](Device& d) { reach(d, Phase::trial), d.fails(); }, "A"},
                    PhaseRow{"verifying", Phase::verifying,
                             [](Device& d) { reach(d, Phase::trial), d.fails().reaches_verifying(); }, "A"},
                    PhaseRow{"degraded", Phase::degraded, [](Device& d) { d.fails(); }, "A"},
                    PhaseRow{"held", Phase::held, [](Device& d) { d.fails_through_the_rungs(); }, "A"}),
    [](const testing::TestParamInfo<PhaseRow>& row) { return std::string(row.param.name); });

TEST(ResumeSwitch, link_that_moved_before_the_crash_counts) {
    Device device;
    device.install("A");
    device.deploy("B");
    device.verified().passes();

    device.restarts_daemon("B");
    EXPECT_EQ(device.current(), "B");
    device.switched(SwitchResult::failed, false);

    EXPECT_NE(device.phase(), Phase::steady) << "B is current, so it is not simply left undecided";
}

TEST(ResumeSwitch, superseded_candidate_that_did_not_become_current_is_just_dropped) {
    Device device;
    device.install("A");
    const auto older = device.deploy("B");
    device.verified().passes();
    device.deploy("C");

    device.restarts_daemon("A");

    EXPECT_EQ(device.answer_to(older)->kind, DecisionKind::superseded);
    EXPECT_EQ(device.phase(), Phase::baselining);
    EXPECT_EQ(device.m().trial->version, version("C"));
}

TEST(ResumeSwitch, superseded_candidate_that_became_current_is_taken_back) {
    Device device;
    device.install("A");
    device.deploy("B");
    device.verified().passes();
    device.deploy("C");

    device.restarts_daemon("B");

    EXPECT_EQ(device.phase(), Phase::reverting);
    device.goes_well();
    EXPECT_EQ(device.current(), "C");
}

TEST(ResumeLink, somebody_else_moved_it_and_the_ledger_decides) {
    Device device;
    device.install("A").install("B");

    device.restarts_daemon("A");

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->cause, Cause::restore);
    EXPECT_EQ(device.m().revert->target, version("B"));
    device.reaches_verifying().passes();
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_TRUE(device.m().rejected.empty());
}

TEST(ResumeLink, moved_away_during_a_trial_ends_it_undecided) {
    for (const Phase until : {Phase::baselining, Phase::preflight, Phase::trial, Phase::soaking, Phase::verifying}) {
        Device device({.rev = "r1", .preflight = true});
        device.install("A").install("B");
        const auto seq = device.deploy("C");
        if (until == Phase::verifying) {
            for (int i = 0; i < 30 && device.phase() != Phase::trial; ++i)
                device.answer_well();
            device.fails().reaches_verifying();
        }
        for (int i = 0; i < 30 && device.phase() != until; ++i)
            device.answer_well();

        device.restarts_daemon("A");
        EXPECT_EQ(device.phase(), Phase::reverting) << to_word(until);
        device.goes_well();

        EXPECT_EQ(device.current(), "B") << to_word(until);
        const bool decided = until == Phase::verifying;
        EXPECT_EQ(device.answer_to(seq)->kind, decided ? DecisionKind::rejected : DecisionKind::undecided)
            << to_word(until);
    }
}

TEST(ResumeLink, moved_away_during_a_manifest_trial_leaves_the_previous_revision) {
    Device device;
    device.install("A").install("B");
    device.happens(ManifestApplied{"m", {.rev = "r2"}});

    device.restarts_daemon("A");
    device.goes_well();

    EXPECT_EQ(device.current(), "B");
    EXPECT_TRUE(device.ever_told(DecisionKind::manifest_undecided));
}

TEST(ResumeLink, that_is_gone_is_made_again) {
    Device device;
    device.install("A");

    device.restarts_daemon("");

    EXPECT_EQ(device.m().revert->target, version("A"));
}

TEST(Resume, known_good_link_is_written_again_because_the_daemon_may_have_died_before_it) {
    Device device;
    device.install("A");

    device.restarts_daemon();

    EXPECT_EQ(device.action<MarkKnownGood>()->version, version("A"));
}

TEST(Resume, boot_that_completed_while_the_daemon_was_away_counts) {
    Device device({.rev = "r1", .soak = Usec{0}});
    device.reboots();
    device.reaches_trial("A").passes();
    ASSERT_EQ(device.phase(), Phase::soaking);

    device.state.os.boot_complete = true;  // what Started will say
    device.restarts_daemon();
    EXPECT_EQ(device.m().work.kind, WorkKind::judge);
    device.passes();

    EXPECT_EQ(device.phase(), Phase::steady);
}

}  // namespace
}  // namespace modelguard::core
