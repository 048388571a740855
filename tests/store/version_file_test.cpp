#include "supervisor/store/version_file.hpp"

#include <gtest/gtest.h>

namespace modelguard::store::test {
namespace {

TEST(VersionFileTest, both_keys_are_optional_and_numbers_are_texts) {
    const auto both = parse_version_file("# of the 4th training\nlabel: 4\nserved_version: \"v4 β\"\n");
    ASSERT_TRUE(both.has_value()) << both.error().what;
    EXPECT_EQ(both->label, "4");
    EXPECT_EQ(both->served_version, "v4 β");

    EXPECT_EQ(parse_version_file("label: a")->served_version, "");
    EXPECT_EQ(parse_version_file("{label: a, served_version: b}")->served_version, "b");
    EXPECT_TRUE(parse_version_file("").has_value());
    EXPECT_TRUE(parse_version_file("# nothing\n").has_value());
}

struct Wrong {
    const char* name;
    std::string text;
    const char* error;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
struct WrongVersionFileTest : ::testing::TestWithParam<Wrong> {};

TEST_P(WrongVersionFileTest, is_refused_with_its_line) {
    const auto parsed = parse_version_file(GetParam().text);

    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().kind, ErrorKind::invalid_config);
    EXPECT_EQ(parsed.error().what, std::string("modelguard-version.yaml:") + GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongVersionFileTest,
    ::testing::Values(
        Wrong{"unknown", "label: a\nserved_verson: b",
              "2: unknown key 'served_verson'; expected label or served_version (did you mean served_version?)"},
        Wrong{"far", "colour: blue", "1: unknown key 'colour'; expected label or served_version"},
        Wrong{"twice", "label: a\nlabel: b", "2: 'label' is there twice"},
        Wrong{"anchor", "label: &x a", "1: anchors are not taken"},
        Wrong{"alias", "label: &x a\nserved_version: *x", "1: anchors are not taken"},
        Wrong{"tag", "label: !!binary aGVsbG8=", "1: tags are not taken"},
        Wrong{"list", "- a\n", "1: a list where text is expected"},
        Wrong{"nested", "label: {a: b}", "1: a map where text is expected"},
        Wrong{"no_value", "label:\n", "1: 'label' has no value; expected text"},
        Wrong{"scalar", "hello", "1: expected 'label: …' and 'served_version: …'"},
        Wrong{"documents", "label: a\n---\nlabel: b\n", "2: a second document"},
        Wrong{"lines", "label: |\n  a\n  b\n", "1: 'label' is not one line of printable UTF-8"},
        Wrong{"escape", "label: \"\\e[2J\"", "1: 'label' is not one line of printable UTF-8"},
        Wrong{"long", "label: " + std::string(200, 'x'), "1: 'label' is longer than 128 bytes"},
        Wrong{"large", std::string(70'000, '#'), "1: larger than 64 KiB"}),
    [](const auto& test) { return test.param.name; });

TEST(VersionFileTest, deep_nesting_and_broken_yaml_end_in_an_error) {
    EXPECT_FALSE(parse_version_file(std::string(60'000, '[')).has_value());
    EXPECT_FALSE(parse_version_file(std::string(60'000, '{')).has_value());
    EXPECT_FALSE(parse_version_file("label: \"open").has_value());
    EXPECT_FALSE(parse_version_file("{label: a").has_value());
    EXPECT_FALSE(parse_version_file("? ? ? label").has_value());
}

}  // namespace
}  // namespace modelguard::store::test
