#include "supervisor/sys/journal.hpp"

// Where in our source the record was sent from says nothing to an operator, and would put the build's paths into it.
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <tuple>

namespace modelguard::sys {

bool has_journal() { return ::access("/run/systemd/journal/socket", F_OK) == 0; }

void send_journal(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::vector<std::string> lines;
    lines.reserve(fields.size());
    for (const auto& [name, value] : fields)
        lines.push_back(name + "=" + value);
    std::vector<iovec> parts;
    parts.reserve(lines.size());
    for (std::string& line : lines)
        parts.push_back({line.data(), line.size()});
    std::ignore = sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));  // a lost record is not an error
}

}  // namespace modelguard::sys
