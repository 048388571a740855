#include "supervisor/base/text.hpp"

#include <gtest/gtest.h>

namespace modelguard {
namespace {

TEST(PlainLine, is_the_first_line_that_says_something) {
    EXPECT_EQ(plain_line("\n  \t\r\n  disk is full  \r\nmore"), "disk is full");
    EXPECT_EQ(plain_line(""), "");
    EXPECT_EQ(plain_line(" \n\t "), "");
}

TEST(PlainLine, cannot_steer_a_terminal) {
    EXPECT_EQ(plain_line("a\x1b[2Jb\x07\x7f"
                         "c"),
              "a[2Jbc");
    EXPECT_EQ(plain_line("a\xC2\x9B"
                         "31mb"),
              "a31mb")
        << "a C1 control is one too";
}

TEST(PlainLine, cannot_be_read_backwards_or_hide_anything) {
    EXPECT_EQ(plain_line("not \xE2\x80\xAEydaer\xE2\x80\xAC"), "not ydaer") << "U+202E turns what follows around";
    EXPECT_EQ(plain_line("a\xE2\x80\x8B\xE2\x81\xA6\xEF\xBB\xBF\xF3\xA0\x80\x81z"), "az");
    EXPECT_EQ(plain_line("10 €\xE2\x80\xA6"), "10 €…") << "their neighbours stay";
}

TEST(PlainLine, is_valid_utf8_whatever_came) {
    EXPECT_EQ(plain_line("grün €😀"), "grün €😀");
    EXPECT_EQ(plain_line("a\xFF\xC0\x80z"), "a???z");
    EXPECT_EQ(plain_line("\xED\xA0\x80"), "???") << "a surrogate";
    EXPECT_EQ(plain_line("\xE2\x82"), "??") << "cut in the middle";
    EXPECT_EQ(plain_line("\xF4\x90\x80\x80"), "????") << "above U+10FFFF";
}

TEST(PlainLine, is_cut_between_characters) {
    EXPECT_EQ(plain_line("abcdef", 4), "abcd…");
    EXPECT_EQ(plain_line("abcd", 4), "abcd");
    EXPECT_EQ(plain_line("ab€", 4), "ab…");
}

TEST(OneLine, white_space_and_control_characters_become_single_blanks) {
    EXPECT_EQ(one_line("  Traceback:\r\n\tfile\x1b[31m \n"), "Traceback: file [31m");
    EXPECT_EQ(one_line(std::string_view("a\0b", 3)), "a b");
    EXPECT_EQ(one_line(" \n "), "");
}

TEST(OneLine, long_text_is_cut_at_the_limit_and_marked) {
    const std::string cut = one_line(std::string(1000, 'x'));

    EXPECT_EQ(cut, std::string(300, 'x') + "…");
    EXPECT_EQ(one_line(std::string(300, 'x')), std::string(300, 'x'));
}

TEST(OneLine, a_cut_never_splits_a_character) {
    std::string text;
    for (int i = 0; i < 200; ++i)
        text += "é";
    for (std::size_t limit = 20; limit < 26; ++limit) {
        const std::string cut = one_line(text, limit);
        EXPECT_EQ(cut.size(), limit / 2 * 2 + std::string_view("…").size());
    }
}

TEST(Printable, leaves_text_alone_and_shows_what_would_drive_a_terminal) {
    EXPECT_EQ(printable("digits v4, 0.93 \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"),
              "digits v4, 0.93 \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(printable("\x1b[31mred\x07\r\n\t"), "\\x1b[31mred\\x07\\x0d\\n\\t");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\x7f"), "\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"), "\\u009b");  // C1 CSI
    EXPECT_EQ(printable("\xe2\x80\xae"
                        "txt.exe"),
              "\\u202etxt.exe");  // right-to-left override
}

TEST(Printable, a_name_in_a_message_is_cut) {
    EXPECT_EQ(printable_name("v4"), "v4");
    EXPECT_EQ(printable_name(std::string(5000, 'x')), std::string(160, 'x') + "…");
}

TEST(Printable, bytes_that_are_not_utf8_are_shown_one_by_one) {
    EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    EXPECT_EQ(printable("a\xe2\x82"), "a\\xe2\\x82");  // cut off
}

}  // namespace
}  // namespace modelguard
