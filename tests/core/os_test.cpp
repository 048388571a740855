// The OS: a targeted rollback within its budget, rejected deployments dropped, the default confirmed.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

/// A serves and is known-good on os1; os2 was booted and A fails on it: the rollback is ordered.
Device failing_on_a_new_os() {
    Device device;
    device.install("A").updates_os();
    device.fails_through_the_rungs();
    return device;
}

TEST(OsRollback, orders_the_deployment_on_which_the_model_was_known_good_and_reboots_into_it) {
    Device device = failing_on_a_new_os();
    ASSERT_TRUE(device.state.os.pending);
    EXPECT_EQ(device.action<OrderOs>()->target, "os1.0");

    device.os_done();
    EXPECT_EQ(device.action<Reboot>()->target, "os1.0");
    device.os_done();
    device.os.default_ = "os1.0";
    device.reboots("os1.0");

    EXPECT_NE(device.told(DecisionKind::os_rolled_back), nullptr);
    EXPECT_EQ(device.m().work.kind, WorkKind::judge) << "does it work on the old OS?";
    device.passes().happens(BootCompleted{});
    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_EQ(device.state.os.rejected, std::vector<std::string>{"os2"});
    EXPECT_FALSE(device.is_rejected("A"));
}

TEST(OsRollback, drops_a_staged_deployment_first_by_an_action_of_its_own) {
    Device device;
    device.install("A").updates_os();
    device.os.deployments.push_back({.id = "os3.0", .identity = "os3", .newness = 3});
    device.os.staged = "os3.0";
    device.happens(OsObserved{device.os});

    device.fails_through_the_rungs();
    EXPECT_EQ(device.action<DropStaged>()->deployment, "os3.0");
    device.os_done();

    EXPECT_NE(device.told(DecisionKind::staged_dropped), nullptr);
    EXPECT_NE(device.action<OrderOs>(), nullptr);
}

TEST(OsRollback, what_is_staged_while_it_is_under_way_is_dropped_as_well) {
    Device device = failing_on_a_new_os();
    device.os.deployments.push_back({.id = "os3.0", .identity = "os3", .newness = 3});
    device.os.staged = "os3.0";
    device.happens(OsObserved{device.os});

    device.os_done();
    ASSERT_NE(device.action<DropStaged>(), nullptr) << "it would win over what was just ordered";
    device.os_done();
    EXPECT_NE(device.action<OrderOs>(), nullptr);
    device.os_done();
    EXPECT_NE(device.action<Reboot>(), nullptr);
}

TEST(OsRollback, staged_deployment_that_somebody_else_dropped_is_not_asked_for) {
    Device device;
    device.install("A").updates_os();
    device.os.deployments.push_back({.id = "os3.0", .identity = "os3", .newness = 3});
    device.os.staged = "os3.0";
    device.happens(OsObserved{device.os});
    device.fails_through_the_rungs();
    ASSERT_NE(device.action<DropStaged>(), nullptr);

    device.os.staged.clear();
    device.restarts_daemon();

    EXPECT_EQ(device.action<DropStaged>(), nullptr);
    EXPECT_NE(device.action<OrderOs>(), nullptr);
}

TEST(OsRollback, model_is_judged_anew_on_the_os_gone_back_to_and_not_blamed_beforehand) {
    Device device = failing_on_a_new_os();
    device.os_done().os_done();
    device.os.default_ = "os1.0";
    device.reboots("os1.0");

    EXPECT_EQ(device.m().code, "failing");
    device.silent();
    EXPECT_FALSE(is_standing_back(device.m()));
}

TEST(OsRollback, fault_that_is_older_than_the_os_is_not_blamed_on_it) {
    Device device;
    device.install("A").reaches_trial("B").fails().reaches_verifying().fails_through_the_rungs();
    ASSERT_EQ(device.m().code, "environment");

    device.updates_os();
    device.happens(BootCompleted{});
    device.reaches_trial("C").fails().reaches_verifying().fails_through_the_rungs();

    EXPECT_FALSE(device.state.os.pending);
    EXPECT_EQ(device.m().code, "environment");
    EXPECT_NE(device.m().why.find("did not before this OS came"), std::string::npos) << device.m().why;
}

TEST(OsRollback, version_that_came_well_again_before_the_os_changed_can_blame_the_os) {
    Device device;
    device.install("A").reaches_trial("B").fails().reaches_verifying().fails_through_the_rungs();
    device.passes();
    ASSERT_EQ(device.phase(), Phase::steady);

    device.updates_os().fails_through_the_rungs();

    ASSERT_NE(device.action<OrderOs>(), nullptr);
    EXPECT_EQ(device.action<OrderOs>()->target, "os1.0");
}

