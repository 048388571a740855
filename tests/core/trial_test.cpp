// Forward: baseline, preflight, switch, trial, soak, known-good; and what ends a trial otherwise.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

constexpr Usec kNoSoak{0};

TEST(Trial, first_install_goes_straight_to_its_trial_and_becomes_known_good) {
    Device device;

    const auto seq = device.deploy("A");
    EXPECT_EQ(device.phase(), Phase::switching);
    device.verified();
    EXPECT_FALSE(device.action<Switch>()->way_back);
    device.switched();
    EXPECT_EQ(device.action<Judge>()->purpose, JudgePurpose::trial);
    EXPECT_FALSE(device.action<Judge>()->use_baseline);
    device.passes();
    EXPECT_EQ(device.phase(), Phase::soaking);
    device.expires(Timer::soak).passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.action<MarkKnownGood>()->version, version("A"));
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::accepted);
    EXPECT_EQ(device.m().known_good.back().os, std::vector<std::string>{"os1"});
}

TEST(Trial, upgrade_hashes_and_measures_the_lkg_before_it_switches) {
    Device device;
    device.install("A");

    device.deploy("B");
    EXPECT_EQ(device.phase(), Phase::baselining);
    EXPECT_EQ(device.action<Verify>()->depth, VerifyDepth::full);
    device.verified();
    EXPECT_EQ(device.action<Judge>()->purpose, JudgePurpose::baseline);
    EXPECT_EQ(device.action<Judge>()->version, version("A"));
    device.passes();
    EXPECT_EQ(device.action<Verify>()->version, version("B"));
    EXPECT_EQ(device.action<Verify>()->depth, VerifyDepth::stamps);
    device.verified();

    EXPECT_EQ(device.action<Switch>()->to, version("B"));
    device.switched();
    EXPECT_TRUE(device.action<Judge>()->use_baseline);
}

TEST(Trial, lkg_that_fails_its_baseline_does_not_stop_the_candidate) {
    Device device;
    device.install("A");
    device.deploy("B");

    device.verified().fails();

    EXPECT_EQ(device.phase(), Phase::switching);
    EXPECT_EQ(device.told(DecisionKind::baseline_measured)->code, "fail");
}

TEST(Trial, silent_baseline_is_waited_for_and_then_leaves_the_candidate_undecided) {
    Device device;
    device.install("A");
    const auto seq = device.deploy("B");
    device.verified();

    for (int i = 0; i < device.policy.waits; ++i)
        device.silent().expires(Timer::retry);
    device.silent();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.answer_to(seq)->code, "no_baseline");
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Trial, corrupt_lkg_gives_its_place_to_an_older_one_before_the_candidate_is_tried) {
    Device device;
    device.install("A").install("B");
    const auto seq = device.deploy("C");

    device.verified(false);

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->target, version("A"));
    device.reaches_verifying().passes();
    EXPECT_EQ(device.phase(), Phase::baselining) << "then it is C's turn, measured against A";
    EXPECT_EQ(device.answer_to(seq), nullptr);
    device.goes_well();
    EXPECT_EQ(device.current(), "C");
}

TEST(Trial, corrupt_lkg_without_an_older_one_lets_the_candidate_try_without_baseline) {
    Device device;
    device.install("A");
    device.deploy("B");

    device.verified(false);

    EXPECT_TRUE(device.ever_told(DecisionKind::held));
    EXPECT_EQ(device.phase(), Phase::switching);
    device.goes_well();
    EXPECT_EQ(device.lkg_name(), "B");
}

TEST(Trial, preflight_runs_beside_current_and_is_stopped_before_the_switch) {
    Device device({.rev = "r1", .preflight = true});
    device.install("A");

    device.deploy("B");
    device.verified().passes();
    EXPECT_EQ(device.phase(), Phase::preflight);
    EXPECT_EQ(device.action<StartPreflight>()->version, version("B"));
    device.preflight_started();
    EXPECT_EQ(device.action<Judge>()->where, Where::preflight);
    EXPECT_EQ(device.current(), "A");
    device.passes();

    EXPECT_NE(device.action<StopPreflight>(), nullptr);
    EXPECT_EQ(device.phase(), Phase::switching);
}

TEST(Trial, candidate_that_fails_its_preflight_is_rejected_and_never_serves) {
    Device device({.rev = "r1", .preflight = true});
    device.install("A");
    const auto seq = device.deploy("B");

    device.verified().passes().preflight_started().fails();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rejected);
    EXPECT_EQ(device.answer_to(seq)->blame, Blame::model);
    EXPECT_TRUE(device.is_rejected("B"));
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.action<Switch>(), nullptr);
    EXPECT_NE(device.action<StopPreflight>(), nullptr);
}

