#pragma once
// Reading a metrics page: the Prometheus text format and OpenMetrics, as far as a threshold needs it. Not for writing
// one. Source: prometheus.io/docs/instrumenting/exposition_formats, "Text format details".

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/base/result.hpp"

namespace modelguard::checks {

/// A metric's name with the labels that must be equal: `requests_waiting{model="digits"}`.
struct Selector {
    std::string name;
    std::vector<std::pair<std::string, std::string>> labels;
};
/// invalid_config names what was expected.
Result<Selector> parse_selector(std::string_view text);

/// The values of all series that the selector takes, in the page's order. malformed_reply with the line where a line is
/// neither a sample nor a comment.
Result<std::vector<double>> select_samples(std::string_view page, const Selector& selector);

}  // namespace modelguard::checks
