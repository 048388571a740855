#include "supervisor/cli/text.hpp"

#include <gtest/gtest.h>

namespace modelguard::cli {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

TEST(PrintableJson, json_stays_the_same_json) {
    EXPECT_EQ(printable_json("{\"a\":\"\x7f\xc2\x9b\xe2\x80\xae\xc3\xbc\"}\n"),
              "{\"a\":\"\\u007f\\u009b\\u202e\xc3\xbc\"}\n");
}

TEST(Width, counts_columns_not_bytes) {
    EXPECT_EQ(width_of("abc"), 3u);
    EXPECT_EQ(width_of("\xc3\xbc"), 1u);
    EXPECT_EQ(width_of("\xe6\xbc\xa2"), 2u);
    EXPECT_EQ(cut_to("abcdef", 6), "abcdef");
    EXPECT_EQ(cut_to("abcdefg", 6), "abcd..");
    EXPECT_EQ(cut_to("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 5), "\xe6\xbc\xa2..");
    EXPECT_EQ(cut_to("abc", 1), ".");
}

TEST(Wrapped, no_line_is_wider_than_the_screen_and_no_word_is_lost) {
    const std::string words = "one two " + std::string(200, 'x') + " three " + std::string(74, 'y') + " z";
    std::string joined;
    for (const auto& line : lines_of(wrapped(words, 6))) {
        EXPECT_LE(line.size(), kColumns);
        EXPECT_TRUE(line.starts_with("      "));
        joined += line.substr(6);
    }
    std::erase(joined, ' ');
    std::string expected = words;
    std::erase(expected, ' ');
    EXPECT_EQ(joined, expected);
    EXPECT_EQ(wrapped("", 4), "");
}

TEST(Tables, are_cut_at_the_edge_first_columns_first) {
    Table table({{"A", 10}, {"B", 20}, {"C", 20}});
    table.add({{std::string(60, 'a')}, {std::string(30, 'b')}, {"c"}});
    const auto lines = lines_of(table.text(false));
    ASSERT_EQ(lines.size(), 2u);
    for (const auto& line : lines)
        EXPECT_LE(width_of(line), kColumns);
    EXPECT_NE(lines[1].find(std::string(30, 'b')), std::string::npos) << "only as much is cut as needed";
    EXPECT_TRUE(lines[1].ends_with("c"));
}

TEST(Tables, short_ones_are_as_wide_as_their_content_and_end_without_spaces) {
    Table table({{"NAME", 10}, {"", 5}, {"LAST", 10}});
    table.add({{"a"}, {""}, {"b"}});
    table.add({{"long"}, {"x"}, {""}});
    EXPECT_EQ(table.text(false), "NAME     LAST\na        b\nlong  x\n");
}

TEST(Tables, colour_does_not_change_the_layout) {
    Table table({{"NAME", 10}, {"LAST", 10}});
    table.add({{"a", Style::bad}, {"b", Style::good}});
    EXPECT_EQ(table.text(true), "\x1b[2mNAME\x1b[0m  \x1b[2mLAST\x1b[0m\n\x1b[1;31ma\x1b[0m     \x1b[32mb\x1b[0m\n");
}

TEST(Times, are_utc_and_ages) {
    constexpr std::int64_t kThen = 1'795'302'389'000'000;
    EXPECT_EQ(utc_time(kThen), "2026-11-21 23:06:29Z");
    EXPECT_EQ(utc_clock(kThen), "23:06:29");
    EXPECT_EQ(age(kThen, kThen + 500'000), "just now");
    EXPECT_EQ(age(kThen, kThen + 180'000'000), "3m ago");
    EXPECT_EQ(age(kThen, kThen - 5'000'000), "in the future");
}

TEST(Numbers, are_short) {
    EXPECT_EQ(number_text(0.93241), "0.9324");
    EXPECT_EQ(number_text(61), "61");
    EXPECT_EQ(size_text(17), "17 B");
    EXPECT_EQ(size_text(1536), "1.5 KiB");
    EXPECT_EQ(size_text(40ull << 20), "40.0 MiB");
}

TEST(ShellWord, is_quoted_only_where_needed) {
    EXPECT_EQ(shell_word("/tmp/a-b_c.d"), "/tmp/a-b_c.d");
    EXPECT_EQ(shell_word("a b"), "'a b'");
    EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace modelguard::cli
