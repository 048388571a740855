#pragma once
// Structured records to the systemd journal by sd_journal_sendv, where there is one. Plain log lines go through spdlog.

#include <string>
#include <utility>
#include <vector>

namespace modelguard::sys {

/// True where /run/systemd/journal/socket exists.
bool has_journal();
/// One record; `fields` are NAME, value (names: A-Z 0-9 _). Never fails, never blocks for long: a lost record is not an
/// error.
void send_journal(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace modelguard::sys
