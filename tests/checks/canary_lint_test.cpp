#include "checks/canary_lint.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

std::string line(int id, const std::string& input, const std::string& label) {
    return R"({"id": )" + std::to_string(id) + R"(, "input": )" + input + R"(, "label": )" + label + "}\n";
}

/// `count` items of ten classes.
std::string sound_set(int count) {
    std::string text;
    for (int id = 0; id < count; ++id)
        text += line(id, "[" + std::to_string(id) + "]", std::to_string(id % 10));
    return text;
}

std::vector<std::string> said(const CanaryLint& lint) {
    std::vector<std::string> texts;
    for (const CanaryFinding& finding : lint.findings)
        texts.push_back((finding.is_error ? "error " : "warning ") + std::to_string(finding.line) + ": " +
                        finding.text);
    return texts;
}

TEST(CanaryLint, of_a_sound_set_nothing_is_said) {
    const CanaryLint lint = lint_canary_set(sound_set(30));
    EXPECT_TRUE(said(lint).empty()) << said(lint).front();
    EXPECT_EQ(lint.items.size(), 30u);
    EXPECT_FALSE(lint.has_error());
}

TEST(CanaryLint, one_item_less_is_few) {
    EXPECT_EQ(
        said(lint_canary_set(sound_set(29))),
        (std::vector<std::string>{"warning 0: 29 items: one wrong answer moves the score by 0.034; 30 or more let a "
                                  "smaller drop be seen"}));
}

TEST(CanaryLint, each_wrong_line_is_named_and_the_others_are_kept) {
    const CanaryLint lint = lint_canary_set(sound_set(30) + "\n{\n" + line(30, "[1, 2]", "{}") + line(0, "[99]", "1"));
    ASSERT_EQ(lint.findings.size(), 3u);
    EXPECT_EQ(lint.findings[0].line, 32);
    EXPECT_EQ(lint.findings[1].line, 33);
    EXPECT_EQ(said(lint)[2], "error 34: id 0 a second time, first in line 1");
    EXPECT_EQ(lint.items.size(), 30u);
    EXPECT_TRUE(lint.has_error());
}

TEST(CanaryLint, labels_that_contradict_each_other_are_an_error_and_repetition_a_warning) {
    const auto texts = said(lint_canary_set(sound_set(30) + line(30, "[3]", "3") + line(31, "[4]", "5")));
    ASSERT_EQ(texts.size(), 2u);
    EXPECT_EQ(texts[0], "error 32: the same input as in line 5, with another label");
    EXPECT_EQ(texts[1], "warning 0: 2 of 32 items repeat an input: they add time and show nothing new");
}

TEST(CanaryLint, a_class_that_nearly_all_have_is_said_from_more_than_nine_tenths_on) {
    std::string text;
    for (int id = 0; id < 40; ++id)
        text += line(id, "[" + std::to_string(id) + "]", id < 36 ? "1" : "2");
    EXPECT_TRUE(lint_canary_set(text).findings.empty());
    text += line(40, "[40]", "1");
    EXPECT_EQ(
        said(lint_canary_set(text)),
        (std::vector<std::string>{"warning 0: 90 % of the labels are 1: a model that always answers it scores 0.902"}));
}

TEST(CanaryLint, of_very_many_findings_the_first_are_said_and_the_others_counted) {
    std::string text = sound_set(30);
    for (int number = 0; number < 80; ++number)
        text += "{\n";
    const CanaryLint lint = lint_canary_set(text);
    ASSERT_EQ(lint.findings.size(), 51u);
    EXPECT_EQ(lint.findings.back().text, "30 more");
    EXPECT_TRUE(lint.findings.back().is_error);
}

TEST(CanaryLint, an_empty_set_is_an_error) { EXPECT_TRUE(lint_canary_set("\n\n").has_error()); }

}  // namespace
}  // namespace modelguard::checks