TEST(Trial, failing_preflight_after_a_failing_baseline_blames_the_environment) {
    Device device({.rev = "r1", .preflight = true});
    device.install("A");
    const auto seq = device.deploy("B");

    device.verified().fails().preflight_started().fails();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.answer_to(seq)->blame, Blame::environment);
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Trial, preflight_that_does_not_start_or_answer_is_infrastructure) {
    Device device({.rev = "r1", .preflight = true});
    device.install("A");

    const auto first = device.deploy("B");
    device.verified().passes().preflight_started(false);
    EXPECT_EQ(device.answer_to(first)->code, "preflight_not_started");

    const auto second = device.deploy("B");
    device.verified().passes().preflight_started();
    for (int i = 0; i < device.policy.waits; ++i)
        device.silent().expires(Timer::retry);
    device.silent();
    EXPECT_EQ(device.answer_to(second)->code, "preflight_inconclusive");
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Trial, refusal_by_the_server_is_hard_evidence) {
    Device device;
    device.install("A");
    const auto seq = device.deploy("B");
    device.verified().passes();

    device.switched(SwitchResult::refused);
    EXPECT_EQ(device.phase(), Phase::reverting);
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::rejected);
    EXPECT_EQ(device.answer_to(seq)->code, "refused");
}

TEST(Trial, switch_that_moved_nothing_leaves_the_candidate_undecided) {
    Device device;
    device.install("A");
    const auto seq = device.deploy("B");
    device.verified().passes();

    device.switched(SwitchResult::failed, false);

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "A");
}

TEST(Trial, reload_that_fails_is_tried_again_and_then_counts_as_failing) {
    Device device;
    device.install("A");
    device.deploy("B");
    device.verified().passes();

    for (int i = 0; i < device.policy.switches; ++i)
        device.switched(SwitchResult::failed, true).expires(Timer::retry);
    EXPECT_EQ(device.phase(), Phase::switching);
    device.switched(SwitchResult::failed, true);

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->code, "switch_failed");
}

TEST(Trial, soak_ends_with_one_more_judging) {
    Device device;
    device.install("A").reaches_trial("B").passes();

    device.expires(Timer::soak);

    EXPECT_EQ(device.m().work.kind, WorkKind::judge);
    EXPECT_EQ(device.lkg_name(), "A");
}

TEST(Trial, one_flaky_probe_in_the_soak_is_forgiven_and_a_lasting_failure_is_not) {
    Device device;
    device.install("A").reaches_trial("B").passes();

    device.fails().passes();
    EXPECT_EQ(device.phase(), Phase::soaking);
    device.fails();
    for (int i = 0; i < device.policy.reprobes; ++i)
        device.fails();

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->code, "failed_in_soak");
}

TEST(Trial, without_a_soak_it_is_accepted_at_once_if_the_boot_is_complete) {
    Device device({.rev = "r1", .soak = kNoSoak});

    device.reaches_trial("A").passes();

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.lkg_name(), "A");
}

TEST(Trial, nothing_is_known_good_before_the_boot_is_complete) {
    Device device({.rev = "r1", .soak = kNoSoak});
    device.reboots();

    device.reaches_trial("A").passes();
    EXPECT_EQ(device.phase(), Phase::soaking);
    EXPECT_EQ(device.lkg_name(), "");
    device.happens(BootCompleted{});

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.lkg_name(), "A");
}

TEST(Trial, known_good_version_is_known_good_on_a_new_os_only_once_it_passed_and_the_boot_is_complete) {
    Device device;
    device.install("A").updates_os();
    EXPECT_EQ(device.action<Judge>()->purpose, JudgePurpose::recheck);

    device.passes();
    EXPECT_EQ(device.m().known_good.back().os.back(), "os1");
    device.happens(BootCompleted{});

    EXPECT_EQ(device.m().known_good.back().os, (std::vector<std::string>{"os1", "os2"}));
}

TEST(Trial, what_soaked_on_another_boot_is_judged_again_before_it_is_accepted) {
    Device device;
    device.reboots();
    device.reaches_trial("A").passes().expires(Timer::soak).passes();
    ASSERT_EQ(device.phase(), Phase::soaking) << "the boot is not complete";

    device.reboots();

    EXPECT_EQ(device.m().work.kind, WorkKind::judge);
    device.happens(BootCompleted{});
    EXPECT_EQ(device.phase(), Phase::soaking);
    device.passes();
    EXPECT_EQ(device.phase(), Phase::steady);
}

