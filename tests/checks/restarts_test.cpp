#include "checks/restarts.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

using std::chrono::minutes;

struct Restarts : testing::Test {
    RestartMemory memory;
    std::uint64_t era = 1;
    std::string instance = "a";
    std::uint64_t seen(std::uint64_t counter, int minute) {
        return memory.count({era, instance, counter, Instant{} + minutes(minute)}, minutes(10));
    }
};

TEST_F(Restarts, what_was_before_the_first_look_does_not_count) {
    EXPECT_EQ(seen(7, 0), 0U);
    EXPECT_EQ(seen(9, 1), 2U);
}

TEST_F(Restarts, they_are_forgotten_after_their_time) {
    seen(0, 0);
    EXPECT_EQ(seen(1, 1), 1U);
    EXPECT_EQ(seen(3, 5), 3U);
    EXPECT_EQ(seen(3, 11), 3U);
    EXPECT_EQ(seen(3, 12), 2U);
    EXPECT_EQ(seen(3, 16), 0U);
}

TEST_F(Restarts, a_start_by_somebody_begins_anew_and_what_follows_counts) {
    seen(0, 0);
    EXPECT_EQ(seen(5, 1), 5U);
    EXPECT_EQ(seen(0, 2), 0U);
    EXPECT_EQ(seen(2, 3), 2U);
    instance = "b";
    EXPECT_EQ(seen(2, 4), 2U) << "two of another container, none of the former";
}

TEST_F(Restarts, an_era_answers_for_its_own_restarts_only) {
    seen(0, 0);
    EXPECT_EQ(seen(4, 1), 4U);
    era = 2;
    EXPECT_EQ(seen(5, 2), 0U) << "one more before the service was told";
    EXPECT_EQ(seen(6, 3), 1U);
    era = 3;
    EXPECT_EQ(seen(2, 4), 2U) << "told, and restarted twice before anybody looked";
}

TEST_F(Restarts, more_than_can_be_kept_apart_still_count) {
    for (std::uint64_t counter = 0; counter <= 1'000; ++counter)
        memory.count({era, instance, counter, Instant{static_cast<std::int64_t>(counter)}}, minutes(10));
    EXPECT_EQ(seen(1'000, 1), 1'000U);
}

}  // namespace
}  // namespace modelguard::checks