TEST(OsRollback, step_that_fails_is_tried_again_and_given_up_within_its_budget) {
    Device device = failing_on_a_new_os();

    for (int i = 1; i < device.policy.os_attempts; ++i) {
        device.os_done(false);
        device.happens(TimerExpired{"", Timer::os_retry});
        EXPECT_NE(device.action<OrderOs>(), nullptr);
    }
    device.os_done(false);

    EXPECT_NE(device.told(DecisionKind::os_rollback_failed), nullptr);
    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_EQ(device.m().code, "os_rollback_failed");
    EXPECT_FALSE(device.state.os.pending);
}

TEST(OsRollback, refused_reboot_is_asked_for_again_for_as_long_as_it_takes) {
    Device device = failing_on_a_new_os();
    device.os_done();

    for (int i = 0; i < device.policy.os_attempts + 3; ++i) {
        device.os_done(false);
        device.happens(TimerExpired{"", Timer::os_retry});
        EXPECT_NE(device.action<Reboot>(), nullptr);
    }
}

TEST(OsRollback, goes_on_after_a_restart_of_the_daemon_in_every_step) {
    Device device = failing_on_a_new_os();
    device.restarts_daemon();
    EXPECT_NE(device.action<OrderOs>(), nullptr);
    EXPECT_EQ(device.state.os.pending->attempts, 0);

    device.os_done().restarts_daemon();
    EXPECT_NE(device.action<Reboot>(), nullptr);
    device.os_done(false).restarts_daemon();

    EXPECT_EQ(device.action<Reboot>(), nullptr) << "the wait goes on";
    device.happens(TimerExpired{"", Timer::os_retry});
    EXPECT_NE(device.action<Reboot>(), nullptr);
}

TEST(OsRollback, boots_the_old_deployment_a_few_times_and_then_gives_up) {
    Device device = failing_on_a_new_os();

    for (int i = 1; i < device.policy.os_attempts; ++i) {
        device.reboots();
        EXPECT_NE(device.action<OrderOs>(), nullptr);
    }
    device.reboots();

    EXPECT_NE(device.told(DecisionKind::os_rollback_failed), nullptr);
}

TEST(OsRollback, deployment_to_go_back_to_that_is_gone_ends_it) {
    Device device = failing_on_a_new_os();
    std::erase_if(device.os.deployments, [](const Deployment& deployment) { return deployment.id == "os1.0"; });

    device.reboots();

    EXPECT_FALSE(device.ran_os_action());
    ASSERT_NE(device.told(DecisionKind::os_rollback_failed), nullptr);
    EXPECT_NE(device.told(DecisionKind::os_rollback_failed)->text.find("is gone"), std::string::npos);
    EXPECT_EQ(device.m().code, "os_rollback_failed");
}

TEST(OsRollback, another_deployment_than_the_one_asked_for_ends_it) {
    Device device = failing_on_a_new_os();
    device.os.deployments.push_back({.id = "os3.0", .identity = "os3", .newness = 3});

    device.reboots("os3.0");

    EXPECT_NE(device.told(DecisionKind::os_rollback_failed), nullptr);
    EXPECT_FALSE(device.state.os.pending);
}

TEST(OsRollback, stays_within_its_budget) {
    Device device;
    device.policy.os_rollbacks_per_window = 0;
    device.install("A").updates_os();

    device.fails_through_the_rungs();

    EXPECT_FALSE(device.state.os.pending);
    EXPECT_EQ(device.phase(), Phase::held);
}

TEST(OsRollback, budget_comes_back_with_its_window) {
    Device device = failing_on_a_new_os();
    EXPECT_EQ(device.state.os.rollbacks_in_window, 1);

    device.happens(TimerExpired{"", Timer::os_window});

    EXPECT_EQ(device.state.os.rollbacks_in_window, 0);
}

TEST(OsRollback, same_staging_is_rolled_back_from_once) {
    Device device = failing_on_a_new_os();
    device.os.default_ = "os1.0";
    device.reboots("os1.0").passes();
    device.os.default_ = "os2.0";
    device.reboots("os2.0");

    std::string why_not;

    EXPECT_EQ(os_rollback_target(device.state, device.policy, why_not), nullptr);
    EXPECT_NE(why_not.find("once already"), std::string::npos);
}

