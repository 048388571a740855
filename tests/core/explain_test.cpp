// What people are told about a decision.

#include <gtest/gtest.h>

#include "tests/core/device.hpp"

namespace modelguard::core {
namespace {

TEST(Explain, rejection_says_what_was_measured_who_is_to_blame_and_what_serves) {
    Device device;
    device.install("A").reaches_trial("B").fails();
    device.reaches_verifying().passes();

    const auto lines = explain(*device.told(DecisionKind::rejected));

    ASSERT_GE(lines.size(), 4U);
    EXPECT_NE(lines[0].find("B was rejected (failed_checks)"), std::string::npos) << lines[0];
    EXPECT_NE(lines[1].find("FAIL  accuracy: 0.31 right, at least 0.90 wanted"), std::string::npos) << lines[1];
    EXPECT_NE(lines[2].find("the model is to blame"), std::string::npos) << lines[2];
    EXPECT_NE(lines[3].find("serving: A"), std::string::npos) << lines[3];
}

TEST(Explain, nothing_served_is_said_in_words) {
    const auto lines = explain({.kind = DecisionKind::rejected, .version = version("A")});

    EXPECT_NE(lines.back().find("serving: nothing"), std::string::npos);
}

TEST(Explain, each_kind_and_blame_has_words_of_its_own) {
    std::vector<std::string> seen;
    for (int i = 0; i <= static_cast<int>(DecisionKind::rebuilt); ++i) {
        const auto lines = explain({.kind = static_cast<DecisionKind>(i), .version = version("A")});
        ASSERT_FALSE(lines.empty());
        EXPECT_FALSE(lines.front().empty()) << i;
        EXPECT_EQ(std::ranges::count(seen, lines.front()), 0) << lines.front();
        seen.push_back(lines.front());
    }
    for (int i = 1; i <= static_cast<int>(Blame::operator_); ++i) {
        const auto lines =
            explain({.kind = DecisionKind::kept, .version = version("A"), .blame = static_cast<Blame>(i)});
        EXPECT_EQ(lines.size(), 2U) << i;
    }
    EXPECT_EQ(explain({.kind = DecisionKind::kept}).front(), "nothing is kept");
}

TEST(Explain, check_that_is_only_wanted_or_unknown_is_marked_so) {
    CheckReport wanted = report(VerdictKind::fail);
    wanted.required = false;

    const auto lines = explain({.kind = DecisionKind::undecided,
                                .reports = {wanted, report(VerdictKind::inconclusive), report(VerdictKind::pass)}});

    EXPECT_NE(lines[1].find("fail (wanted)"), std::string::npos);
    EXPECT_NE(lines[2].find("unknown"), std::string::npos);
    EXPECT_NE(lines[3].find("pass"), std::string::npos);
}

TEST(Values, phases_are_at_rest_and_healthy_as_the_gate_sees_them) {
    struct Row {
        Phase phase;
        bool rest;
        bool healthy;
    };
    for (const auto& [phase, rest, healthy] :
         {Row{Phase::empty, true, false}, Row{Phase::kept, true, false}, Row{Phase::baselining, false, true},
          Row{Phase::preflight, false, true}, Row{Phase::switching, false, true}, Row{Phase::trial, false, true},
          Row{Phase::soaking, false, true}, Row{Phase::steady, true, true}, Row{Phase::reverting, false, false},
          Row{Phase::verifying, false, false}, Row{Phase::degraded, true, false}, Row{Phase::held, true, false}}) {
        ModelState model;
        model.phase = phase;
        EXPECT_EQ(is_at_rest(phase), rest) << to_word(phase);
        EXPECT_EQ(is_healthy(model), healthy) << to_word(phase);
    }
}

TEST(Values, rejection_of_a_digest_counts_under_every_manifest_and_of_a_revision_only_under_its_own) {
    ModelState model;
    model.rejected = {{.version = version("A"), .manifest_rev = "", .code = "x"},
                      {.version = version("B"), .manifest_rev = "r2", .code = "y"}};

    EXPECT_NE(find_rejection(model, version("A"), "r1"), nullptr);
    EXPECT_EQ(find_rejection(model, version("B"), "r1"), nullptr);
    EXPECT_NE(find_rejection(model, version("B"), "r2"), nullptr);
    EXPECT_EQ(find_rejection(model, version("C"), "r2"), nullptr);
}

}  // namespace
}  // namespace modelguard::core
