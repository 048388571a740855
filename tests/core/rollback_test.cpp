// What operators ask for: rollback, pin, unpin, unreject, remove.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

TEST(ManualRollback, goes_to_the_newest_other_known_good_version_and_rejects_what_it_left) {
    Device device;
    device.install("A").install("B").install("C");

    const auto seq = device.rollback();
    EXPECT_EQ(device.m().revert->target, version("B"));
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rolled_back);
    EXPECT_EQ(device.current(), "B");
    EXPECT_TRUE(device.is_rejected("C"));
    EXPECT_EQ(find_known_good(device.m(), version("C")), nullptr);
}

TEST(ManualRollback, to_names_the_version) {
    Device device;
    device.install("A").install("B").install("C");

    device.rollback("A");
    device.reaches_verifying().passes();

    EXPECT_EQ(device.current(), "A");
    EXPECT_EQ(device.lkg_name(), "A") << "what passed last is the LKG";
}

TEST(ManualRollback, another_current_than_the_one_seen_is_a_conflict) {
    Device device;
    device.install("A").install("B");

    device.happens(RollbackRequested{"m", version("A"), {}, 90});

    EXPECT_EQ(device.answer_to(90)->code, "conflict");
    EXPECT_EQ(device.current(), "B");
}

TEST(ManualRollback, second_one_in_a_row_must_say_where_to) {
    Device device;
    device.install("A").install("B").install("C");
    device.rollback();
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(device.rollback())->code, "choose");
    device.rollback("A");

    EXPECT_EQ(device.phase(), Phase::reverting);
}

TEST(ManualRollback, second_call_joins_the_first_while_it_is_under_way) {
    Device device;
    device.install("A").install("B");
    const auto first = device.rollback();

    const auto second = device.rollback();
    const auto elsewhere = device.rollback("B");
    EXPECT_EQ(device.answer_to(elsewhere)->code, "conflict");
    device.reaches_verifying();
    const auto third = device.rollback("A");
    device.passes();

    for (const auto seq : {first, second, third})
        EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rolled_back);
}

TEST(ManualRollback, refuses_what_makes_no_sense) {
    Device device;
    device.install("A");
    EXPECT_EQ(device.answer_to(device.rollback())->code, "no_known_good");
    EXPECT_EQ(device.answer_to(device.rollback("A"))->code, "already_current");
    EXPECT_EQ(device.answer_to(device.rollback("Z"))->code, "not_known_good");
    EXPECT_EQ(device.happens(RollbackRequested{"x", {}, {}, 90}).answer_to(90)->code, "not_found");

    device.pin("A");

    EXPECT_EQ(device.answer_to(device.rollback())->code, "pinned");
}

TEST(ManualRollback, takes_back_a_candidate_in_every_phase_of_its_trial) {
    for (const Phase until : {Phase::baselining, Phase::preflight, Phase::switching, Phase::trial, Phase::soaking}) {
        Device device({.rev = "r1", .preflight = true});
        device.install("A").install("B");
        const auto deploy = device.deploy("C");
        for (int i = 0; i < 30 && device.phase() != until; ++i)
            device.answer_well();

        const auto seq = device.rollback();
        device.goes_well();

        const bool served = until == Phase::switching || until == Phase::trial || until == Phase::soaking;
        EXPECT_EQ(device.current(), served ? "B" : "A") << to_word(until);
        EXPECT_EQ(device.is_rejected("C"), served) << to_word(until);
        EXPECT_NE(device.answer_to(deploy), nullptr) << to_word(until);
        EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rolled_back) << to_word(until);
    }
}

TEST(ManualRollback, during_a_manifest_trial_leaves_the_version_not_the_revision) {
    Device device;
    device.install("A").install("B");
    device.happens(ManifestApplied{"m", {.rev = "r2"}});

    device.rollback();
    EXPECT_TRUE(device.ever_told(DecisionKind::manifest_undecided));
    device.reaches_verifying().passes();

    EXPECT_EQ(device.current(), "A");
}

TEST(ManualRollback, target_that_fails_gives_way_to_an_older_one) {
    Device device;
    device.install("A").install("B").install("C");
    const auto seq = device.rollback();

    device.reaches_verifying().fails_through_the_rungs();
    EXPECT_EQ(device.m().revert->target, version("A"));
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rolled_back);
    EXPECT_EQ(device.current(), "A");
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(ManualRollback, target_that_fails_once_is_asked_again_before_it_is_given_up) {
    Device device;
    device.install("A").install("B").install("C");
    device.rollback();

    device.reaches_verifying().fails();
    EXPECT_EQ(device.phase(), Phase::verifying);
    EXPECT_EQ(device.m().work.kind, WorkKind::judge) << "probed again, nothing restarted yet";
    device.passes();

    EXPECT_EQ(device.current(), "B");
    EXPECT_FALSE(device.ever_told(DecisionKind::restarted));
}

