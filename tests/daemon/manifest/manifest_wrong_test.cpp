// Wrong manifests: each is the example with one thing changed, and must be refused at the right line and key, in words
// that help.

#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

using Severity = Finding::Severity;

struct Wrong {
    const char* name;
    std::string from;  // replaced in the example; "" and `to` is added at its end
    std::string to;
    int line;
    const char* key;
    const char* fragment;
};

const std::string kDuplicateChecks = "- {name: ready, kind: ready}\n- {name: ready, kind: ready}";

const Wrong kWrongs[] = {
    {"unknown_top_key", "required: true", "requierd: true", 2, "requierd",
     "unknown key 'requierd'; did you mean 'required'?"},
    {"unknown_key_near_to_nothing", "", "zzzzzz: 1\n", 17, "zzzzzz",
     "expected version, serve, checks, trial, placement, rollout, model or required"},
    {"unknown_check_parameter", "min: 0.90", "minn: 0.90", 13, "checks[1].minn", "did you mean 'min'?"},
    {"unknown_serve_key", "  endpoint:", "  endpiont:", 7, "serve.endpiont", "did you mean 'endpoint'?"},
    {"model_missing", "model: digits ", "# ", 2, "model", "the key is missing"},
    {"model_name_in_capitals", "model: digits ", "model: Digits ", 1, "model", "found 'Digits'; expected a-z"},
    {"model_name_that_is_a_path", "model: digits ", "model: ../etc ", 1, "model", "found '../etc'"},
    {"model_without_a_value", "model: digits ", "model: ", 1, "model", "found nothing; expected text"},
    {"required_in_quotes", "required: true", "required: \"true\"", 2, "required",
     "found the quoted text 'true'; expected true or false without quotes"},
    {"required_as_yes", "required: true", "required: yes", 2, "required", "found 'yes'; expected true or false"},
    {"digest_too_short", "aaaaaaaa\"}", "\"}", 3, "version.digest", "expected sha256: and 64 hex digits"},
    {"version_as_text", "version: {label: \"4\", digest: \"sha256:" + std::string(64, 'a') + "\"}", "version: \"4\"", 3,
     "version", "found the quoted text '4'; expected a map"},
    {"label_as_list", "label: \"4\"", "label: [4]", 3, "version.label", "found a list; expected text"},
    {"unknown_switch", "switch: files", "switch: file", 5, "serve.switch",
     "found 'file'; expected files or container; did you mean 'files'?"},
    {"unknown_then", "systemd: {unit", "sytemd: {unit", 6, "serve.then.sytemd", "did you mean 'systemd'?"},
    {"two_thens", "restart}}", "restart}, oip_repository: {}}", 6, "serve.then",
     "found a map of 2 keys; expected one of"},
    {"then_as_list", "then: {systemd: {unit: digits.service, action: restart}}", "then: [systemd]", 6, "serve.then",
     "found a list"},
    {"then_without_unit", "unit: digits.service, ", "", 6, "serve.then.systemd.unit", "the key is missing"},
    {"then_with_unknown_action", "action: restart", "action: restrat", 6, "serve.then.systemd.action",
     "expected restart, reload, reload-or-restart or start; did you mean 'restart'?"},
    {"then_with_a_unit_that_is_not_listed", "unit: digits.service", "unit: sshd.service", 6, "serve.then.systemd.unit",
     "does not allow the unit 'sshd.service'; expected digits.service or a unit listed under `units:`"},
    {"then_with_the_unit_cut", "unit: digits.service", "unit: digits", 6, "serve.then.systemd.unit",
     "expected the unit's whole name, digits.service"},
    {"then_with_a_command_that_is_not_listed", "{systemd: {unit: digits.service, action: restart}}",
     "{exec: reload-digts}", 6, "serve.then.exec.run",
     "no command 'reload-digts'; add the key commands.reload-digts to modelguard.yaml"},
    {"endpoint_on_the_network", "http://127.0.0.1:8080", "http://192.0.2.8:8080", 7, "serve.endpoint",
     "not on this device's loopback; expected 127.0.0.1, [::1] or localhost, or '192.0.2.8:8080' listed under "
     "`addresses:`"},
    {"endpoint_with_a_path", "http://127.0.0.1:8080", "http://127.0.0.1:8080/v2", 7, "serve.endpoint", "and no path"},
    {"endpoint_with_a_user", "http://127.0.0.1:8080", "http://127.0.0.1:8080@evil.example", 7, "serve.endpoint",
     "expected http://host:port"},
    {"endpoint_that_looks_like_loopback", "http://127.0.0.1:8080", "http://127.0.0.1.evil.example:80", 7,
     "serve.endpoint", "not on this device's loopback"},
    {"endpoint_without_scheme", "http://127.0.0.1:8080", "127.0.0.1:8080", 7, "serve.endpoint",
     "as in http://127.0.0.1:8080"},
    {"endpoint_port_out_of_range", "http://127.0.0.1:8080", "http://127.0.0.1:65536", 7, "serve.endpoint",
     "expected http://host:port"},
    {"endpoint_missing_though_a_check_needs_it", "  endpoint: http://127.0.0.1:8080\n", "", 4, "serve.endpoint",
     "the check 'ready' talks to it"},
    {"protocol_missing_though_a_check_needs_it", "  protocol: oip\n", "", 4, "serve.protocol",
     "the check 'ready' speaks it"},
    {"unknown_protocol", "protocol: oip", "protocol: oipp", 8, "serve.protocol", "did you mean 'oip'?"},
    {"protocol_without_its_parameters", "protocol: oip", "protocol: http_json", 8, "serve.protocol.http_json.path",
     "the key is missing"},
    {"protocol_with_a_wrong_parameter", "protocol: oip", "protocol: {http_json: {path: predict, answer: /a}}", 8,
     "serve.protocol", "as in /predict"},
    {"protocol_with_an_unknown_parameter", "protocol: oip", "protocol: {openai: {ap: chat}}", 8,
     "serve.protocol.openai.ap", "did you mean 'api'?"},
    {"duration_without_unit", "ready_within: 90s", "ready_within: 90", 9, "serve.ready_within", "the unit is missing"},
    {"duration_out_of_range", "period: 5s", "period: 1ms", 10, "serve.period",
     "expected a duration as in 50ms or 10m from 100ms to 1d"},
    {"checks_as_map", "checks:\n- {name: ready, kind: ready}\n", "checks: {}\ntrail:\n- {name: ready, kind: ready}\n",
     11, "checks", "found a map; expected a list"},
    {"check_as_text", "- {name: ready, kind: ready}", "- ready", 12, "checks[0]", "found 'ready'; expected a map"},
    {"check_without_name", "{name: ready, kind: ready}", "{kind: ready}", 12, "checks[0].name", "the key is missing"},
    {"check_without_kind", "{name: ready, kind: ready}", "{name: ready}", 12, "checks[0].kind", "the key is missing"},
    {"check_name_with_a_blank", "{name: ready, kind", "{name: is ready, kind", 12, "checks[0].name",
     "found 'is ready'"},
    {"two_checks_of_one_name", "- {name: ready, kind: ready}", kDuplicateChecks, 13, "checks[1].name",
     "another check is called 'ready'"},
    {"unknown_check_kind", "kind: latency", "kind: latencies", 14, "checks[2].kind", "; did you mean 'latency'?"},
    {"severity_of_another_tool", "severity: wanted", "severity: want", 15, "checks[3].severity",
     "expected required or wanted; did you mean 'wanted'?"},
    {"no_required_check", "checks:\n- {name: ready, kind: ready}\n",
     "checks:\n- {name: disk, kind: exec, run: disk-space, severity: wanted}\nrollout:\n- {name: ready, kind: ready}\n",
     11, "checks", "no check is required"},
    {"threshold_as_percentage", "min: 0.90", "min: 90%", 13, "checks[1].min",
     "found '90%'; expected a number (share 0-1) from 0 to 1, not a percentage"},
    {"threshold_out_of_range", "min: 0.90", "min: 90", 13, "checks[1].min",
     "found '90'; expected a number (share 0-1) from 0 to 1"},
    {"threshold_nan", "min: 0.90", "min: nan", 13, "checks[1].min", "found 'nan'; expected a number"},
    {"threshold_yaml_nan", "min: 0.90", "min: .nan", 13, "checks[1].min", "found '.nan'; expected a number"},
    {"threshold_infinite", "min: 0.90", "min: inf", 13, "checks[1].min", "found 'inf'; expected a number"},
    {"threshold_in_quotes", "min: 0.90", "min: \"0.90\"", 13, "checks[1].min",
     "found the quoted text '0.90'; expected a number"},
    {"threshold_in_hexadecimal", "min: 0.90", "min: 0x1", 13, "checks[1].min", "found '0x1'; expected a number"},
    {"threshold_negative", "max_drop: 0.01", "max_drop: -0.01", 13, "checks[1].max_drop", "from 0 to 1"},
    {"parameters_that_contradict", "min: 0.90, max_drop: 0.01}", "}", 13, "checks[1]",
     "accuracy needs min or max_drop"},
    {"parameters_that_leave_the_version", "canary/digits.jsonl, score", "/etc/shadow, score", 13, "checks[1]",
     "/etc/shadow"},
    {"canary_missing", "canary: canary/digits.jsonl, score", "score", 13, "checks[1].canary", "the key is missing"},
    {"canary_of_the_device_where_one_is_needed", "canary: canary/digits.jsonl, score",
     "canary: {source: x, digest: y}, score", 13, "checks[1].canary", "needs the canary set in the bundle"},
    {"canary_of_the_device_with_a_wrong_digest", "kind: ready}", "kind: ready, canary: {source: x, digest: y}}", 12,
     "checks[0].canary.digest", "expected sha256:"},
    {"integer_with_a_fraction", "percentile: 99,", "percentile: 99, samples: 20.5,", 14, "checks[2].samples",
     "expected a whole number (requests) from 20 to 10000"},
    {"integer_beyond_64_bits", "percentile: 99,", "percentile: 99, samples: 99999999999999999999,", 14,
     "checks[2].samples", "expected a whole number"},
    {"must_detect_where_nothing_is_compared", "kind: ready}", "kind: ready, must_detect: 1}", 12,
     "checks[0].must_detect", "unknown key"},
    {"must_detect_as_text", "max_drop: 0.01", "max_drop: 0.01, must_detect: much", 13, "checks[1].must_detect",
     "expected a number"},
    {"exec_check_that_is_not_listed", "run: disk-space", "run: disk_space", 15, "checks[3].run",
     "add the key commands.disk_space to modelguard.yaml"},
    {"exec_check_with_an_argv", "run: disk-space", "run: disk-space, argv: [/bin/sh]", 15, "checks[3].argv",
     "unknown key 'argv'"},
    {"deadline_zero", "deadline: 15m", "deadline: 0s", 16, "trial.deadline", "from 1s to 7d"},
    {"deadline_of_a_month", "deadline: 15m", "deadline: 30d", 16, "trial.deadline", "from 1s to 7d"},
    {"soak_negative", "soak: 20m", "soak: -1m", 16, "trial.soak", "negative"},
    {"on_inconclusive_unknown", "on_inconclusive: hold", "on_inconclusive: rollback", 16, "trial.on_inconclusive",
     "expected keep_known_good, hold or accept"},
    {"rate_without_time", "soak: 20m", "soak: 20m, rate: 20", 16, "trial.rate", "as in 20/s"},
    {"false_rollback_zero", "soak: 20m", "soak: 20m, false_rollback: 0", 16, "trial.false_rollback",
     "expected a number (probability)"},
    {"rollout_over_100", "", "rollout: {percent: 101}\n", 17, "rollout.percent", "from 0 to 100"},
    {"label_that_is_a_map", "", "placement: {match_labels: {site: {a: b}}}\n", 17, "placement.match_labels.site",
     "found a map; expected text"},
    {"placement_key", "", "placement: {match_label: {site: x}}\n", 17, "placement.match_label",
     "did you mean 'match_labels'?"},
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongManifest : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongManifest, is_refused_at_its_line) {
    const Wrong& wrong = GetParam();
    const std::string text = wrong.from.empty() ? kExample + wrong.to : with(kExample, wrong.from, wrong.to);

    const Parsed parsed = parse(text);

    EXPECT_FALSE(parsed.manifest.has_value());
    EXPECT_TRUE(parsed.has(Severity::error, wrong.line, wrong.key, wrong.fragment)) << "got:\n" << parsed.all();
}