TEST(Trial, too_many_boots_speak_against_the_candidate) {
    Device device;
    device.install("A").reaches_trial("B");

    for (int i = 0; i < device.policy.boots_in_trial; ++i)
        device.reboots();
    EXPECT_EQ(device.phase(), Phase::trial);
    device.reboots();

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->code, "boots");
}

TEST(Trial, no_verdict_by_the_deadline_keeps_the_known_good_version) {
    Device device;
    device.install("A");
    const auto seq = device.deploy("B");
    device.verified().passes().switched();

    device.expires(Timer::deadline);
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.current(), "A");
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Trial, silence_is_waited_out_within_the_budget) {
    Device device;
    device.install("A").reaches_trial("B");

    for (int i = 0; i < device.policy.waits; ++i) {
        device.silent();
        EXPECT_EQ(device.phase(), Phase::trial);
        device.expires(Timer::retry);
    }
    device.silent();

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.m().revert->cause, Cause::undecided);
}

TEST(Trial, silence_in_the_soak_is_waited_out_as_well) {
    Device device;
    device.install("A").reaches_trial("B").passes().expires(Timer::soak);

    for (int i = 0; i < device.policy.waits; ++i)
        device.silent().expires(Timer::retry);
    device.silent();

    EXPECT_EQ(device.m().revert->cause, Cause::undecided);
}

TEST(Trial, manifest_may_say_to_accept_what_cannot_be_decided) {
    Device device({.rev = "r1", .on_inconclusive = OnInconclusive::accept});
    device.install("A").reaches_trial("B").expires(Timer::deadline);

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.lkg_name(), "B");
}

TEST(Trial, accepted_without_a_verdict_before_the_boot_is_complete_it_asks_no_more) {
    Device device({.rev = "r1", .on_inconclusive = OnInconclusive::accept});
    device.install("A").reaches_trial("B").silent().reboots();
    ASSERT_EQ(device.m().timers, (std::vector{Timer::deadline, Timer::retry}));

    device.expires(Timer::deadline);

    EXPECT_EQ(device.phase(), Phase::soaking);
    EXPECT_TRUE(device.m().timers.empty()) << "a retry would judge what is only watched now";
    device.happens(BootCompleted{});
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.lkg_name(), "B");
}

TEST(Trial, manifest_may_say_to_hold_what_cannot_be_decided) {
    Device device({.rev = "r1", .on_inconclusive = OnInconclusive::hold});
    device.install("A").reaches_trial("B").expires(Timer::deadline);

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.current(), "B");
    device.passes();
    EXPECT_EQ(device.phase(), Phase::held) << "one answer does not make it good";
}

TEST(Trial, older_known_good_version_that_is_deployed_again_is_the_lkg_and_counts_once) {
    Device device;
    device.install("A").install("B").install("A");

    ASSERT_EQ(device.m().known_good.size(), 2u);
    EXPECT_EQ(device.m().known_good.front().version, version("B"));
    EXPECT_EQ(device.lkg_name(), "A");
}

// ---- wishes --------------------------------------------------------------------------------------------------------

TEST(Wish, newest_wins_in_every_phase_of_a_trial) {
    for (const Phase until : {Phase::baselining, Phase::preflight, Phase::switching, Phase::trial, Phase::soaking}) {
        Device device({.rev = "r1", .preflight = true});
        device.install("A");
        const auto older = device.deploy("B");
        for (int i = 0; i < 30 && device.phase() != until; ++i)
            device.answer_well();

        const auto newer = device.deploy("C");
        device.goes_well();

        EXPECT_EQ(device.answer_to(older)->kind, DecisionKind::superseded) << to_word(until);
        EXPECT_EQ(device.answer_to(newer)->kind, DecisionKind::accepted) << to_word(until);
        EXPECT_EQ(device.current(), "C") << to_word(until);
        EXPECT_FALSE(device.is_rejected("B")) << to_word(until);
    }
}

TEST(Wish, two_that_wait_are_one_the_newer) {
    Device device;
    device.install("A").reaches_trial("B").fails();

    const auto first = device.deploy("C");
    const auto second = device.deploy("D");
    device.goes_well();

    EXPECT_EQ(device.answer_to(first)->kind, DecisionKind::superseded);
    EXPECT_EQ(device.answer_to(second)->kind, DecisionKind::accepted);
}

