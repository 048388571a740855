// The boot gate: the OS is blamed for nothing that another OS would not help, and nothing is said before it is known.

#include <gtest/gtest.h>

#include "supervisor/core/gate.hpp"
#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

Gate gate_of(const Device& device, bool is_judged = true, bool red_boot_reboots = false) {
    return decide_gate(device.state, {.red_boot_reboots = red_boot_reboots,
                                      .is_judged = [is_judged](const std::string&) { return is_judged; }});
}

GateScript script(const char* name, bool is_required, bool passed, const char* text = "") {
    return {.name = name, .is_required = is_required, .has_ended = true, .passed = passed, .text = text};
}

Device booted_with(const std::string& version) {
    Device device;
    device.install(version).reboots();
    return device;
}

TEST(Gate, waits_for_the_first_verdict_of_this_boot_and_passes_with_it) {
    Device device = booted_with("A");
    EXPECT_EQ(gate_of(device, false).verdict, GateVerdict::pending);

    device.passes();

    EXPECT_EQ(gate_of(device).verdict, GateVerdict::pass);
    EXPECT_FALSE(gate_of(device).reasons.front().is_warning);
}

TEST(Gate, waits_while_the_ladder_is_climbed) {
    Device device = booted_with("A");

    device.fails();

    EXPECT_EQ(device.phase(), Phase::degraded);
    EXPECT_EQ(gate_of(device).verdict, GateVerdict::pending);
}

TEST(Gate, waits_for_a_way_back_and_passes_once_the_known_good_version_serves) {
    Device device;
    device.install("A").reaches_trial("B").fails();
    EXPECT_EQ(device.phase(), Phase::reverting);
    EXPECT_EQ(gate_of(device).verdict, GateVerdict::pending);

    device.reaches_verifying();
    EXPECT_EQ(gate_of(device).verdict, GateVerdict::pending);
    device.passes();

    EXPECT_EQ(gate_of(device).verdict, GateVerdict::pass);
}

TEST(Gate, open_trial_does_not_delay_a_boot) {
    Device device;
    device.install("A").reaches_trial("B").reboots();
    EXPECT_EQ(device.phase(), Phase::trial);
    EXPECT_EQ(gate_of(device, false).verdict, GateVerdict::pass);
}

TEST(Gate, nothing_installed_yet_is_a_warning_and_no_reason_to_go_back) {
    const Gate gate = gate_of(Device(), false);

    EXPECT_EQ(gate.verdict, GateVerdict::pass);
    EXPECT_TRUE(gate.reasons.front().is_warning);
}

TEST(Gate, environment_to_blame_is_a_warning) {
    Device device;
    device.install("A").reaches_trial("B").fails().reaches_verifying().fails_through_the_rungs();
    ASSERT_EQ(device.m().code, "environment");

    const Gate gate = gate_of(device);
    EXPECT_EQ(gate.verdict, GateVerdict::pass);
    EXPECT_TRUE(gate.reasons.front().is_warning);
    EXPECT_NE(gate.reasons.front().text.find("does not pass either"), std::string::npos);
}

TEST(Gate, what_the_ledger_says_of_the_last_boot_is_not_believed) {
    Device device;
    device.policy.os_rollbacks_per_window = 0;
    device.install("A").updates_os().fails_through_the_rungs();
    ASSERT_EQ(device.phase(), Phase::held);
    device.reboots();

    EXPECT_EQ(gate_of(device, false).verdict, GateVerdict::pending);
}

TEST(Gate, models_that_are_not_required_or_not_managed_are_not_asked) {
    Device device({.rev = "r1", .required = false});
    EXPECT_TRUE(gate_of(device, false).reasons.empty());
    EXPECT_EQ(gate_of(device, false).verdict, GateVerdict::pass);

    Device unmanaged = booted_with("A");
    unmanaged.happens(ManifestGone{"m"});
    EXPECT_TRUE(gate_of(unmanaged, false).reasons.empty());
}