/// A serves and is known-good on os1; os2 was booted under the eyes of greenboot, and A fails on it.
Device blaming_a_watched_os() {
    Device device;
    device.os.boot_trial = "greenboot";
    device.install("A").updates_os();
    device.fails_through_the_rungs();
    return device;
}

TEST(WatchedBoot, os_is_left_to_whoever_watches_it) {
    Device device = blaming_a_watched_os();

    EXPECT_FALSE(device.state.os.pending);
    EXPECT_FALSE(device.ran_os_action());
    EXPECT_EQ(device.phase(), Phase::degraded);
    EXPECT_TRUE(is_standing_back(device.m()));
    EXPECT_NE(device.m().why.find("greenboot watches"), std::string::npos) << device.m().why;
    EXPECT_TRUE(device.state.os.rejected.empty()) << "it may pass at the next try";
}

TEST(WatchedBoot, os_that_was_left_is_rejected_and_dropped_when_it_is_staged_again) {
    Device device = blaming_a_watched_os();

    device.os.boot_trial.clear();
    device.reboots("os1.0", true);

    EXPECT_EQ(device.state.os.rejected, std::vector<std::string>{"os2"});
    ASSERT_NE(device.told(DecisionKind::os_rolled_back), nullptr);
    EXPECT_EQ(device.m().work.kind, WorkKind::judge);
    device.passes().happens(BootCompleted{});
    EXPECT_EQ(device.phase(), Phase::steady);
    ASSERT_NE(device.action<ConfirmOsDefault>(), nullptr) << "greenboot's toggle left os2 the default";
    EXPECT_EQ(device.action<ConfirmOsDefault>()->target, "os1.0");
    device.os_done();

    device.os.default_ = "os1.0";
    device.os.deployments.push_back({.id = "os2.1", .identity = "os2", .newness = 2});
    device.os.staged = "os2.1";
    device.happens(OsObserved{device.os});
    ASSERT_NE(device.action<DropStaged>(), nullptr);
    EXPECT_EQ(device.action<DropStaged>()->deployment, "os2.1");
}

TEST(WatchedBoot, same_os_booted_again_has_another_try_and_is_kept_where_it_passes) {
    Device device = blaming_a_watched_os();

    device.reboots("os2.0");
    EXPECT_EQ(device.m().work.kind, WorkKind::judge);
    EXPECT_FALSE(is_standing_back(device.m())) << "what was so on the last boot is not known of this one";
    device.passes().happens(BootCompleted{});

    EXPECT_EQ(device.phase(), Phase::steady);
    EXPECT_TRUE(device.state.os.rejected.empty());
}

TEST(WatchedBoot, once_nobody_watches_any_more_core_acts_itself) {
    Device device = blaming_a_watched_os();

    device.os.boot_trial.clear();
    device.reboots("os2.0").fails_through_the_rungs();

    ASSERT_NE(device.action<OrderOs>(), nullptr);
    EXPECT_EQ(device.action<OrderOs>()->target, "os1.0");
}

TEST(WatchedBoot, blame_is_told_once_while_it_goes_on_failing) {
    Device device = blaming_a_watched_os();
    const auto told = device.history.size();

    device.fails().fails();

    EXPECT_EQ(device.history.size(), told);
    EXPECT_EQ(device.m().work.kind, WorkKind::watch) << "it may still recover";
}

TEST(WatchedBoot, version_wanted_meanwhile_waits_for_another_os) {
    Device device = blaming_a_watched_os();

    device.deploy("B");
    EXPECT_EQ(device.phase(), Phase::degraded) << "a trial would hide the blame, and not be fair";

    device.os.boot_trial.clear();
    device.reboots("os1.0").passes();
    EXPECT_EQ(device.phase(), Phase::baselining);
}

TEST(WatchedBoot, restart_of_the_daemon_changes_nothing) {
    Device device = blaming_a_watched_os();

    device.restarts_daemon();

    EXPECT_TRUE(is_standing_back(device.m()));
    EXPECT_TRUE(device.state.os.rejected.empty());
}

struct TargetRow {
    const char* name;
    Deployment other;
    bool rejected;
    bool staged;
    bool known_good_there;
    bool required;
    bool found;
};

class OsTarget : public testing::TestWithParam<TargetRow> {};

