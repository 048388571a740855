// The stable words: every enumerator has one, and reading it back gives the enumerator.

#include <set>

#include <gtest/gtest.h>

#include "supervisor/core/step.hpp"

namespace modelguard::core {
namespace {

template <class Enum>
void expect_round_trip(Enum last) {
    std::set<std::string_view> seen;
    for (int i = 0; i <= static_cast<int>(last); ++i) {
        const auto value = static_cast<Enum>(i);
        const std::string_view word = to_word(value);
        EXPECT_FALSE(word.empty()) << i;
        EXPECT_TRUE(seen.insert(word).second) << word << " stands for two things";
        EXPECT_EQ(from_word<Enum>(word), value) << word;
    }
    EXPECT_EQ(from_word<Enum>("a word of a newer release"), std::nullopt);
    EXPECT_EQ(from_word<Enum>(""), std::nullopt);
}

TEST(Words, read_back_as_what_they_were) {
    expect_round_trip(Phase::held);
    expect_round_trip(VerdictKind::inconclusive);
    expect_round_trip(Subject::current);
    expect_round_trip(Where::in_place);
    expect_round_trip(OnInconclusive::accept);
    expect_round_trip(Origin::command);
    expect_round_trip(TrialKind::manifest);
    expect_round_trip(Cause::give_up);
    expect_round_trip(WorkKind::watch);
    expect_round_trip(Timer::os_retry);
    expect_round_trip(OsStep::rebooting);
    expect_round_trip(OsVerb::reboot);
    expect_round_trip(DecisionKind::rebuilt);
    expect_round_trip(Blame::operator_);
    expect_round_trip(JudgePurpose::ladder);
}

TEST(Words, are_the_ones_of_the_design) {
    EXPECT_EQ(to_word(Phase::baselining), "baselining");
    EXPECT_EQ(to_word(OnInconclusive::keep_known_good), "keep_known_good");
    EXPECT_EQ(to_word(Blame::operator_), "operator");
}

}  // namespace
}  // namespace modelguard::core