INSTANTIATE_TEST_SUITE_P(Table, WrongManifest, ::testing::ValuesIn(kWrongs),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(WrongManifests, all_that_is_wrong_is_told_at_once) {
    std::string text = with(kExample, "min: 0.90", "min: 2");
    text = with(text, "protocol: oip", "protocol: grpc");
    text = with(text, "soak: 20m", "soak: soon");

    const Parsed parsed = parse(text);

    EXPECT_EQ(parsed.count(Severity::error), 3U) << parsed.all();
}

TEST(WrongManifests, finding_reads_as_file_line_key_and_text) {
    const Parsed parsed = parse(with(kExample, "min: 0.90", "min: 2"));

    ASSERT_EQ(parsed.findings.size(), 1U);
    EXPECT_EQ(describe(parsed.findings[0]),
              "digits.yaml:13: checks[1].min: found '2'; expected a number (share 0-1) from 0 to 1");
}

TEST(WrongManifests, more_than_200_checks_are_refused) {
    std::string text = "model: digits\nchecks:\n";
    for (int i = 0; i < 201; ++i)
        text += "- {name: c" + std::to_string(i) + ", kind: exec, run: disk-space}\n";

    const Parsed parsed = parse(text);

    EXPECT_TRUE(parsed.has(Severity::error, 2, "checks", "201 checks; expected at most 200")) << parsed.all();
    EXPECT_EQ(parsed.findings.size(), 1U);
}

TEST(WrongManifests, endpoint_is_needed_by_a_then_that_talks_to_the_server) {
    const Parsed parsed =
        parse("model: digits\nserve: {then: oip_repository}\nchecks: [{name: disk, kind: exec, run: disk-space}]\n");

    EXPECT_TRUE(parsed.has(Severity::error, 2, "serve.endpoint", "then 'oip_repository' talks to it")) << parsed.all();
}

}  // namespace
}  // namespace modelguard::daemon::test
