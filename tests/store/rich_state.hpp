#pragma once
// A State in which no member has its default, so that one forgotten on the way to disk and back shows.

#include <cmath>

#include "supervisor/core/step.hpp"

namespace modelguard::store::test {

inline Digest digest_of_letter(char letter) { return {"sha256:" + std::string(64, letter)}; }

inline core::ManifestFacts rich_manifest(const std::string& rev) {
    return {.rev = rev,
            .required = false,
            .preflight = true,
            .deadline = Usec{123'456'789},
            .soak = Usec{7},
            .on_inconclusive = core::OnInconclusive::hold};
}

inline core::CheckReport rich_report() {
    return {.check = "p99",
            .kind = "latency",
            .required = false,
            .verdict = core::VerdictKind::fail,
            .code = "too_slow",
            .text = "p99 80 ms, limit 50 ms \xc2\xb1 \"1\"",
            .measured = 0.1 + 0.2,
            .limit = HUGE_VAL,
            .baseline = -1e-300,
            .unit = "ms",
            .probes = 1'000'000'000'007,
            .took = Usec{81'000}};
}

inline core::ModelState rich_model() {
    core::ModelState s;
    s.phase = core::Phase::trial;
    s.managed = false;
    s.manifest = rich_manifest("r1");
    s.next_manifest = rich_manifest("r2");
    s.offered_rev = "r2";
    s.current = digest_of_letter('a');
    s.wish = core::Wish{.version = digest_of_letter('b'), .seq = UINT64_MAX, .origin = core::Origin::git};
    s.trial = core::Trial{.id = 9,
                          .kind = core::TrialKind::manifest,
                          .version = digest_of_letter('c'),
                          .manifest = rich_manifest("r3"),
                          .seq = 11,
                          .from = core::Phase::steady,
                          .has_baseline = true,
                          .baseline_passed = true,
                          .soaked = true,
                          .boots = 2,
                          .abort = core::Cause::pin,
                          .reports = {rich_report()}};
    s.revert = core::Revert{.cause = core::Cause::decay,
                            .target = digest_of_letter('d'),
                            .manifest = rich_manifest("r4"),
                            .left = {digest_of_letter('e'), digest_of_letter('f')},
                            .seq = 12,
                            .joined = {13, 14},
                            .code = "dropped",
                            .reports = {rich_report(), rich_report()}};
    s.known_good = {{.version = digest_of_letter('1'), .manifest = rich_manifest("r5"), .os = {"os-a", "os-b"}},
                    {.version = digest_of_letter('2'),
                     .manifest = rich_manifest("r6"),
                     .os = {"os-b"},
                     .fails_where_it_passed = true}};
    s.rejected = {{.version = digest_of_letter('3'), .manifest_rev = "r7", .code = "below_min"}};
    s.pinned = digest_of_letter('4');
    s.current_by_rollback = true;
    s.passed_here = true;
    s.waits_for_os = true;
    s.used = {.reprobes = 1, .restarts = 2, .waits = 3, .switches = 4};
    s.work = {.kind = core::WorkKind::restart_service, .id = 15};
    s.timers = {core::Timer::deadline, core::Timer::calm};
    s.code = "lkg_failed";
    s.why = "the LKG does not pass either";
    return s;
}

inline core::OsState rich_os() {
    core::OsState os;
    os.view = {.deployments = {{.id = "iot-1.0", .identity = "i1", .bootable = false, .os_pinned = true, .newness = 3},
                               {.id = "iot-2.0", .identity = "i2", .bootable = true, .os_pinned = false, .newness = 4}},
               .booted = "iot-2.0",
               .default_ = "iot-1.0",
               .staged = "iot-3.0",
               .fell_back = true,
               .boot_trial = "greenboot-rs"};
    os.boot_id = "b7f1";
    os.boot_complete = true;
    os.confirmed = true;
    os.rejected = {"i0"};
    os.rolled_back_from = {"iot-0.0"};
    os.rollbacks_in_window = 2;
    os.pending = core::OsPending{.target = "iot-1.0",
                                 .target_identity = "i1",
                                 .from_identity = "i2",
                                 .asked_by = "digits",
                                 .seq = 16,
                                 .step = core::OsStep::rebooting,
                                 .attempts = 1};
    os.verb = core::OsVerb::confirm_os_default;
    os.work_id = 17;
    os.timers = {core::Timer::os_window};
    return os;
}

inline core::State rich_state() {
    core::State state;
    state.models["digits"] = rich_model();
    state.models["letters"] = {};
    state.os = rich_os();
    state.next_id = 18;
    return state;
}

inline core::Decision rich_decision(const std::string& model = "digits") {
    return {.kind = core::DecisionKind::rejected,
            .model = model,
            .version = digest_of_letter('a'),
            .serving = digest_of_letter('b'),
            .seq = 3,
            .blame = core::Blame::model,
            .code = "below_min",
            .text = "accuracy 0.82, limit 0.90",
            .reports = {rich_report()}};
}

}  // namespace modelguard::store::test
