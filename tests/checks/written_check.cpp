#include "tests/checks/written_check.hpp"

#include "supervisor/daemon/manifest.hpp"

namespace modelguard::checks::test {

namespace {

std::optional<daemon::Manifest> read(const std::string& text, const std::string& device_text, std::string& findings) {
    std::vector<daemon::Finding> found;
    const auto device = daemon::parse_device_config(device_text, "modelguard.yaml", found);
    const std::string manifest = "model: digits\nserve: {switch: files}\nchecks:\n- {name: it, " + text + "}\n";
    auto parsed = device ? daemon::parse_manifest(manifest, "digits.yaml", *device, found) : std::nullopt;
    for (const daemon::Finding& finding : found)
        findings += daemon::describe(finding) + "\n";
    return parsed;
}

}  // namespace

std::shared_ptr<const Check> WrittenCheck::written(const std::string& text) {
    std::string findings;
    const auto manifest = read(text, device_, findings);
    if (!manifest) ADD_FAILURE() << findings;
    return manifest ? manifest->checks.at(0).check : nullptr;
}

CheckOutcome WrittenCheck::run_written(const std::string& text) {
    const auto check = written(text);
    return check ? run(*check) : CheckOutcome{};
}

std::string WrittenCheck::refusal(const std::string& text) {
    std::string findings;
    EXPECT_FALSE(read(text, device_, findings)) << text;
    return findings;
}

}  // namespace modelguard::checks::test