TEST(Wish, same_version_again_during_its_trial_hands_the_answer_to_the_newer_request) {
    Device device;
    device.install("A");
    const auto first = device.deploy("B");

    const auto second = device.deploy("B");
    EXPECT_EQ(device.answer_to(first)->code, "asked_again");
    device.goes_well();

    EXPECT_EQ(device.answer_to(second)->kind, DecisionKind::accepted);
}

TEST(Wish, what_serves_and_passes_is_accepted_without_a_trial) {
    Device device;
    device.install("A");

    const auto seq = device.deploy("A");

    EXPECT_EQ(device.answer_to(seq)->code, "already_current");
    EXPECT_EQ(device.phase(), Phase::steady);
}

TEST(Wish, what_serves_and_fails_is_not_tried_again_by_deploying_it) {
    Device device;
    device.install("A");
    device.fails_through_the_rungs();

    const auto seq = device.deploy("A");

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::refused);
    EXPECT_EQ(device.phase(), Phase::held);
}

TEST(Wish, rejected_version_is_refused_until_it_is_unrejected) {
    Device device;
    device.install("A").reaches_trial("B").fails();
    device.reaches_verifying().passes();

    const auto refused = device.deploy("B");
    EXPECT_EQ(device.answer_to(refused)->code, "rejected");
    EXPECT_EQ(device.phase(), Phase::steady);
    device.happens(UnrejectRequested{"m", version("B"), 90});
    EXPECT_EQ(device.answer_to(90)->kind, DecisionKind::unrejected);
    device.deploy("B");

    EXPECT_EQ(device.phase(), Phase::baselining);
}

TEST(Wish, version_that_is_rejected_while_it_waits_is_not_tried_when_its_turn_comes) {
    Device device;
    device.install("A").reaches_trial("B").fails();

    const auto seq = device.deploy("B");
    device.reaches_verifying().passes();

    EXPECT_EQ(device.answer_to(seq)->code, "rejected");
    EXPECT_EQ(device.phase(), Phase::steady);
}

TEST(Wish, unmanaged_unknown_and_pinned_models_refuse) {
    Device device;
    device.install("A");
    EXPECT_EQ(device.happens(VersionWanted{"x", version("A"), 90, {}}).answer_to(90)->code, "not_found");

    device.pin("A");
    EXPECT_EQ(device.answer_to(device.deploy("B"))->code, "pinned");
    device.happens(ManifestGone{"m"});
    EXPECT_EQ(device.answer_to(device.deploy("B"))->code, "unmanaged");
}

// ---- manifests -----------------------------------------------------------------------------------------------------

TEST(Trial, a_candidate_that_is_damaged_before_its_switch_never_serves) {
    Device device;
    device.install("A");

    const auto seq = device.deploy("B");
    device.verified().passes();
    ASSERT_EQ(device.phase(), Phase::switching);
    device.verified(false);

    EXPECT_EQ(device.action<Switch>(), nullptr);
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.current(), "A");
    EXPECT_EQ(device.told(DecisionKind::corrupt)->version, version("B"));
    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.answer_to(seq)->code, "corrupt");
    EXPECT_FALSE(device.is_rejected("B"));
}

TEST(Trial, a_candidate_that_is_damaged_between_two_tries_of_its_switch_is_left) {
    Device device;
    device.install("A");

    device.deploy("B");
    device.verified().passes().switched(SwitchResult::failed);
    ASSERT_EQ(device.current(), "B");
    device.expires(Timer::retry).verified(false);

    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(device.action<Verify>()->version, version("A"));
}

TEST(ManifestRevision, new_thresholds_are_tried_on_the_current_version) {
    Device device;
    device.install("A");

    device.happens(ManifestApplied{"m", {.rev = "r2"}});
    EXPECT_EQ(device.phase(), Phase::trial);
    EXPECT_EQ(device.action<Judge>()->manifest_rev, "r2");
    EXPECT_EQ(device.action<Judge>()->subject, Subject::current);
    EXPECT_EQ(device.action<Switch>(), nullptr);
    device.passes();

    EXPECT_NE(device.told(DecisionKind::manifest_accepted), nullptr);
    EXPECT_EQ(device.m().manifest.rev, "r2");
    EXPECT_EQ(device.m().known_good.back().manifest.rev, "r2");
}