TEST_P(OsTarget, is_bootable_not_rejected_and_has_what_every_required_model_needs) {
    const TargetRow& row = GetParam();
    State state;
    state.os.view.deployments = {{.id = "now.0", .identity = "now", .newness = 5}, row.other};
    state.os.view.booted = "now.0";
    if (row.staged) state.os.view.staged = row.other.id;
    if (row.rejected) state.os.rejected.push_back(row.other.identity);
    ModelState& model = state.models["m"];
    model.manifest.required = row.required;
    model.known_good.push_back({.version = version("A"), .manifest = {}, .os = {"now"}});
    if (row.known_good_there) model.known_good.back().os.push_back(row.other.identity);

    std::string why_not;
    const Deployment* target = os_rollback_target(state, {}, why_not);

    EXPECT_EQ(target != nullptr, row.found) << why_not;
    EXPECT_EQ(why_not.empty(), row.found);
}

INSTANTIATE_TEST_SUITE_P(
    design_section_10, OsTarget,
    testing::Values(
        TargetRow{"good_one_is_taken", {.id = "old.0", .identity = "old"}, false, false, true, true, true},
        TargetRow{"unbootable_is_not",
                  {.id = "old.0", .identity = "old", .bootable = false},
                  false,
                  false,
                  true,
                  true,
                  false},
        TargetRow{"same_os_staged_again_is_not", {.id = "now.1", .identity = "now"}, false, false, true, true, false},
        TargetRow{"rejected_is_not", {.id = "old.0", .identity = "old"}, true, false, true, true, false},
        TargetRow{"staged_is_not", {.id = "old.0", .identity = "old"}, false, true, true, true, false},
        TargetRow{
            "one_without_known_good_is_not", {.id = "old.0", .identity = "old"}, false, false, false, true, false},
        TargetRow{"one_is_enough_for_a_model_that_is_not_required",
                  {.id = "old.0", .identity = "old"},
                  false,
                  false,
                  false,
                  false,
                  true}),
    [](const testing::TestParamInfo<TargetRow>& row) { return std::string(row.param.name); });

TEST(OsTargetOrder, newest_of_several_is_taken) {
    State state;
    state.os.view.deployments = {{.id = "now.0", .identity = "now", .newness = 9},
                                 {.id = "a.0", .identity = "a", .newness = 1},
                                 {.id = "b.0", .identity = "b", .newness = 3},
                                 {.id = "c.0", .identity = "c", .newness = 2}};
    state.os.view.booted = "now.0";

    std::string why_not;

    EXPECT_EQ(os_rollback_target(state, {}, why_not)->id, "b.0");
}

TEST(OsRollback, operator_may_ask_for_one_and_gets_one_answer) {
    Device device;
    device.install("A").updates_os();
    device.passes();

    device.happens(OsRollbackRequested{90});
    EXPECT_TRUE(device.state.os.pending);
    device.happens(OsRollbackRequested{91});
    EXPECT_EQ(device.answer_to(91)->kind, DecisionKind::refused);
    EXPECT_EQ(device.answer_to(91)->text, "one is under way");
    device.os_done().os_done();
    device.os.default_ = "os1.0";
    device.reboots("os1.0");

    EXPECT_FALSE(device.state.os.pending);
    const auto answers = std::ranges::count(device.history, std::uint64_t{90}, &Decision::seq);
    EXPECT_EQ(answers, 1);
}

TEST(OsRollback, deploys_that_come_meanwhile_wait_for_its_end) {
    Device device = failing_on_a_new_os();

    const auto seq = device.deploy("B");
    EXPECT_EQ(device.m().trial, std::nullopt);
    EXPECT_EQ(device.answer_to(device.rollback())->code, "conflict");
    EXPECT_EQ(device.answer_to(device.pin("A"))->code, "busy");
    device.os.default_ = "os1.0";
    device.reboots("os1.0");

    EXPECT_EQ(device.m().trial->version, version("B"));
    EXPECT_EQ(device.answer_to(seq), nullptr);
}

TEST(OsRollback, nothing_is_tended_while_it_waits_for_its_next_attempt) {
    Device device = failing_on_a_new_os();
    device.os_done(false);
    ASSERT_TRUE(device.state.os.pending);
    ASSERT_FALSE(device.state.os.verb) << "it waits for the retry timer";

    device.os.deployments.push_back({.id = "os2.1", .identity = "os2", .newness = 7});
    device.os.staged = "os2.1";
    device.happens(OsObserved{device.os});

    EXPECT_EQ(device.action<DropStaged>(), nullptr) << "the rollback itself drops what is staged, in its turn";
}

