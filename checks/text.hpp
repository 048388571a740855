#pragma once
// Text of others (servers, scripts, canary sets) made fit for a report line. Not for our own sentences.

#include <string>
#include <string_view>

namespace modelguard::checks {

/// The first non-empty line of `text`, trimmed, without control characters and hidden direction marks (a reply must not
/// move an operator's cursor) and as valid UTF-8 (reports travel as JSON), cut with "…" after `max_bytes`.
std::string plain_line(std::string_view text, std::size_t max_bytes = 160);

}  // namespace modelguard::checks
