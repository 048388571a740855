// The blame table of DESIGN.md section 5, row by row, and the ladder that leads to it.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

/// B serves and A is the older known-good one, or nothing is.
struct BlameRow {
    const char* name;
    bool has_candidate;
    bool has_lkg;
    bool os_changed;
    VerdictKind lkg_verdict;
    Blame blame;
    Phase ends_in;
    bool candidate_rejected;
    bool os_rollback;
};

class BlameTable : public testing::TestWithParam<BlameRow> {};

TEST_P(BlameTable, lays_the_blame_where_it_belongs) {
    const BlameRow& row = GetParam();
    Device device;
    if (row.has_lkg) device.install("A");
    if (row.os_changed) device.updates_os();
    if (row.os_changed && row.has_candidate) device.passes();  // before the boot is complete it counts for nothing yet

    if (row.has_candidate) {
        device.reaches_trial("C").fails();
        if (row.has_lkg) {
            device.reaches_verifying();
            if (row.lkg_verdict == VerdictKind::pass) device.passes();
            if (row.lkg_verdict == VerdictKind::fail) device.fails_through_the_rungs();
            if (row.lkg_verdict == VerdictKind::inconclusive) {
                for (int i = 0; i < device.policy.waits; ++i)
                    device.silent().expires(Timer::retry);
                device.silent();
            }
        } else {
            device.switched();
        }
    } else {
        if (row.lkg_verdict == VerdictKind::fail) {
            device.fails_through_the_rungs();
        }
    }

    EXPECT_EQ(to_word(device.phase()), to_word(row.ends_in));
    EXPECT_EQ(device.is_rejected("C"), row.candidate_rejected);
    EXPECT_EQ(device.state.os.pending.has_value(), row.os_rollback);
    EXPECT_EQ(device.action<OrderOs>() != nullptr, row.os_rollback);
    const bool blamed = std::ranges::any_of(device.history, [&](const Decision& d) { return d.blame == row.blame; });
    EXPECT_TRUE(blamed) << "nobody was told: " << to_word(row.blame);
    EXPECT_EQ(device.current(), row.has_lkg ? "A" : "");
}

INSTANTIATE_TEST_SUITE_P(design_section_5, BlameTable,
                         testing::Values(BlameRow{.name = "candidate_fails_and_lkg_passes_so_the_model",
                                                  .has_candidate = true,
                                                  .has_lkg = true,
                                                  .os_changed = false,
                                                  .lkg_verdict = VerdictKind::pass,
                                                  .blame = Blame::model,
                                                  .ends_in = Phase::steady,
                                                  .candidate_rejected = true,
                                                  .os_rollback = false},
                                         BlameRow{.name = "candidate_fails_and_lkg_passes_on_a_new_os_so_the_model",
                                                  .has_candidate = true,
                                                  .has_lkg = true,
                                                  .os_changed = true,
                                                  .lkg_verdict = VerdictKind::pass,
                                                  .blame = Blame::model,
                                                  .ends_in = Phase::steady,
                                                  .candidate_rejected = true,
                                                  .os_rollback = false},
                                         BlameRow{.name = "both_fail_on_a_new_os_so_the_os",
                                                  .has_candidate = true,
                                                  .has_lkg = true,
                                                  .os_changed = true,
                                                  .lkg_verdict = VerdictKind::fail,
                                                  .blame = Blame::os,
                                                  .ends_in = Phase::degraded,
                                                  .candidate_rejected = false,
                                                  .os_rollback = true},
                                         BlameRow{.name = "both_fail_on_the_same_os_so_the_environment",
                                                  .has_candidate = true,
                                                  .has_lkg = true,
                                                  .os_changed = false,
                                                  .lkg_verdict = VerdictKind::fail,
                                                  .blame = Blame::environment,
                                                  .ends_in = Phase::degraded,
                                                  .candidate_rejected = false,
                                                  .os_rollback = false},
                                         BlameRow{.name = "candidate_fails_and_there_is_no_lkg_so_the_model",
                                                  .has_candidate = true,
                                                  .has_lkg = false,
                                                  .os_changed = false,
                                                  .lkg_verdict = VerdictKind::fail,
                                                  .blame = Blame::model,
                                                  .ends_in = Phase::empty,
                                                  .candidate_rejected = true,
                                                  .os_rollback = false},
                                         BlameRow{.name = "lkg_fails_alone_on_a_new_os_so_the_os",
                                                  .has_candidate = false,
                                                  .has_lkg = true,
                                                  .os_changed = true,
                                                  .lkg_verdict = VerdictKind::fail,
                                                  .blame = Blame::os,
                                                  .ends_in = Phase::degraded,
                                                  .candidate_rejected = false,
                                                  .os_rollback = true},
                                         BlameRow{.name = "lkg_fails_alone_on_the_same_os_so_held",
                                                  .has_candidate = false,
                                                  .has_lkg = true,
                                                  .os_changed = false,
                                                  .lkg_verdict = VerdictKind::fail,
                                                  .blame = Blame::environment,
                                                  .ends_in = Phase::held,
                                                  .candidate_rejected = false,
                                                  .os_rollback = false},
                                         BlameRow{.name = "candidate_fails_and_lkg_is_silent_so_nobody_knows",
                                                  .has_candidate = true,
                                                  .has_lkg = true,
                                                  .os_changed = false,
                                                  .lkg_verdict = VerdictKind::inconclusive,
                                                  .blame = Blame::infrastructure,
                                                  .ends_in = Phase::degraded,
                                                  .candidate_rejected = false,
                                                  .os_rollback = false},
                                         BlameRow{
                                             .name = "candidate_fails_and_lkg_is_silent_on_a_new_os_so_nobody_knows",
                                             .has_candidate = true,
                                             .has_lkg = true,
                                             .os_changed = true,
                                             .lkg_verdict = VerdictKind::inconclusive,
                                             .blame = Blame::infrastructure,
                                             .ends_in = Phase::degraded,
                                             .candidate_rejected = false,
                                             .os_rollback = false}),
                         [](const testing::TestParamInfo<BlameRow>& row) { return std::string(row.param.name); });

