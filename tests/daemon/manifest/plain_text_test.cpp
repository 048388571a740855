#include "supervisor/daemon/plain_text.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

TEST(PlainText, letters_of_any_script_tabs_and_line_ends_are_plain) {
    EXPECT_FALSE(find_bad_text("a\tb\nc\r\n").has_value());
    EXPECT_FALSE(find_bad_text("größer, больше, 大きい, 🙂").has_value());
    EXPECT_FALSE(find_bad_text("").has_value());
    EXPECT_FALSE(find_bad_text("\xf4\x8f\xbf\xbd").has_value()) << "the end of Unicode";
}

TEST(PlainText, what_is_not_plain_is_found_where_it_stands) {
    struct {
        std::string_view text;
        std::size_t offset;
        const char* what;
    } const cases[] = {
        {std::string_view("a\0", 2), 1, "NUL"},
        {"ab\x01", 2, "U+0001"},
        {"\x7f", 0, "U+007F"},
        {"a\r", 1, "U+000D"},
        {"\xc3", 0, "0xc3"},
        {"a\x80", 1, "0x80"},
        {"\xc3(", 0, "0xc3"},
        {"\xe2\x82", 0, "0xe2"},
        {"\xe0\x80\xaf", 0, "0xe0"},
        {"\xf0\x80\x80\xaf", 0, "0xf0"},
        {"\xf4\x90\x80\x80", 0, "0xf4"},
        {"\xf8\x88\x80\x80\x80", 0, "0xf8"},
        {"\xed\xbf\xbf", 0, "0xed"},
        {"a\xe2\x80\xa8", 1, "U+2028"},
        {"\xe2\x81\xa6", 0, "U+2066"},
        {"\xf3\xa0\x80\x81", 0, "U+E0001"},
    };
    for (const auto& each : cases) {
        const auto bad = find_bad_text(each.text);
        ASSERT_TRUE(bad.has_value()) << each.what;
        EXPECT_EQ(bad->offset, each.offset) << each.what;
        EXPECT_NE(bad->what.find(each.what), std::string::npos) << bad->what;
    }
}

}  // namespace
}  // namespace modelguard::daemon