TEST(OsRollback, deploys_that_waited_for_one_that_failed_are_tried_then) {
    Device device;
    device.install("A").updates_os();
    device.passes().happens(OsRollbackRequested{90});
    ASSERT_TRUE(device.state.os.pending);

    device.deploy("B");
    EXPECT_EQ(device.m().trial, std::nullopt);
    for (int i = 0; i < 10 && device.state.os.pending; ++i)
        device.state.os.verb ? device.os_done(false) : device.happens(TimerExpired{"", Timer::os_retry});

    EXPECT_EQ(device.answer_to(90)->kind, DecisionKind::os_rollback_failed);
    ASSERT_TRUE(device.m().trial);
    EXPECT_EQ(device.m().trial->version, version("B"));
}

TEST(OsTending, rejected_os_that_is_staged_again_is_dropped) {
    Device device = failing_on_a_new_os();
    device.os.default_ = "os1.0";
    device.reboots("os1.0").passes().happens(BootCompleted{});
    device.os.deployments.push_back({.id = "os2.1", .identity = "os2", .newness = 7});
    device.os.staged = "os2.1";

    device.happens(OsObserved{device.os});
    EXPECT_EQ(device.action<DropStaged>()->deployment, "os2.1");
    device.os_done();

    EXPECT_NE(device.told(DecisionKind::staged_dropped), nullptr);
    EXPECT_EQ(device.state.os.view.staged, "");
}

TEST(OsTending, rejected_os_is_left_staged_where_the_policy_says_so) {
    Device device = failing_on_a_new_os();
    device.policy.drop_rejected_staged = false;
    device.os.default_ = "os1.0";
    device.reboots("os1.0").passes().happens(BootCompleted{});
    device.os.deployments.push_back({.id = "os2.1", .identity = "os2", .newness = 7});
    device.os.staged = "os2.1";

    device.happens(OsObserved{device.os});

    EXPECT_EQ(device.action<DropStaged>(), nullptr);
}

TEST(OsTending, drop_that_fails_is_told_and_not_repeated_in_a_loop) {
    Device device = failing_on_a_new_os();
    device.os.default_ = "os1.0";
    device.reboots("os1.0").passes();
    device.os.deployments.push_back({.id = "os2.1", .identity = "os2", .newness = 7});
    device.os.staged = "os2.1";
    device.happens(OsObserved{device.os});

    device.os_done(false);

    EXPECT_EQ(device.told(DecisionKind::staged_dropped)->code, "failed");
    EXPECT_EQ(device.action<DropStaged>(), nullptr);
}

TEST(OsTending, booted_deployment_becomes_the_default_after_a_fallback_once_the_boot_is_complete) {
    Device device;
    device.install("A");
    device.os.deployments.push_back({.id = "os2.0", .identity = "os2", .newness = 2});
    device.os.default_ = "os2.0";

    device.reboots("os1.0", true);
    EXPECT_EQ(device.action<ConfirmOsDefault>(), nullptr);
    device.happens(BootCompleted{});
    EXPECT_EQ(device.action<ConfirmOsDefault>()->target, "os1.0");
    device.os_done();

    EXPECT_EQ(device.told(DecisionKind::os_default_confirmed)->code, "ordered");
    EXPECT_EQ(device.state.os.view.default_, "os1.0");
}

TEST(OsTending, confirmation_that_fails_is_tried_once_a_boot) {
    Device device;
    device.os.deployments.push_back({.id = "os2.0", .identity = "os2", .newness = 2});
    device.os.default_ = "os2.0";
    device.reboots("os1.0", true).happens(BootCompleted{});

    device.os_done(false);
    EXPECT_EQ(device.told(DecisionKind::os_default_confirmed)->code, "failed");
    device.happens(OsObserved{device.os});
    EXPECT_EQ(device.action<ConfirmOsDefault>(), nullptr);
    device.reboots("os1.0", true).happens(BootCompleted{});

    EXPECT_NE(device.action<ConfirmOsDefault>(), nullptr);
}

TEST(OsTending, pending_default_that_nobody_rejected_is_left_alone) {
    Device device;
    device.os.deployments.push_back({.id = "os2.0", .identity = "os2", .newness = 2});
    device.os.default_ = "os2.0";
    device.happens(OsObserved{device.os});

    EXPECT_TRUE(device.last.actions.empty());
    EXPECT_TRUE(device.last.decisions.empty());
}

TEST(OsBlame, backend_none_has_one_os_that_never_changes) {
    Device device;
    device.os = OsView{};
    device.reboots().happens(BootCompleted{});
    device.install("A").reboots().happens(BootCompleted{});

    device.fails_through_the_rungs();

    EXPECT_EQ(device.phase(), Phase::held);
    EXPECT_FALSE(device.ran_os_action());
}

}  // namespace
}  // namespace modelguard::core
