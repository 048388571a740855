#include "checks/evidence/summary.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace modelguard::checks::evidence {
namespace {

TEST(Percentile, nearest_rank_follows_the_definition) {
    struct Case {
        double percentile;
        std::int64_t count;
        std::int64_t rank;
    };
    for (const Case& c : {
             Case{.percentile = 99, .count = 200, .rank = 198},
             Case{.percentile = 99, .count = 100, .rank = 99},
             Case{.percentile = 99, .count = 20, .rank = 20},
             Case{.percentile = 50, .count = 5, .rank = 3},
             Case{.percentile = 30, .count = 5, .rank = 2},
             Case{.percentile = 99.9, .count = 1000, .rank = 999},
             Case{.percentile = 99.9, .count = 10000, .rank = 9990},
             Case{.percentile = 1, .count = 20, .rank = 1},
             Case{.percentile = 100, .count = 7, .rank = 7},
         })
        EXPECT_EQ(nearest_rank(c.percentile, c.count), c.rank) << c.percentile << " of " << c.count;
}

TEST(Percentile, is_always_one_of_the_values) {
    const std::vector<std::int64_t> values{50, 15, 20, 40, 35};
    EXPECT_EQ(percentile_of(values, 5), 15);
    EXPECT_EQ(percentile_of(values, 30), 20);
    EXPECT_EQ(percentile_of(values, 40), 20);
    EXPECT_EQ(percentile_of(values, 50), 35);
    EXPECT_EQ(percentile_of(values, 100), 50);
}

TEST(Percentile, exceeds_a_limit_exactly_where_more_than_allowed_values_do) {
    constexpr std::int64_t kCount = 200;
    constexpr std::int64_t kLimit = 10;
    for (const double percentile : {1.0, 50.0, 90.0, 99.0, 99.9}) {
        const std::int64_t allowed = exceedances_allowed(percentile, kCount);
        for (const std::int64_t over : {allowed - 1, allowed, allowed + 1}) {
            if (over < 0 || over > kCount) continue;
            std::vector<std::int64_t> values(kCount, kLimit);
            std::fill_n(values.begin(), over, kLimit + 1);
            EXPECT_EQ(percentile_of(values, percentile) > kLimit, over > allowed)
                << "p" << percentile << " with " << over;
        }
    }
}

TEST(Mean, of_nothing_is_zero_and_of_values_their_average) {
    EXPECT_EQ(mean({}), 0);
    const std::vector<double> values{1, 0, 0.5};
    EXPECT_DOUBLE_EQ(mean(values), 0.5);
    EXPECT_EQ(mean_score({}), 0);
    EXPECT_DOUBLE_EQ(mean_score({{"a", 1}, {"b", 0}}), 0.5);
}

TEST(PairedDrop, counts_only_items_that_both_answered) {
    const Scores candidate{{"a", 1}, {"b", 0}, {"only-candidate", 0}};
    const Scores baseline{{"a", 1}, {"b", 1}, {"only-lkg", 1}};

    const PairedDrop paired = paired_drop(candidate, baseline);

    EXPECT_EQ(paired.pairs, 2);
    EXPECT_DOUBLE_EQ(paired.candidate, 0.5);
    EXPECT_DOUBLE_EQ(paired.baseline, 1);
    EXPECT_DOUBLE_EQ(paired.drop(), 0.5);
}

TEST(PairedDrop, of_disjoint_sets_has_no_pairs) {
    const PairedDrop paired = paired_drop({{"a", 1}}, {{"b", 1}});
    EXPECT_EQ(paired.pairs, 0);
    EXPECT_EQ(paired.drop(), 0);
}

TEST(PairedDrop, of_a_better_candidate_is_negative) {
    EXPECT_DOUBLE_EQ(paired_drop({{"a", 1}, {"b", 1}}, {{"a", 0}, {"b", 1}}).drop(), -0.5);
}

}  // namespace
}  // namespace modelguard::checks::evidence