TEST(ManualRollback, supersedes_what_waits) {
    Device device;
    device.install("A").install("B");
    device.happens(ManifestApplied{"m", {.rev = "r2"}});
    const auto waiting = device.deploy("C");

    device.rollback();

    EXPECT_EQ(device.answer_to(waiting)->kind, DecisionKind::superseded);
}

TEST(ManualRollback, that_nothing_answers_says_so) {
    Device device;
    device.install("A").install("B");
    const auto seq = device.rollback();
    device.reaches_verifying();

    for (int i = 0; i < device.policy.waits; ++i)
        device.silent().expires(Timer::retry);
    device.silent();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::degraded);
    EXPECT_EQ(device.answer_to(seq)->blame, Blame::infrastructure);
}

TEST(Pin, moves_to_the_pinned_version_and_stays_there) {
    Device device;
    device.install("A").install("B");

    const auto seq = device.pin("A");
    device.reaches_verifying().passes();
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rolled_back);
    EXPECT_EQ(device.current(), "A");
    EXPECT_FALSE(device.is_rejected("B"));
    device.happens(UnpinRequested{"m", 90});

    EXPECT_EQ(device.answer_to(90)->kind, DecisionKind::unpinned);
    EXPECT_TRUE(device.m().pinned.empty());
}

TEST(Pin, without_a_version_pins_what_serves) {
    Device device;
    device.install("A");

    EXPECT_EQ(device.answer_to(device.pin(""))->kind, DecisionKind::pinned);
    EXPECT_EQ(device.m().pinned, version("A"));
    EXPECT_EQ(device.phase(), Phase::steady);
}

TEST(Pin, target_that_fails_is_held) {
    Device device;
    device.install("A").install("B");
    const auto seq = device.pin("A");

    device.reaches_verifying().fails_through_the_rungs();

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.m().code, "pinned_fails");
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::held);
}

TEST(Pin, refuses_what_makes_no_sense) {
    Device device;
    EXPECT_EQ(device.happens(PinRequested{"x", {}, 90}).answer_to(90)->code, "not_found");
    EXPECT_EQ(device.happens(UnpinRequested{"x", 91}).answer_to(91)->code, "not_found");
    EXPECT_EQ(device.happens(UnpinRequested{"m", 92}).answer_to(92)->code, "not_pinned");
    EXPECT_EQ(device.answer_to(device.pin("A"))->code, "not_known_good");

    device.install("A").reaches_trial("B");

    EXPECT_EQ(device.answer_to(device.pin("A"))->code, "busy");
}

TEST(Pin, pinned_version_deployed_again_to_repair_it_is_held_if_it_does_not_pass) {
    Device device;
    device.install("A").install("B");
    device.pin("A");
    device.verified(false);
    ASSERT_EQ(device.phase(), Phase::held) << "the pinned version is corrupt";

    const auto seq = device.deploy("A");
    device.switched().fails();

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
}

TEST(Unreject, refuses_what_is_not_rejected) {
    Device device;

    EXPECT_EQ(device.happens(UnrejectRequested{"m", version("A"), 90}).answer_to(90)->code, "not_rejected");
    EXPECT_EQ(device.happens(UnrejectRequested{"x", version("A"), 91}).answer_to(91)->code, "not_found");
}

TEST(Remove, forgets_a_model_at_rest_and_refuses_a_busy_one) {
    Device device;
    device.install("A");
    device.deploy("B");
    EXPECT_EQ(device.happens(RemoveRequested{"m", 90}).answer_to(90)->code, "busy");
    device.goes_well();

    device.happens(RemoveRequested{"m", 91});

    EXPECT_EQ(device.answer_to(91)->kind, DecisionKind::removed);
    EXPECT_NE(device.action<ForgetModel>(), nullptr);
    EXPECT_TRUE(device.state.models.empty());
    EXPECT_EQ(device.happens(RemoveRequested{"m", 92}).answer_to(92)->code, "not_found");
}

TEST(Budgets, lists_do_not_grow_without_bound) {
    Device device;
    device.policy.known_good_kept = 2;
    device.policy.rejections_kept = 1;

    device.install("A").install("B").install("C");
    for (const char* bad : {"X", "Y"}) {
        device.reaches_trial(bad).fails();
        device.reaches_verifying().passes();
    }

    EXPECT_EQ(device.m().known_good.size(), 2U);
    EXPECT_EQ(find_known_good(device.m(), version("A")), nullptr);
    EXPECT_EQ(device.m().rejected.size(), 1U);
    EXPECT_TRUE(device.is_rejected("Y"));
}

}  // namespace
}  // namespace modelguard::core
