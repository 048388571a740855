#include "supervisor/base/params.hpp"

#include <gtest/gtest.h>

#include <array>

namespace modelguard::test {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 6> kKeys{"endpoint", "protocol", "percentile", "max", "max_drop", "max_ratio"};

TEST(NearestWord, slip_of_the_finger_finds_its_key) {
    EXPECT_EQ(nearest_word("endpont", kKeys), "endpoint");
    EXPECT_EQ(nearest_word("protocoll", kKeys), "protocol");
    EXPECT_EQ(nearest_word("precentile", kKeys), "percentile");
    EXPECT_EQ(nearest_word("max-drop", kKeys), "max_drop");
    EXPECT_EQ(nearest_word("mx", kKeys), "max");
}

TEST(NearestWord, nearest_wins_and_the_first_of_equals) {
    EXPECT_EQ(nearest_word("max_rato", kKeys), "max_ratio");
    constexpr std::array<std::string_view, 2> kTwins{"cat", "car"};
    EXPECT_EQ(nearest_word("cap", kTwins), "cat");
}

TEST(NearestWord, nothing_alike_is_not_guessed) {
    EXPECT_EQ(nearest_word("temperature", kKeys), std::nullopt);
    EXPECT_EQ(nearest_word("", kKeys), std::nullopt);
    EXPECT_EQ(nearest_word("max", {}), std::nullopt);
    EXPECT_EQ(nearest_word(std::string(65, 'e'), kKeys), std::nullopt);
}

const ParamMap kParams{{"unit", {.value = std::string("digits.service"), .line = 3}},
                       {"count", {.value = std::int64_t{20}}},
                       {"share", {.value = 0.25}},
                       {"wait", {.value = Usec{2s}}},
                       {"strict", {.value = true}}};

TEST(Params, typed_access_gives_what_was_validated) {
    EXPECT_EQ(text_param(kParams, "unit"), "digits.service");
    EXPECT_EQ(integer_param(kParams, "count"), 20);
    EXPECT_EQ(number_param(kParams, "count"), 20.0);
    EXPECT_EQ(number_param(kParams, "share"), 0.25);
    EXPECT_EQ(duration_param(kParams, "wait"), 2s);
    EXPECT_TRUE(boolean_param(kParams, "strict"));
    EXPECT_TRUE(has_param(kParams, "unit"));
    EXPECT_FALSE(has_param(kParams, "none"));
}

TEST(ParamsDeathTest, access_that_the_table_does_not_promise_is_a_programming_error) {
    EXPECT_DEATH(static_cast<void>(text_param(kParams, "none")), "assertion failed");
    EXPECT_DEATH(static_cast<void>(text_param(kParams, "count")), "assertion failed");
    EXPECT_DEATH(static_cast<void>(integer_param(kParams, "share")), "assertion failed");
}

TEST(Params, values_are_equal_wherever_they_stand) {
    const ParamValue here{.value = std::string("x"), .line = 1};
    const ParamValue there{.value = std::string("x"), .line = 9};
    const ParamValue other{.value = std::int64_t{1}, .line = 1};
    EXPECT_EQ(here, there);
    EXPECT_FALSE(here == other);
}

}  // namespace
}  // namespace modelguard::test