TEST(Gate, one_model_that_fails_outweighs_one_that_is_not_known_yet) {
    Device device;
    device.os.boot_trial = "greenboot";
    device.install("A").updates_os().fails_through_the_rungs();
    device.state.models["n"] = device.m();
    device.m("n").phase = Phase::steady;
    EXPECT_EQ(gate_of(device).verdict, GateVerdict::fail);
}

TEST(Gate, waits_for_its_scripts_and_a_wanted_one_is_a_warning) {
    Device device = booted_with("A");
    device.passes();
    GateFacts facts{.red_boot_reboots = false,
                    .is_judged = [](const std::string&) { return true; },
                    .scripts = {script("a", true, true), script("b", false, false, "exit status 1")}};
    facts.scripts.front().has_ended = false;
    EXPECT_EQ(decide_gate(device.state, facts).verdict, GateVerdict::pending);

    facts.scripts.front().has_ended = true;

    const Gate gate = decide_gate(device.state, facts);
    EXPECT_EQ(gate.verdict, GateVerdict::pass);
    EXPECT_EQ(gate.reasons[1], (GateReason{.script = "required.d/a", .verdict = GateVerdict::pass}));
    EXPECT_EQ(gate.reasons[2],
              (GateReason{
                  .script = "wanted.d/b", .verdict = GateVerdict::pass, .is_warning = true, .text = "exit status 1"}));
}

struct OwnerRow {
    const char* name;
    const char* boot_trial;
    bool red_boot_reboots;
    GateVerdict verdict;
    bool core_acts;
};

class Owner : public testing::TestWithParam<OwnerRow> {};

/// DESIGN.md section 10, the blame on the OS: who acts, and what the gate says.
TEST_P(Owner, of_an_os_rollback_is_one_alone) {
    const OwnerRow& row = GetParam();
    Device device;
    device.install("A");
    device.os.boot_trial = row.boot_trial;
    device.updates_os().fails_through_the_rungs();

    const Gate gate = gate_of(device, true, row.red_boot_reboots);

    EXPECT_EQ(gate.verdict, row.verdict);
    EXPECT_TRUE(gate.reasons.front().is_warning);
    EXPECT_EQ(device.state.os.pending.has_value(), row.core_acts);
}

/// A required script that fails speaks against the boot where a model with a bad OS does; nobody is asked to go back.
TEST_P(Owner, of_what_a_required_script_says_is_who_watches_the_boot) {
    const OwnerRow& row = GetParam();
    Device device = booted_with("A");
    device.passes();
    device.state.os.view.boot_trial = row.boot_trial;

    const Gate gate = decide_gate(device.state, {.red_boot_reboots = row.red_boot_reboots,
                                                 .is_judged = [](const std::string&) { return true; },
                                                 .scripts = {script("10_disk", true, false, "exit status 3")}});

    EXPECT_EQ(gate.verdict, row.verdict);
    ASSERT_EQ(gate.reasons.size(), 2u);
    EXPECT_EQ(gate.reasons.back().script, "required.d/10_disk");
    EXPECT_TRUE(gate.reasons.back().is_warning);
    EXPECT_TRUE(gate.reasons.back().text.starts_with("exit status 3"));
    EXPECT_FALSE(device.state.os.pending.has_value());
}

INSTANTIATE_TEST_SUITE_P(design_section_10, Owner,
                         testing::Values(OwnerRow{"bash_trial", "greenboot", false, GateVerdict::fail, false},
                                         OwnerRow{"bash", "", false, GateVerdict::fail, true},
                                         OwnerRow{"rs_trial", "greenboot-rs", true, GateVerdict::fail, false},
                                         OwnerRow{"rs", "", true, GateVerdict::pass, true},
                                         OwnerRow{"neither", "", false, GateVerdict::fail, true}),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace modelguard::core
