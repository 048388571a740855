// A manifest as `apply`, git or an operator brings it: refused with findings, or taken with every value in its range.

#include "supervisor/daemon/manifest.hpp"

#include <algorithm>
#include <set>

#include "supervisor/base/ids.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

constexpr std::size_t kMostFindings = 50;
constexpr std::string_view kFile = "digits.yaml";

daemon::DeviceConfig device() {
    daemon::DeviceConfig device;
    device.commands["disk-space"] = {.argv = {"/usr/libexec/disk-space"}, .user = {}};
    device.units = {"shared-server.service"};
    device.addresses = {"192.0.2.7:9000", "models.lan"};
    return device;
}

void check_findings(const std::vector<daemon::Finding>& findings) {
    MG_ASSERT(findings.size() <= kMostFindings);
    for (const daemon::Finding& finding : findings) {
        MG_ASSERT(finding.file == kFile);
        MG_ASSERT(finding.line >= 0);
        MG_ASSERT(!finding.text.empty());
        MG_ASSERT(fuzz::is_one_line(describe(finding)));
    }
}

void check_manifest(const daemon::Manifest& manifest, const daemon::DeviceConfig& limits) {
    MG_ASSERT(is_valid_name(manifest.model));
    MG_ASSERT(manifest.switch_kind != nullptr);
    MG_ASSERT(manifest.facts.deadline.count() > 0 && manifest.facts.soak.count() >= 0);
    MG_ASSERT(manifest.period.count() > 0 && manifest.ready_within.count() > 0);
    MG_ASSERT(!manifest.facts.rev.empty());
    MG_ASSERT(!manifest.checks.empty());
    std::set<std::string> names;
    for (const daemon::ConfiguredCheck& check : manifest.checks) {
        MG_ASSERT(is_valid_name(check.name) && names.insert(check.name).second);
        MG_ASSERT(check.kind != nullptr && check.check != nullptr);
    }
    // What is not the device's own loopback must be on the device's list.
    const std::string_view endpoint = manifest.endpoint;
    const auto allowed = [&](std::string_view host) { return endpoint.find(host) != std::string_view::npos; };
    MG_ASSERT(endpoint.empty() || allowed("127.") || allowed("localhost") || allowed("[::1]") ||
              std::ranges::any_of(limits.addresses, allowed));
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    static const daemon::DeviceConfig limits = device();
    const std::string text(fuzz::text_of(data, size));
    std::vector<daemon::Finding> findings;
    const auto manifest = parse_manifest(text, std::string(kFile), limits, findings);
    const bool has_error = std::ranges::any_of(
        findings, [](const daemon::Finding& finding) { return finding.severity == daemon::Finding::Severity::error; });
    MG_ASSERT(manifest.has_value() != has_error);
    check_findings(findings);
    if (!manifest) return 0;
    check_manifest(*manifest, limits);

    // The revision is that of the meaning: a comment changes nothing, and the kept text says the same again.
    std::vector<daemon::Finding> again;
    const auto reread = parse_manifest(manifest->text, std::string(kFile), limits, again);
    MG_ASSERT(reread && reread->facts == manifest->facts && again.size() == findings.size());
    const auto commented = parse_manifest("# a comment\n" + text, std::string(kFile), limits, again);
    if (!text.starts_with("\xef\xbb\xbf") && !text.starts_with('%'))
        MG_ASSERT(commented && commented->facts == manifest->facts);
    return 0;
}
