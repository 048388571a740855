#include "supervisor/core/gate.hpp"

#include <algorithm>

namespace modelguard::core {

namespace {

bool blames_os(const ModelState& model) {
    const bool rests = model.phase == Phase::degraded || model.phase == Phase::held;
    return rests && (model.code == "os" || model.code == "no_os_rollback" || model.code == "os_rollback_failed");
}

/// Between two verdicts, or none yet: what serves may still turn out well.
bool is_undecided(const ModelState& model) {
    switch (model.phase) {
        case Phase::steady: return !model.passed_here;
        case Phase::reverting:
        case Phase::verifying: return model.code != "cannot_switch";
        // The rungs of the ladder, each a matter of seconds.
        case Phase::degraded: return model.code == "failing";
        case Phase::empty:
        case Phase::kept:
        case Phase::baselining:
        case Phase::preflight:
        case Phase::switching:
        case Phase::trial:
        case Phase::soaking:
        case Phase::held: return false;
    }
    return false;
}

std::string in_phase(const ModelState& model) {
    return std::string(to_word(model.phase)) + (model.why.empty() ? "" : ": " + model.why);
}

/// But where a failing gate would reboot a device that nobody would roll back.
void fail(GateReason& reason, const OsView& os, const GateFacts& facts) {
    if (os.boot_trial.empty() && facts.red_boot_reboots)
        reason.text += "; the gate passes, since it would reboot this device at once";
    else
        reason.verdict = GateVerdict::fail;
}

GateReason reason_of(const std::string& name, const ModelState& model, const OsView& os, const GateFacts& facts) {
    GateReason reason{.model = name};
    const bool rests_with_something = is_at_rest(model.phase) && !model.current.empty();
    // What the ledger says of the last boot counts for nothing on this one.
    if (is_undecided(model) || (rests_with_something && !model.passed_here && !facts.is_judged(name))) {
        reason.text = "not judged yet on this boot (" + in_phase(model) + ")";
        return reason;
    }
    reason.verdict = GateVerdict::pass;
    if (is_healthy(model)) return reason;
    reason.is_warning = true;
    reason.text = in_phase(model);
    if (!blames_os(model)) return reason;
    fail(reason, os, facts);
    return reason;
}

GateReason reason_of(const GateScript& script, const OsView& os, const GateFacts& facts) {
    GateReason reason{.script = file_of(script)};
    if (!script.has_ended) {
        reason.text = "has not ended yet";
        return reason;
    }
    reason.verdict = GateVerdict::pass;
    if (script.passed) return reason;
    reason.is_warning = true;
    reason.text = script.text;
    if (script.is_required) fail(reason, os, facts);
    return reason;
}

}  // namespace

std::string file_of(const GateScript& script) {
    return (script.is_required ? "required.d/" : "wanted.d/") + script.name;
}

Gate decide_gate(const State& state, const GateFacts& facts) {
    Gate gate;
    for (const auto& [name, model] : state.models)
        if (model.managed && model.manifest.required)
            gate.reasons.push_back(reason_of(name, model, state.os.view, facts));
    for (const GateScript& script : facts.scripts)
        gate.reasons.push_back(reason_of(script, state.os.view, facts));
    const auto any = [&](GateVerdict verdict) {
        return std::ranges::find(gate.reasons, verdict, &GateReason::verdict) != gate.reasons.end();
    };
    gate.verdict = any(GateVerdict::fail)      ? GateVerdict::fail
                   : any(GateVerdict::pending) ? GateVerdict::pending
                                               : GateVerdict::pass;
    return gate;
}

std::string_view to_word(GateVerdict verdict) {
    switch (verdict) {
        case GateVerdict::pass: return "pass";
        case GateVerdict::fail: return "fail";
        case GateVerdict::pending: return "pending";
    }
    return "";
}

}  // namespace modelguard::core
