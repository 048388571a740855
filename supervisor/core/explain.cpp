// What a decision means, in lines for people: what was measured, against what, and what followed.

#include <array>

#include "supervisor/core/step.hpp"

namespace modelguard::core {

namespace {

std::string headline(const Decision& d) {
    const std::string version = d.version.empty() ? std::string("nothing") : d.version.short_form();
    switch (d.kind) {
        case DecisionKind::kept: return version + " is kept";
        case DecisionKind::trial_started: return "trial of " + version + " began";
        case DecisionKind::baseline_measured: return "baseline taken on the known-good " + version;
        case DecisionKind::preflight_passed: return version + " passed beside current";
        case DecisionKind::switched: return version + " became current for its trial";
        case DecisionKind::trial_passed: return version + " passed its trial";
        case DecisionKind::accepted: return version + " is known-good";
        case DecisionKind::rejected: return version + " was rejected";
        case DecisionKind::undecided: return version + " was left undecided";
        case DecisionKind::superseded: return version + " was superseded";
        case DecisionKind::refused: return "a request was refused";
        case DecisionKind::rolling_back: return "going back from " + version;
        case DecisionKind::rolled_back: return version + " was rolled back";
        case DecisionKind::degraded: return "the model is degraded";
        case DecisionKind::recovered: return version + " passes again";
        case DecisionKind::restarted: return "the service of " + version + " is restarted";
        case DecisionKind::held: return "held: automation stopped, an operator is needed";
        case DecisionKind::cleared: return "nothing is served any more";
        case DecisionKind::corrupt: return version + " is corrupt on disk";
        case DecisionKind::pinned: return version + " is pinned";
        case DecisionKind::unpinned: return version + " is no longer pinned";
        case DecisionKind::unrejected: return version + " is no longer rejected";
        case DecisionKind::removed: return "the model was removed";
        case DecisionKind::unmanaged: return "the model is unmanaged";
        case DecisionKind::manifest_accepted: return "a manifest revision is in force";
        case DecisionKind::manifest_rejected: return "a manifest revision was rejected";
        case DecisionKind::manifest_undecided: return "a manifest revision was left undecided";
        case DecisionKind::resumed: return "work was resumed";
        case DecisionKind::staged_dropped: return "a staged OS deployment";
        case DecisionKind::os_rollback_ordered: return "an OS rollback was ordered";
        case DecisionKind::os_rolled_back: return "the OS was rolled back";
        case DecisionKind::os_rollback_failed: return "the OS rollback failed";
        case DecisionKind::os_default_confirmed: return "the default OS deployment";
        case DecisionKind::rebuilt: return "the ledger was damaged";
    }
    return {};
}

std::string_view blame_text(Blame blame) {
    switch (blame) {
        case Blame::none: return {};
        case Blame::model: return "the model is to blame";
        case Blame::os: return "the OS is to blame";
        case Blame::environment: return "neither the model nor the OS is to blame: the environment";
        case Blame::infrastructure: return "nothing could be found out: the infrastructure";
        case Blame::operator_: return "an operator asked for it";
    }
    return {};
}

std::string_view mark(const CheckReport& report) {
    switch (report.verdict) {
        case VerdictKind::pass: return "pass";
        case VerdictKind::fail: return report.required ? "FAIL" : "fail (wanted)";
        case VerdictKind::inconclusive: return "unknown";
    }
    return {};
}

}  // namespace

std::vector<std::string> explain(const Decision& decision) {
    std::vector<std::string> lines;
    std::string first = headline(decision);
    if (!decision.code.empty()) first += " (" + decision.code + ")";
    if (!decision.text.empty()) first += ": " + decision.text;
    lines.push_back(std::move(first));
    for (const CheckReport& report : decision.reports)
        lines.push_back("  " + std::string(mark(report)) + "  " + report.check + ": " + report.text);
    if (const std::string_view blame = blame_text(decision.blame); !blame.empty())
        lines.push_back("  blame: " + std::string(blame));
    const bool moves = decision.kind == DecisionKind::rolling_back || decision.kind == DecisionKind::rolled_back ||
                       decision.kind == DecisionKind::rejected || decision.kind == DecisionKind::undecided;
    if (moves)
        lines.push_back("  serving: " +
                        (decision.serving.empty() ? std::string("nothing") : decision.serving.short_form()));
    return lines;
}

}  // namespace modelguard::core
