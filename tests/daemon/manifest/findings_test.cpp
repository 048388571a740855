#include "supervisor/daemon/findings.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

TEST(Findings, severity_below_error_is_said_and_a_missing_line_is_left_out) {
    using enum Finding::Severity;

    EXPECT_EQ(describe({error, "a.yaml", 3, "serve.then", "wrong"}), "a.yaml:3: serve.then: wrong");
    EXPECT_EQ(describe({warning, "a.yaml", 3, "checks", "odd"}), "a.yaml:3: warning: checks: odd");
    EXPECT_EQ(describe({note, "a.yaml", 0, "", "so"}), "a.yaml: note: so");
}

TEST(Findings, beyond_the_limit_only_the_first_error_gets_in) {
    std::vector<Finding> out{{Finding::Severity::note, "other.yaml", 1, "", "from before"}};
    FindingSink sink("a.yaml", out);
    for (int i = 0; i < 60; ++i)
        sink.note(i, "", "note");
    EXPECT_EQ(out.size(), 51U);
    EXPECT_FALSE(sink.has_error());

    sink.error(7, "", "first");
    sink.error(8, "", "second");

    EXPECT_EQ(out.size(), 51U);
    EXPECT_EQ(out.back().text, "first");
    EXPECT_EQ(sink.errors(), 2U);
}

TEST(Findings, quoted_text_is_cut_between_characters) {
    EXPECT_EQ(in_quotes("abc"), "'abc'");
    std::string text = "a";
    for (int i = 0; i < 40; ++i)
        text += "é";

    const std::string cut = in_quotes(text);

    EXPECT_EQ(cut, "'" + text.substr(0, 39) + "...'");
}

TEST(Findings, words_are_listed_with_or) {
    const std::string_view words[] = {"a", "b", "c"};

    EXPECT_EQ(listed(std::span(words, 1)), "a");
    EXPECT_EQ(listed(std::span(words, 2)), "a or b");
    EXPECT_EQ(listed(words), "a, b or c");
    EXPECT_EQ(did_you_mean("zzz", words), "");
}

}  // namespace
}  // namespace modelguard::daemon
