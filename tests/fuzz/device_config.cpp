// The device's own file, modelguard.yaml. Root writes it, but a torn or mistaken one must not stop the daemon.

#include <algorithm>

#include "supervisor/daemon/manifest.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    std::vector<daemon::Finding> findings;
    const auto config = daemon::parse_device_config(fuzz::text_of(data, size), "modelguard.yaml", findings);
    MG_ASSERT(findings.size() <= 50);
    for (const daemon::Finding& finding : findings)
        MG_ASSERT(fuzz::is_one_line(describe(finding)));
    const bool has_error = std::ranges::any_of(
        findings, [](const daemon::Finding& finding) { return finding.severity == daemon::Finding::Severity::error; });
    MG_ASSERT(config.has_value() != has_error);
    if (!config) return 0;
    MG_ASSERT(config->max_bundle_bytes > 0);
    for (const auto& [name, command] : config->commands) {
        MG_ASSERT(!name.empty());
        MG_ASSERT(!command.argv.empty() && !command.argv.front().empty());
        const std::string& program = command.argv.front();  // an absolute path, or a plain name
        MG_ASSERT(program.starts_with('/') || program.find('/') == std::string::npos);
        MG_ASSERT(command.timeout.count() > 0);
    }
    return 0;
}