TEST(ManifestRevision, one_that_fails_is_rejected_and_the_version_stays_known_good) {
    Device device;
    device.install("A");

    device.happens(ManifestApplied{"m", {.rev = "r2"}}).fails();

    EXPECT_NE(device.told(DecisionKind::manifest_rejected), nullptr);
    EXPECT_EQ(device.m().manifest.rev, "r1");
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.lkg_name(), "A");
    EXPECT_NE(find_rejection(device.m(), version("A"), "r2"), nullptr);
    EXPECT_EQ(find_rejection(device.m(), version("A"), "r1"), nullptr);
}

TEST(ManifestRevision, rejected_one_is_refused_when_it_comes_again_and_unreject_lifts_it) {
    Device device;
    device.install("A");
    device.happens(ManifestApplied{"m", {.rev = "r2"}}).fails();
    device.happens(ManifestApplied{"m", {.rev = "r1"}});

    device.happens(ManifestApplied{"m", {.rev = "r2"}});
    EXPECT_EQ(device.told(DecisionKind::refused)->code, "rejected");
    device.happens(UnrejectRequested{"m", version("A"), 90}).happens(ManifestApplied{"m", {.rev = "r2"}});

    EXPECT_EQ(device.phase(), Phase::trial);
}

TEST(ManifestRevision, deadline_or_silence_leaves_the_previous_one_in_force) {
    Device device;
    device.install("A");

    device.happens(ManifestApplied{"m", {.rev = "r2"}}).expires(Timer::deadline);
    EXPECT_NE(device.told(DecisionKind::manifest_undecided), nullptr);
    device.happens(ManifestApplied{"m", {.rev = "r3"}});
    for (int i = 0; i < device.policy.waits; ++i)
        device.silent().expires(Timer::retry);
    device.silent();

    EXPECT_NE(device.told(DecisionKind::manifest_undecided), nullptr);
    EXPECT_EQ(device.m().manifest.rev, "r1");
    EXPECT_TRUE(device.m().rejected.empty());
}

TEST(ManifestRevision, arrives_during_a_trial_and_waits_its_turn) {
    Device device;
    device.install("A").reaches_trial("B");

    device.happens(ManifestApplied{"m", {.rev = "r2"}});
    EXPECT_EQ(device.m().trial->kind, TrialKind::version);
    device.goes_well();

    EXPECT_EQ(device.current(), "B");
    EXPECT_EQ(device.m().manifest.rev, "r2");
}

TEST(ManifestRevision, known_good_version_is_rechecked_under_its_own) {
    Device device;
    device.install("A");
    device.happens(ManifestApplied{"m", {.rev = "r2"}}).passes();
    device.install("B");
    device.happens(ManifestApplied{"m", {.rev = "r3"}}).passes();

    device.reaches_trial("C").fails();
    device.reaches_verifying();

    EXPECT_EQ(device.action<Judge>()->purpose, JudgePurpose::way_back);
    EXPECT_EQ(device.action<Judge>()->manifest_rev, "r3");
    device.fails_through_the_rungs();
    EXPECT_EQ(device.phase(), Phase::degraded);
    EXPECT_EQ(find_known_good(device.m(), version("A"))->manifest.rev, "r2");
}

TEST(ManifestRevision, is_simply_in_force_while_nothing_is_served) {
    Device device;

    device.happens(ManifestApplied{"m", {.rev = "r2"}});

    EXPECT_EQ(device.m().manifest.rev, "r2");
    EXPECT_NE(device.told(DecisionKind::manifest_accepted), nullptr);
}

TEST(ManifestRevision, read_again_unchanged_is_nothing_new) {
    Device device;
    device.install("A");

    device.happens(ManifestApplied{"m", {.rev = "r1"}});

    EXPECT_TRUE(device.last.decisions.empty());
    EXPECT_TRUE(device.last.actions.empty());
}

TEST(ManifestRevision, vanished_manifest_leaves_its_model_served_and_unmanaged) {
    Device device;
    device.install("A");

    device.happens(ManifestGone{"m"});
    EXPECT_NE(device.told(DecisionKind::unmanaged), nullptr);
    EXPECT_EQ(device.current(), "A");
    EXPECT_EQ(device.m().work.kind, WorkKind::none);
    device.happens(ManifestApplied{"m", {.rev = "r1"}});

    EXPECT_EQ(device.m().work.kind, WorkKind::watch);
}

TEST(ManifestRevision, vanished_manifest_ends_a_trial_undecided) {
    Device device;
    device.install("A");
    const auto seq = device.deploy("B");

    device.happens(ManifestGone{"m"});

    EXPECT_EQ(device.answer_to(seq)->kind, DecisionKind::undecided);
    EXPECT_EQ(device.current(), "A");
}

}  // namespace
}  // namespace modelguard::core
