#pragma once
// The manifest of DESIGN.md section 8 as this release takes it, and what the tests of the parsers share.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "supervisor/daemon/manifest.hpp"

namespace modelguard::daemon::test {

inline const std::string kExample = R"(model: digits                       # the name on this device
required: true
version: {label: "4", digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
serve:
  switch: files
  then: {systemd: {unit: digits.service, action: restart}}
  endpoint: http://127.0.0.1:8080
  protocol: oip
  ready_within: 90s
  period: 5s
checks:
- {name: ready, kind: ready}
- {name: accuracy, kind: accuracy, canary: canary/digits.jsonl, score: top1, min: 0.90, max_drop: 0.01}
- {name: p99, kind: latency, canary: canary/digits.jsonl, percentile: 99, max: 50ms, max_ratio: 1.2}
- {name: disk, kind: exec, run: disk-space, severity: wanted}
trial: {deadline: 15m, soak: 20m, on_inconclusive: hold}
)";

inline DeviceConfig example_device() {
    DeviceConfig device;
    device.commands["disk-space"] = {.argv = {"/usr/libexec/disk-space"}, .user = {}};
    device.commands["reload-digits"] = {.argv = {"/usr/libexec/reload"}, .user = {}};
    device.units = {"shared-server.service"};
    device.addresses = {"192.0.2.7:9000", "models.lan"};
    return device;
}

struct Parsed {
    std::optional<Manifest> manifest;
    std::vector<Finding> findings;

    std::string all() const {
        std::string text;
        for (const Finding& finding : findings)
            text += describe(finding) + "\n";
        return text;
    }
    std::size_t count(Finding::Severity severity) const {
        return static_cast<std::size_t>(std::ranges::count(findings, severity, &Finding::severity));
    }
    /// The first finding of this severity at this line and key whose text holds `fragment`.
    bool has(Finding::Severity severity, int line, std::string_view key, std::string_view fragment) const {
        return std::ranges::any_of(findings, [&](const Finding& finding) {
            return finding.severity == severity && finding.line == line && finding.key == key &&
                   finding.text.find(fragment) != std::string::npos;
        });
    }
};

inline Parsed parse(const std::string& text, const DeviceConfig& device = example_device()) {
    Parsed parsed;
    parsed.manifest = parse_manifest(text, "digits.yaml", device, parsed.findings);
    EXPECT_EQ(parsed.manifest.has_value(), parsed.count(Finding::Severity::error) == 0) << parsed.all();
    for (const Finding& finding : parsed.findings)
        EXPECT_EQ(finding.file, "digits.yaml");
    return parsed;
}

/// `text` with the one occurrence of `from` replaced.
inline std::string with(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
    return text;
}

}  // namespace modelguard::daemon::test
