#include "supervisor/daemon/manifest.hpp"

#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

using namespace std::chrono_literals;
using Severity = Finding::Severity;

TEST(Manifest, example_of_the_design_is_read_whole) {
    const Parsed parsed = parse(kExample);

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_EQ(parsed.all(), "");
    const Manifest& manifest = *parsed.manifest;
    EXPECT_EQ(manifest.model, "digits");
    EXPECT_EQ(manifest.text, kExample);
    EXPECT_EQ(manifest.file, "digits.yaml");
    EXPECT_TRUE(manifest.facts.required);
    EXPECT_FALSE(manifest.facts.preflight);
    EXPECT_EQ(manifest.facts.deadline, Usec(15min));
    EXPECT_EQ(manifest.facts.soak, Usec(20min));
    EXPECT_EQ(manifest.facts.on_inconclusive, core::OnInconclusive::hold);
    EXPECT_EQ(manifest.version_label, "4");
    EXPECT_EQ(manifest.version_digest, "sha256:" + std::string(64, 'a'));
    EXPECT_EQ(manifest.version_source, "");
    EXPECT_EQ(manifest.switch_kind, rollback::find_switch("files"));
    EXPECT_EQ(manifest.then, rollback::find_then("systemd"));
    EXPECT_EQ(text_param(manifest.then_params, "unit"), "digits.service");
    EXPECT_EQ(text_param(manifest.then_params, "action"), "restart");
    EXPECT_EQ(manifest.endpoint, "http://127.0.0.1:8080");
    EXPECT_EQ(manifest.protocol_name, "oip");
    EXPECT_NE(manifest.protocol, nullptr);
    EXPECT_EQ(manifest.server_model, "digits");
    EXPECT_EQ(manifest.ready_within, Usec(90s));
    EXPECT_EQ(manifest.period, Usec(5s));
}

TEST(Manifest, checks_are_compiled_with_their_parameters_and_defaults) {
    const Parsed parsed = parse(kExample);

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    const auto& checks = parsed.manifest->checks;
    ASSERT_EQ(checks.size(), 4U);
    for (const ConfiguredCheck& check : checks)
        EXPECT_NE(check.check, nullptr) << check.name;
    EXPECT_EQ(checks[0].kind, checks::find_kind("ready"));
    EXPECT_EQ(checks[1].name, "accuracy");
    EXPECT_TRUE(checks[1].required);
    EXPECT_DOUBLE_EQ(number_param(checks[1].params, "min"), 0.9);
    EXPECT_EQ(checks[1].params.find("min")->second.line, 13);
    EXPECT_EQ(duration_param(checks[2].params, "max"), Usec(50ms));
    EXPECT_TRUE(has_param(checks[2].params, "samples")) << "a default";
    EXPECT_EQ(checks[2].params.find("samples")->second.line, 0);
    EXPECT_EQ(text_param(checks[3].params, "run"), "disk-space");
    EXPECT_FALSE(checks[3].required);
}

TEST(Manifest, what_is_left_out_has_its_default) {
    const Parsed parsed = parse(
        "model: digits\nserve: {endpoint: 'http://[::1]:8080/', protocol: oip, model: Digits-V2}\n"
        "checks: [{name: ready, kind: ready}]\n");

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    const Manifest& manifest = *parsed.manifest;
    EXPECT_TRUE(manifest.facts.required);
    EXPECT_EQ(manifest.facts.deadline, Usec(10min));
    EXPECT_EQ(manifest.facts.soak, Usec(30min));
    EXPECT_EQ(manifest.facts.on_inconclusive, core::OnInconclusive::keep_known_good);
    EXPECT_EQ(manifest.version_label, "");
    EXPECT_EQ(manifest.version_digest, "");
    EXPECT_EQ(manifest.switch_kind, rollback::find_switch("files"));
    EXPECT_EQ(manifest.then, nullptr);
    EXPECT_EQ(manifest.endpoint, "http://[::1]:8080");
    EXPECT_EQ(manifest.server_model, "Digits-V2");
    EXPECT_EQ(manifest.ready_within, Usec(60s));
    EXPECT_EQ(manifest.period, Usec(10s));
}

