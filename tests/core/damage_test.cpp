// A scrub found a known-good version damaged, in each phase.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

const VersionDamaged damaged(const std::string& name) { return {"m", version(name), "bad hash"}; }
bool is_known_good(Device& device, const std::string& name) {
    return find_known_good(device.m(), version(name)) != nullptr;
}

TEST(Damage, version_that_does_not_serve_is_told_and_counts_no_more) {
    Device device;
    device.install("A").install("B");

    device.happens(damaged("A"));

    ASSERT_NE(device.told(DecisionKind::corrupt), nullptr);
    EXPECT_EQ(device.told(DecisionKind::corrupt)->version, version("A"));
    EXPECT_EQ(device.told(DecisionKind::corrupt)->blame, Blame::environment);
    EXPECT_FALSE(is_known_good(device, "A"));
    EXPECT_FALSE(device.is_rejected("A"));
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "B");
}

TEST(Damage, current_gives_way_to_the_next_older_known_good_version) {
    Device device;
    device.install("A").install("B");

    device.happens(damaged("B"));
    EXPECT_EQ(device.phase(), Phase::reverting);
    device.goes_well();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "A");
    EXPECT_EQ(device.lkg_name(), "A");
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Damage, version_may_be_deployed_again) {
    Device device;
    device.install("A").install("B").happens(damaged("B")).goes_well();

    device.install("B");

    EXPECT_EQ(device.current(), "B");
    EXPECT_TRUE(is_known_good(device, "B"));
}

TEST(Damage, current_without_another_known_good_version_is_held_and_serves_on) {
    Device device;
    device.install("A");

    device.happens(damaged("A"));

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.current(), "A");
    EXPECT_EQ(device.m().code, "corrupt");
    EXPECT_FALSE(is_known_good(device, "A"));
}

TEST(Damage, pinned_current_is_held_and_not_moved) {
    Device device;
    device.install("A").install("B");
    device.pin("B");

    device.happens(damaged("B"));

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.current(), "B");
    device.deploy("B");  // repaired
    device.goes_well();
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "B");
}

TEST(Damage, lkg_is_not_the_way_back_of_a_trial_any_more) {
    Device device;
    device.install("A").install("B").reaches_trial("C");

    device.happens(damaged("B"));
    EXPECT_EQ(device.phase(), Phase::trial);
    device.fails().reaches_verifying().passes();

    EXPECT_EQ(device.current(), "A");
    EXPECT_TRUE(device.is_rejected("C"));
}

TEST(Damage, known_good_version_on_trial_once_more_is_taken_back_undecided) {
    Device device;
    device.install("A").install("B");
    device.deploy("A");

    device.happens(damaged("A"));

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "B");
    ASSERT_NE(device.told(DecisionKind::undecided), nullptr);
    EXPECT_EQ(device.told(DecisionKind::undecided)->code, "corrupt");
    EXPECT_FALSE(device.is_rejected("A"));
}

TEST(Damage, target_of_a_way_back_is_left_to_its_own_verification) {
    Device device;
    device.install("A").install("B").reaches_trial("C").fails();
    ASSERT_EQ(device.m().revert->target, version("B"));

    device.happens(damaged("B"));
    EXPECT_TRUE(device.last.decisions.empty());
    device.happens(VersionVerified{"m", device.m().work.id, version("B"), false, "bad hash"});
    device.verified().switched().passes();

    EXPECT_EQ(device.current(), "A");
    EXPECT_FALSE(is_known_good(device, "B"));
}

TEST(Damage, target_is_verified_again_before_each_try_of_the_switch) {
    Device device;
    device.install("A").install("B").reaches_trial("C").fails().verified();

    device.switched(SwitchResult::failed, false).happens(damaged("B")).expires(Timer::retry);

    ASSERT_NE(device.action<Verify>(), nullptr);
    EXPECT_EQ(device.action<Verify>()->version, version("B"));
}

TEST(Damage, version_that_waits_its_turn_is_refused) {
    Device device;
    device.install("A").install("B").reaches_trial("C").fails();
    const std::uint64_t seq = device.deploy("B");

    device.happens(damaged("B"));

    ASSERT_NE(device.answer_to(seq), nullptr);
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::refused);
    EXPECT_EQ(device.answer_to(seq)->code, "corrupt");
    EXPECT_FALSE(device.m().wish.has_value());
}

TEST(Damage, pin_to_a_damaged_version_is_held_and_goes_nowhere_else) {
    Device device;
    device.install("A").install("B").install("C");
    const std::uint64_t seq = device.pin("A");

    device.verified(false);

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.current(), "C");
    ASSERT_NE(device.answer_to(seq), nullptr);
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::held);
}

TEST(Damage, of_what_is_not_known_good_or_not_there_changes_nothing) {
    Device device;
    device.install("A").reaches_trial("B");
    const State before = device.state;

    for (const VersionDamaged& event :
         {damaged("B"), damaged("Z"), VersionDamaged{"nobody", version("A"), "bad hash"}}) {
        device.happens(event);
        EXPECT_EQ(device.state, before);
        EXPECT_TRUE(device.last.decisions.empty() && device.last.actions.empty());
    }
}

TEST(Damage, current_of_an_unmanaged_model_is_not_moved) {
    Device device;
    device.install("A").install("B").happens(ManifestGone{"m"});

    device.happens(damaged("B"));

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "B");
    EXPECT_TRUE(is_known_good(device, "B"));
}

}  // namespace
}  // namespace modelguard::core
