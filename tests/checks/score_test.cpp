#include "checks/score.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

Label label(std::string_view json) {
    auto parsed = parse_label(json);
    EXPECT_TRUE(parsed) << json;
    return parsed ? *parsed : Label{};
}
InferAnswer numbers(std::vector<double> values) { return {.outcome = Outcome::ok, .numbers = std::move(values)}; }
InferAnswer texts(std::vector<std::string> values) { return {.outcome = Outcome::ok, .texts = std::move(values)}; }

TEST(ParseLabel, takes_scalars_and_flat_arrays) {
    EXPECT_EQ(label("3"), (Label{.numbers = {3}}));
    EXPECT_EQ(label("true"), (Label{.numbers = {1}}));
    EXPECT_EQ(label(R"("cat")"), (Label{.texts = {"cat"}}));
    EXPECT_EQ(label("[1, 2.5]"), (Label{.numbers = {1, 2.5}}));
}

TEST(ParseLabel, refuses_what_cannot_be_compared) {
    for (const char* text : {"", "null", "{}", "[]", "[[1]]", R"([1,"a"])", "nonsense"}) {
        const auto parsed = parse_label(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().kind, ErrorKind::invalid_config);
    }
}

TEST(ScoreTop1, compares_classes) {
    EXPECT_EQ(score_top1(numbers({3}), label("3")), 1);
    EXPECT_EQ(score_top1(numbers({4}), label("3")), 0);
    EXPECT_EQ(score_top1(texts({"cat"}), label(R"("cat")")), 1);
    EXPECT_EQ(score_top1(texts({"dog"}), label(R"("cat")")), 0);
    EXPECT_EQ(score_top1(numbers({}), label("3")), 0);
    EXPECT_EQ(score_top1(numbers({3}), label(R"("3")")), 0);
}

TEST(ScoreTop1, takes_the_largest_of_unreduced_probabilities) {
    EXPECT_EQ(score_top1(numbers({0.1, 0.2, 0.7}), label("2")), 1);
    EXPECT_EQ(score_top1(numbers({0.1, 0.2, 0.7}), label("0")), 0);
}

TEST(ScoreTop1, of_a_batch_is_the_share_of_hits) {
    EXPECT_DOUBLE_EQ(score_top1(numbers({1, 2, 3, 9}), label("[1, 2, 3, 4]")), 0.75);
    EXPECT_EQ(score_top1(numbers({1, 2, 3}), label("[1, 2, 3, 4]")), 0);
}

TEST(ScoreExact, wants_every_value) {
    EXPECT_EQ(score_exact(numbers({1, 2}), label("[1, 2]")), 1);
    EXPECT_EQ(score_exact(numbers({1, 2.0000001}), label("[1, 2]")), 0);
    EXPECT_EQ(score_exact(texts({"a"}), label(R"("a")")), 1);
}

TEST(ScoreTolerance, includes_the_bound_and_nothing_beyond) {
    EXPECT_EQ(score_tolerance(numbers({1.2}), label("1.1"), 0.1), 1);
    EXPECT_EQ(score_tolerance(numbers({1.21}), label("1.1"), 0.1), 0);
    EXPECT_EQ(score_tolerance(numbers({1, 5}), label("[1, 2]"), 0.5), 0);
    EXPECT_EQ(score_tolerance(numbers({1}), label("[1, 2]"), 0.5), 0);
    EXPECT_EQ(score_tolerance(texts({"a"}), label(R"("a")"), 0.5), 1);
}

TEST(ScoreKinds, are_found_under_exactly_the_names_of_the_table) {
    for (const std::string_view name : kScoreNames) {
        ASSERT_NE(find_score(name), nullptr) << name;
        EXPECT_EQ(find_score(name)->name, name);
    }
    EXPECT_EQ(find_score("top-1"), nullptr);
}

}  // namespace
}  // namespace modelguard::checks