TEST(Manifest, then_is_written_as_a_map_as_a_name_or_with_its_one_parameter) {
    const std::string systemd = "{systemd: {unit: digits.service, action: restart}}";

    const Parsed empty = parse(with(kExample, systemd, "{oip_repository: {}}"));
    const Parsed name = parse(with(kExample, systemd, "oip_repository"));
    const Parsed scalar = parse(with(kExample, systemd, "{exec: reload-digits}"));
    const Parsed unit = parse(with(kExample, systemd, "{systemd: shared-server.service}"));

    ASSERT_TRUE(empty.manifest && name.manifest && scalar.manifest && unit.manifest)
        << empty.all() << name.all() << scalar.all() << unit.all();
    EXPECT_EQ(empty.manifest->then, rollback::find_then("oip_repository"));
    EXPECT_EQ(name.manifest->then, rollback::find_then("oip_repository"));
    EXPECT_EQ(text_param(scalar.manifest->then_params, "run"), "reload-digits");
    EXPECT_EQ(text_param(unit.manifest->then_params, "unit"), "shared-server.service");
    EXPECT_EQ(text_param(unit.manifest->then_params, "action"), "restart") << "a default";
}

TEST(Manifest, nothing_that_talks_to_a_server_needs_no_endpoint) {
    const Parsed parsed = parse("model: files-only\nchecks: [{name: disk, kind: exec, run: disk-space}]\n");

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_EQ(parsed.manifest->endpoint, "");
    EXPECT_EQ(parsed.manifest->protocol, nullptr);
}

TEST(Manifest, addresses_of_the_device_are_allowed) {
    for (const char* endpoint : {"http://192.0.2.7:9000", "https://models.lan", "http://models.lan:1234",
                                 "http://localhost:1", "http://127.1.2.3", "https://[::1]:8443"}) {
        const Parsed parsed = parse(with(kExample, "http://127.0.0.1:8080", "'" + std::string(endpoint) + "'"));
        ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
        EXPECT_EQ(parsed.manifest->endpoint, endpoint);
    }
}

TEST(Manifest, keys_of_later_releases_are_checked_and_named_by_a_note_each) {
    std::string text = kExample;
    text = with(text, "label: \"4\"", "label: \"4\", source: \"https://models.example/digits-4.tar.zst\"");
    text = with(text, "  period: 5s\n",
                "  period: 5s\n  preflight: {unit: digits.service, endpoint: 'http://127.0.0.1:8081'}\n");
    text = with(text, "max_drop: 0.01}", "max_drop: 0.01, must_detect: 0.03}");
    text = with(text, "max_ratio: 1.2}", "max_ratio: 1.2, must_detect: {share: 0.03, ratio: 1.6}}");
    text = with(text, "soak: 20m,", "soak: 20m, rate: 20/s, false_rollback: 0.01, missed_regression: 0.05,");
    text += "placement: {match_labels: {site: plant-7}}\nrollout: {percent: 10}\n";

    const Parsed parsed = parse(text);

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_FALSE(parsed.manifest->facts.preflight) << "nothing would run it";
    const std::pair<int, const char*> notes[] = {
        {3, "version.source"},           {11, "serve.preflight"}, {14, "checks[1].must_detect"},
        {15, "checks[2].must_detect"},   {17, "trial.rate"},      {17, "trial.false_rollback"},
        {17, "trial.missed_regression"}, {18, "placement"},       {19, "rollout"}};
    for (const auto& [line, key] : notes)
        EXPECT_TRUE(parsed.has(Severity::note, line, key, "is read but not acted on by this release")) << key << "\n"
                                                                                                       << parsed.all();
    EXPECT_EQ(parsed.findings.size(), std::size(notes)) << parsed.all();
    EXPECT_EQ(parsed.manifest->version_source, "https://models.example/digits-4.tar.zst");
}

TEST(Manifest, canary_set_of_the_device_is_noted_and_ignored_where_a_check_can_do_without) {
    const Parsed parsed = parse(
        with(kExample, "kind: ready}", "kind: ready, canary: {source: here, digest: " + std::string(64, 'b') + "}}"));

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_TRUE(parsed.has(Severity::note, 12, "checks[0].canary", "not acted on")) << parsed.all();
    EXPECT_FALSE(has_param(parsed.manifest->checks[0].params, "canary"));
}

TEST(Manifest, missing_ready_check_is_a_warning) {
    const Parsed parsed = parse(with(kExample, "- {name: ready, kind: ready}\n", ""));

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_TRUE(parsed.has(Severity::warning, 11, "checks", "no check of kind ready")) << parsed.all();
    EXPECT_EQ(parsed.findings.size(), 1U);
}

TEST(Manifest, deadline_not_longer_than_loading_may_take_is_a_warning) {
    const Parsed parsed = parse(with(kExample, "deadline: 15m", "deadline: 90s"));

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_TRUE(parsed.has(Severity::warning, 16, "trial.deadline", "serve.ready_within (1.5m)")) << parsed.all();
}

}  // namespace
}  // namespace modelguard::daemon::test
