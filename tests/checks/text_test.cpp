#include "checks/text.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
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

}  // namespace
}  // namespace modelguard::checks