TEST(Ladder, climbs_probe_restart_older_version_then_holds) {
    Device device;
    device.install("A").install("B");

    device.fails();
    EXPECT_EQ(device.phase(), Phase::degraded);
    EXPECT_EQ(device.action<Judge>()->purpose, JudgePurpose::ladder);
    for (int i = 0; i < device.policy.reprobes; ++i) {
        EXPECT_EQ(device.m().work.kind, WorkKind::judge);
        device.fails();
    }
    EXPECT_NE(device.action<RestartService>(), nullptr);
    device.restarted().fails();
    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.action<Verify>()->version, version("A"));
    EXPECT_EQ(device.action<Verify>()->depth, VerifyDepth::stamps);
    device.reaches_verifying().fails_through_the_rungs();
    device.goes_well();

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.m().code, "nothing_passes");
    EXPECT_EQ(device.current(), "B") << "what passed last serves while an operator looks";
    EXPECT_FALSE(device.is_rejected("A"));
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Ladder, one_flaky_pass_is_nothing_to_talk_about) {
    Device device;
    device.install("A");
    const std::size_t told = device.history.size();

    device.fails().passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.history.size(), told);
}

TEST(Ladder, restart_that_helps_is_told_and_its_budget_comes_back_with_calm) {
    Device device;
    device.install("A");

    device.fails();
    for (int i = 0; i < device.policy.reprobes; ++i)
        device.fails();
    device.restarted().passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_TRUE(device.ever_told(DecisionKind::recovered));
    EXPECT_EQ(device.m().used.restarts, 1);
    EXPECT_EQ(device.action<StartTimer>()->timer, Timer::calm);
    device.expires(Timer::calm);
    EXPECT_EQ(device.m().used, Used{});
}

TEST(Ladder, decayed_version_is_rejected_once_the_older_one_passes) {
    Device device;
    device.install("A").install("B");

    device.fails_through_the_rungs();
    device.reaches_verifying().passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "A");
    EXPECT_TRUE(device.is_rejected("B"));
    EXPECT_EQ(device.lkg_name(), "A");
}

TEST(Ladder, held_model_recovers_by_itself_when_its_known_good_version_passes) {
    Device device;
    device.install("A");
    device.fails_through_the_rungs();
    ASSERT_EQ(device.phase(), Phase::held);

    device.passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_NE(device.told(DecisionKind::recovered), nullptr);
    EXPECT_EQ(device.m().used.restarts, 0);
}

TEST(Ladder, silence_of_what_serves_is_waited_out_and_never_punished) {
    Device device;
    device.install("A").install("B");
    device.fails();

    for (int i = 0; i < device.policy.waits; ++i) {
        device.silent();
        EXPECT_EQ(device.action<StartTimer>()->timer, Timer::retry);
        device.expires(Timer::retry);
    }
    device.silent();

    EXPECT_EQ(device.phase(), Phase::degraded);
    EXPECT_EQ(device.m().code, "inconclusive");
    EXPECT_EQ(device.current(), "B");
    device.fails();
    EXPECT_EQ(device.m().work.kind, WorkKind::judge) << "an answer at last: the ladder goes on";
}

TEST(Ladder, pinned_version_that_fails_is_held_and_never_moved) {
    Device device;
    device.install("A").install("B");
    device.pin("B");

    device.fails_through_the_rungs();

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.m().code, "pinned_fails");
    EXPECT_EQ(device.current(), "B");
}

TEST(Ladder, corrupt_target_gives_way_to_an_older_one) {
    Device device;
    device.install("A").install("B").install("C");
    device.reaches_trial("D").fails();
    ASSERT_EQ(device.action<Verify>()->version, version("C"));

    device.verified(false);

    EXPECT_NE(device.told(DecisionKind::corrupt), nullptr);
    EXPECT_EQ(device.action<Verify>()->version, version("B"));
    EXPECT_EQ(device.action<MarkKnownGood>()->version, version("B"));
    device.reaches_verifying().passes();
    EXPECT_EQ(device.current(), "B");
    EXPECT_TRUE(device.is_rejected("D"));
}

TEST(Ladder, way_back_that_cannot_be_switched_is_tried_until_it_works_and_said_once) {
    Device device;
    device.install("A").reaches_trial("B").fails().verified();

    for (int i = 0; i < device.policy.switches + 4; ++i)
        device.switched(SwitchResult::failed, false).expires(Timer::retry).verified();

    const auto said =
        std::ranges::count_if(device.history, [](const Decision& d) { return d.code == "cannot_switch"; });
    EXPECT_EQ(said, 1);
    device.switched().passes();
    EXPECT_EQ(device.current(), "A");
    EXPECT_TRUE(device.is_rejected("B"));
}

}  // namespace
}  // namespace modelguard::core
