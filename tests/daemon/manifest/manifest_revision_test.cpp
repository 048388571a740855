#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

std::string rev(const std::string& text) {
    const Parsed parsed = parse(text);
    EXPECT_TRUE(parsed.manifest.has_value()) << parsed.all();
    return parsed.manifest ? parsed.manifest->facts.rev : std::string();
}

TEST(ManifestRevision, is_an_m_and_sixteen_hex_digits) {
    const std::string text = rev(kExample);

    EXPECT_EQ(text.size(), 17U);
    EXPECT_EQ(text[0], 'm');
    EXPECT_EQ(text.find_first_not_of("0123456789abcdef", 1), std::string::npos);
}

TEST(ManifestRevision, comments_layout_quotes_and_the_order_of_keys_and_checks_say_nothing) {
    EXPECT_EQ(rev(kExample), rev("# a comment\n" + kExample + "\n\n"));
    EXPECT_EQ(rev(kExample), rev(with(kExample, "protocol: oip", "protocol: 'oip'   # quoted")));
    EXPECT_EQ(rev(kExample), rev(with(with(kExample, "required: true\n", ""), "trial: {", "required: true\ntrial: {")));
    EXPECT_EQ(rev(kExample), rev(with(kExample, "score: top1, min: 0.90", "min: 0.90, score: top1")));
    EXPECT_EQ(rev(kExample), rev(with(with(kExample, "- {name: ready, kind: ready}\n", ""),
                                      "trial:", "- {name: ready, kind: ready}\ntrial:")));
    EXPECT_EQ(rev(kExample), rev(with(kExample, "{systemd: {unit: digits.service, action: restart}}",
                                      "\n    systemd:\n      action: restart\n      unit: digits.service")));
}

TEST(ManifestRevision, another_version_is_not_another_revision) {
    EXPECT_EQ(rev(kExample), rev(with(kExample, "label: \"4\"", "label: \"5\"")));
    EXPECT_EQ(rev(kExample),
              rev(with(kExample, "version: {label: \"4\", digest: \"sha256:" + std::string(64, 'a') + "\"}\n", "")));
}

TEST(ManifestRevision, every_threshold_switch_check_and_time_counts) {
    const std::string before = rev(kExample);
    for (const auto& [from, to] :
         std::initializer_list<std::pair<const char*, const char*>>{{"min: 0.90", "min: 0.91"},
                                                                    {"max: 50ms", "max: 51ms"},
                                                                    {", severity: wanted", ""},
                                                                    {"required: true", "required: false"},
                                                                    {"soak: 20m", "soak: 21m"},
                                                                    {"name: p99", "name: p98"},
                                                                    {"action: restart", "action: reload"},
                                                                    {"- {name: ready, kind: ready}\n", ""}})
        EXPECT_NE(rev(with(kExample, from, to)), before) << from;
}

TEST(ManifestRevision, key_called_version_below_the_top_counts) {
    const std::string text = kExample + "placement: {match_labels: {version: a}}\n";

    EXPECT_NE(rev(text), rev(with(text, "{version: a}", "{version: b}")));
}

}  // namespace
}  // namespace modelguard::daemon::test
