#include "rollback/outcome.hpp"

#include <gtest/gtest.h>

#include "tests/rollback/fixture.hpp"

namespace modelguard::rollback {
namespace {

TEST(OneLine, white_space_and_control_characters_become_single_blanks) {
    EXPECT_EQ(one_line("  Traceback:\r\n\tfile\x1b[31m \n"), "Traceback: file [31m");
    EXPECT_EQ(one_line(std::string_view("a\0b", 3)), "a b");
    EXPECT_EQ(one_line(" \n "), "");
}

TEST(OneLine, long_text_is_cut_at_the_limit_and_marked) {
    const std::string cut = one_line(std::string(1000, 'x'));

    EXPECT_EQ(cut.size(), 300U);
    EXPECT_EQ(cut.substr(290), "xxxxxxx...");
    EXPECT_EQ(one_line(std::string(300, 'x')), std::string(300, 'x'));
}

TEST(OneLine, a_cut_never_splits_a_character) {
    std::string text;
    for (int i = 0; i < 200; ++i)
        text += "é";
    for (std::size_t limit = 20; limit < 26; ++limit) {
        const std::string cut = one_line(text, limit);
        EXPECT_LE(cut.size(), limit);
        EXPECT_GE(cut.size(), limit - 2);
        EXPECT_EQ((cut.size() - 3) % 2, 0U) << "half a character before the mark";
    }
}

using test::RollbackTest;

TEST_F(RollbackTest, delivery_counts_the_first_outcome_only) {
    std::vector<std::string> delivered;
    Delivery delivery(*loop, [&](const Outcome& outcome) { delivered.push_back(outcome.why); });

    delivery.deliver(failed_outcome("first"));
    delivery.deliver(failed_outcome("second"));
    EXPECT_TRUE(delivered.empty()) << "delivered from within deliver()";
    sys::test::run_pending(*loop);

    EXPECT_EQ(delivered, std::vector<std::string>{"first"});
}

TEST_F(RollbackTest, dropped_delivery_delivers_nothing) {
    bool called = false;
    {
        Delivery delivery(*loop, [&](const Outcome&) { called = true; });
        delivery.deliver(done_outcome());
    }

    sys::test::run_pending(*loop);

    EXPECT_FALSE(called);
}

}  // namespace
}  // namespace modelguard::rollback
