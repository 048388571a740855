// The runner and operations: which request ends with which decision, and how.

#include <algorithm>

#include "supervisor/daemon/active.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

namespace {

/// What a decision says about the operation whose seq it carries; nullopt: it goes on.
std::optional<store::OperationStatus> ending(core::DecisionKind kind) {
    using core::DecisionKind;
    using store::OperationStatus;
    switch (kind) {
        case DecisionKind::accepted:
        case DecisionKind::rolled_back:
        case DecisionKind::pinned:
        case DecisionKind::unpinned:
        case DecisionKind::unrejected:
        case DecisionKind::removed:
        case DecisionKind::os_rolled_back: return OperationStatus::done;
        case DecisionKind::rejected:
        case DecisionKind::undecided:
        case DecisionKind::superseded:
        case DecisionKind::refused:
        case DecisionKind::degraded:
        case DecisionKind::held:
        case DecisionKind::cleared:
        case DecisionKind::os_rollback_failed: return OperationStatus::no;
        case DecisionKind::kept:
        case DecisionKind::trial_started:
        case DecisionKind::baseline_measured:
        case DecisionKind::preflight_passed:
        case DecisionKind::switched:
        case DecisionKind::trial_passed:
        case DecisionKind::rolling_back:
        case DecisionKind::recovered:
        case DecisionKind::restarted:
        case DecisionKind::corrupt:
        case DecisionKind::unmanaged:
        case DecisionKind::manifest_accepted:
        case DecisionKind::manifest_rejected:
        case DecisionKind::manifest_undecided:
        case DecisionKind::resumed:
        case DecisionKind::staged_dropped:
        case DecisionKind::os_rollback_ordered:
        case DecisionKind::os_default_confirmed:
        case DecisionKind::rebuilt: return std::nullopt;
    }
    return std::nullopt;
}

/// A deploy ends with what becomes of its version, also where a second deploy of the same version gave its seq to the
/// trial.
bool ends(const core::Decision& decision, const store::Operation& operation) {
    if (decision.seq != 0 && decision.seq == operation.seq) return true;
    return operation.kind == "deploy" && decision.seq != 0 && decision.kind != core::DecisionKind::refused &&
           decision.model == operation.model && decision.version == operation.version;
}

/// What has become of the manifest revision of an `apply`, which is its code.
enum class Standing { pending, in_force, out };
Standing standing(const core::State& state, const store::Operation& operation) {
    const auto model = state.models.find(operation.model);
    if (model == state.models.end()) return Standing::out;
    const core::ModelState& s = model->second;
    const std::string& rev = operation.code;
    const bool on_trial = s.trial && s.trial->kind == core::TrialKind::manifest && s.trial->manifest.rev == rev;
    if (on_trial || (s.next_manifest && s.next_manifest->rev == rev)) return Standing::pending;
    return s.manifest.rev == rev ? Standing::in_force : Standing::out;
}

bool is_about_a_manifest(const core::Decision& decision) {
    using core::DecisionKind;
    return decision.kind == DecisionKind::manifest_accepted || decision.kind == DecisionKind::manifest_rejected ||
           decision.kind == DecisionKind::manifest_undecided || decision.kind == DecisionKind::refused ||
           decision.kind == DecisionKind::unmanaged;
}

}  // namespace

/// Of the operations that begin with this commit, and of those that are under way, the running ones that `is_ended`.
template <class Which, class End>
void Runner::conclude(store::Changes& changes, Which is_ended, End end) {
    const std::size_t begun = changes.operations.size();
    for (const auto& [seq, operation] : open_operations_) {
        const bool is_listed =
            std::ranges::find(changes.operations, seq, &store::Operation::seq) != changes.operations.end();
        if (!is_listed && is_ended(operation)) changes.operations.push_back(operation);
    }
    for (std::size_t at = 0; at < changes.operations.size(); ++at) {
        store::Operation& operation = changes.operations[at];
        if (operation.status != store::OperationStatus::running || (at < begun && !is_ended(operation))) continue;
        end(operation);
        operation.ended_wall_usec = sys::wall_now_usec();
    }
}

void Runner::conclude_operations(const std::vector<core::Decision>& decisions, store::Changes& changes) {
    for (const core::Decision& decision : decisions) {
        const auto status = ending(decision.kind);
        if (!status) continue;
        const auto is_ended = [&](const store::Operation& operation) { return ends(decision, operation); };
        conclude(changes, is_ended, [&](store::Operation& operation) {
            operation.status = *status;
            operation.code = decision.code.empty() ? std::string(core::to_word(decision.kind)) : decision.code;
            operation.text =
                std::string(core::to_word(decision.kind)) + (decision.text.empty() ? "" : ": " + decision.text);
        });
    }
    conclude_applies(decisions, changes);
}

/// A manifest that was sent ends with what the state has come to, not with one decision: its trial may be superseded,
/// its model may go.
void Runner::conclude_applies(const std::vector<core::Decision>& decisions, store::Changes& changes) {
    const auto is_ended = [&](const store::Operation& operation) {
        return operation.kind == "apply" && standing(*changes.state, operation) != Standing::pending;
    };
    conclude(changes, is_ended, [&](store::Operation& operation) {
        const bool in_force = standing(*changes.state, operation) == Standing::in_force;
        operation.status = in_force ? store::OperationStatus::done : store::OperationStatus::no;
        operation.text = in_force ? "manifest revision " + operation.code + " is in force"
                                  : "a newer manifest took the place of revision " + operation.code;
        const auto model = changes.state->models.find(operation.model);
        if (model == changes.state->models.end())
            operation.text = "the model was removed";
        else if (!in_force && core::find_rejection(model->second, model->second.current, operation.code))
            operation.text = "manifest revision " + operation.code +
                             " was rejected with the version that serves, and is not tried again by itself: unreject "
                             "that version, then apply";
        for (const core::Decision& decision : decisions)
            if (decision.model == operation.model && !decision.text.empty() && is_about_a_manifest(decision))
                operation.text = decision.text;
    });
}

}  // namespace modelguard::daemon
