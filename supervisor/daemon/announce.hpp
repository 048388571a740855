#pragma once
// Telling decisions: one structured journal record each where there is a journal, one line on the log everywhere.

#include <string>

#include "supervisor/store/ledger.hpp"

namespace modelguard::daemon {

/// The MESSAGE_ID of decision records; the message catalogue refers to it.
inline constexpr const char* kDecisionMessageId = "5d1c4b7e9f0a4c3e8d26f1b7a4e09c52";

/// "digits: rejected 9f2c51d0aa17 (failed_checks): it failed, …"
std::string decision_line(const core::Decision& decision);
/// Sends the record with MODELGUARD_* fields (DESIGN.md section 11).
void announce_to_journal(const store::HistoryEntry& entry, const std::string& os_deployment);

}  // namespace modelguard::daemon
