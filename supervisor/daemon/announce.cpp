#include "supervisor/daemon/announce.hpp"

#include "supervisor/sys/journal.hpp"

namespace modelguard::daemon {

namespace {
/// syslog levels: what needs a person is a warning or worse, the rest is a notice.
const char* priority_of(core::DecisionKind kind) {
    switch (kind) {
        case core::DecisionKind::held:
        case core::DecisionKind::corrupt:
        case core::DecisionKind::os_rollback_failed: return "3";
        case core::DecisionKind::rejected:
        case core::DecisionKind::undecided:
        case core::DecisionKind::rolling_back:
        case core::DecisionKind::degraded:
        case core::DecisionKind::cleared:
        case core::DecisionKind::unmanaged:
        case core::DecisionKind::rebuilt:
        case core::DecisionKind::manifest_rejected:
        case core::DecisionKind::os_rollback_ordered: return "4";
        case core::DecisionKind::kept:
        case core::DecisionKind::trial_started:
        case core::DecisionKind::baseline_measured:
        case core::DecisionKind::preflight_passed:
        case core::DecisionKind::switched:
        case core::DecisionKind::trial_passed:
        case core::DecisionKind::accepted:
        case core::DecisionKind::superseded:
        case core::DecisionKind::refused:
        case core::DecisionKind::rolled_back:
        case core::DecisionKind::recovered:
        case core::DecisionKind::restarted:
        case core::DecisionKind::pinned:
        case core::DecisionKind::unpinned:
        case core::DecisionKind::unrejected:
        case core::DecisionKind::removed:
        case core::DecisionKind::manifest_accepted:
        case core::DecisionKind::manifest_undecided:
        case core::DecisionKind::resumed:
        case core::DecisionKind::staged_dropped:
        case core::DecisionKind::os_rolled_back:
        case core::DecisionKind::os_default_confirmed: return "5";
    }
    return "5";
}

std::string_view first_verdict(const core::Decision& decision) {
    for (const core::CheckReport& report : decision.reports)
        if (report.required && report.verdict != core::VerdictKind::pass) return core::to_word(report.verdict);
    return decision.reports.empty() ? std::string_view() : core::to_word(core::VerdictKind::pass);
}
}  // namespace

std::string decision_line(const core::Decision& decision) {
    std::string line = decision.model.empty() ? "device: " : decision.model + ": ";
    line += core::to_word(decision.kind);
    if (!decision.version.empty()) line += " " + decision.version.short_form();
    if (!decision.code.empty()) line += " (" + decision.code + ")";
    if (!decision.text.empty()) line += ": " + decision.text;
    return line;
}

void announce_to_journal(const store::HistoryEntry& entry, const std::string& os_deployment) {
    const core::Decision& decision = entry.decision;
    std::string reasons;
    for (const core::CheckReport& report : decision.reports)
        if (report.verdict != core::VerdictKind::pass)
            reasons += (reasons.empty() ? "" : "; ") + report.check + ": " + report.text;
    std::vector<std::pair<std::string, std::string>> fields{
        {"MESSAGE", decision_line(decision)},
        {"MESSAGE_ID", kDecisionMessageId},
        {"PRIORITY", priority_of(decision.kind)},
        {"SYSLOG_IDENTIFIER", "modelguardd"},
        {"MODELGUARD_DECISION", std::string(core::to_word(decision.kind))},
        {"MODELGUARD_NUMBER", std::to_string(entry.number)}};
    const auto add = [&](const char* name, std::string value) {
        if (!value.empty()) fields.emplace_back(name, std::move(value));
    };
    add("MODELGUARD_MODEL", decision.model);
    add("MODELGUARD_VERSION", decision.version.text);
    add("MODELGUARD_SERVING", decision.serving.text);
    add("MODELGUARD_VERDICT", std::string(first_verdict(decision)));
    add("MODELGUARD_REASON", decision.code);
    add("MODELGUARD_EVIDENCE", std::move(reasons));
    add("MODELGUARD_BLAME",
        decision.blame == core::Blame::none ? std::string() : std::string(core::to_word(decision.blame)));
    add("MODELGUARD_OS_DEPLOYMENT", os_deployment);
    sys::send_journal(fields);
}

}  // namespace modelguard::daemon
