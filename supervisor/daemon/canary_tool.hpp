#pragma once
// `modelguard canary lint | score | record`: what is wrong with a canary set, what a running server makes of it, and a
// set made from a running server. It lives here for the manifest's parser and the checks; it needs no daemon and
// changes nothing of one.

#include <string>

namespace modelguard::daemon {

struct CanaryToolOptions {
    std::string verb;      ///< lint, score, record
    std::string file;      ///< the set; for record: the inputs
    std::string manifest;  ///< whose server and accuracy check; optional for lint
    std::string check;     ///< empty: the manifest's only accuracy check
    std::string output;    ///< of record; must not exist
    std::string root;      ///< whose device config limits the manifest
    bool json{false};
};

/// Blocks until done. The exit code of `modelguard`: 0 fine, 1 the answer is no, 2 usage, 6 could not be carried out.
int run_canary_tool(const CanaryToolOptions& options);
/// argv as `modelguardd --canary-tool VERB FILE [--manifest FILE] [--check NAME] [--output FILE] [--root DIR]
/// [--json]`.
int run_canary_tool(int argc, char** argv);

}  // namespace modelguard::daemon
