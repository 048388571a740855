#include "supervisor/daemon/judge.hpp"

#include <gtest/gtest.h>

#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {
namespace {

using core::VerdictKind;

/// A check that answers what it was made with and counts its runs.
struct Scripted : checks::Check {
    checks::CheckOutcome outcome;
    int* runs;
    std::string* baseline_seen;

    Scripted(checks::CheckOutcome o, int* r, std::string* b) : outcome(std::move(o)), runs(r), baseline_seen(b) {}
    struct Run : checks::Running {
        sys::Source turn;
    };
    std::unique_ptr<checks::Running> start(const checks::CheckContext& context,
                                           std::function<void(checks::CheckOutcome)> done) const override {
        ++*runs;
        if (baseline_seen && context.baseline) *baseline_seen = *context.baseline;
        auto run = std::make_unique<Run>();
        run->turn = context.loop.defer([done = std::move(done), result = outcome] { done(result); });
        return run;
    }
};

constexpr checks::CheckKind kGate{.name = "gate", .needs_server = false};
constexpr checks::CheckKind kCompares{.name = "compares", .compares = true};
constexpr checks::CheckKind kAlone{.name = "alone", .compares = true, .alone = true};

struct JudgingTest : testing::Test {
    std::unique_ptr<sys::Loop> loop = std::move(*sys::Loop::create());
    std::unique_ptr<sys::HttpClient> http = std::move(*sys::HttpClient::create(*loop));
    QuietRoom room;
    std::shared_ptr<Manifest> manifest = std::make_shared<Manifest>();
    std::map<std::string, int> runs;
    std::string baseline_seen;
    std::optional<Judgement> judgement;

    void check(const std::string& name, const checks::CheckKind& kind, VerdictKind verdict, bool required = true,
               std::string measurement = {}) {
        checks::CheckOutcome outcome{.verdict = verdict, .code = "scripted", .measurement = std::move(measurement)};
        manifest->checks.push_back(
            {.name = name,
             .kind = &kind,
             .required = required,
             .check = std::make_shared<Scripted>(std::move(outcome), &runs[name], &baseline_seen)});
    }
    JudgingSpec spec(core::JudgePurpose purpose = core::JudgePurpose::trial) {
        checks::CheckContext context{.loop = *loop, .http = *http};
        context.purpose = purpose;
        return {manifest, std::move(context), false, {}};
    }
    void judge(JudgingSpec what) {
        Judging judging(std::move(what), room, [this](Judgement j) { judgement = std::move(j); });
        const Instant deadline = sys::boottime_now() + std::chrono::seconds(10);
        while (!judgement && sys::boottime_now() < deadline)
            ASSERT_TRUE(loop->run_once(std::chrono::seconds(1)).has_value());
        ASSERT_TRUE(judgement.has_value());
    }
};

TEST_F(JudgingTest, all_required_checks_passing_is_a_pass) {
    check("a", kCompares, VerdictKind::pass);
    check("b", kGate, VerdictKind::pass);
    judge(spec());
    EXPECT_EQ(judgement->verdict, VerdictKind::pass);
    ASSERT_EQ(judgement->reports.size(), 2u);
    EXPECT_EQ(judgement->reports[0].check, "b") << "checks that need no server come first";
}

TEST_F(JudgingTest, a_required_failure_ends_it_and_the_rest_is_not_asked) {
    check("a", kCompares, VerdictKind::fail);
    check("b", kCompares, VerdictKind::pass);
    judge(spec());
    EXPECT_EQ(judgement->verdict, VerdictKind::fail);
    EXPECT_EQ(runs["b"], 0);
}

TEST_F(JudgingTest, a_wanted_failure_is_reported_and_changes_no_verdict) {
    check("a", kCompares, VerdictKind::fail, false);
    check("b", kCompares, VerdictKind::pass);
    judge(spec());
    EXPECT_EQ(judgement->verdict, VerdictKind::pass);
    EXPECT_EQ(judgement->reports.size(), 2u);
}

TEST_F(JudgingTest, an_inconclusive_required_check_is_inconclusive_never_fail) {
    check("a", kGate, VerdictKind::inconclusive);
    check("b", kCompares, VerdictKind::fail);
    judge(spec());
    EXPECT_EQ(judgement->verdict, VerdictKind::inconclusive);
}

TEST_F(JudgingTest, a_baseline_takes_every_measurement_although_one_fails) {
    check("a", kCompares, VerdictKind::fail, true, "{\"a\":1}");
    check("b", kCompares, VerdictKind::pass, true, "{\"b\":2}");
    judge(spec(core::JudgePurpose::baseline));
    EXPECT_EQ(judgement->verdict, VerdictKind::fail);
    EXPECT_EQ(judgement->measurements.size(), 2u);
}

TEST_F(JudgingTest, a_candidate_is_given_what_the_known_good_version_measured) {
    check("a", kCompares, VerdictKind::pass);
    JudgingSpec what = spec();
    what.baselines["a"] = "{\"a\":1}";
    judge(std::move(what));
    EXPECT_EQ(baseline_seen, "{\"a\":1}");
}

/// "ok ok" of the probes that a check without a protocol says it made.
struct ProbesTest : JudgingTest {
    std::string probed(VerdictKind verdict, std::int64_t probes) {
        std::string told;
        judgement.reset();
        manifest = std::make_shared<Manifest>();
        checks::CheckOutcome outcome{.verdict = verdict, .code = "scripted", .probes = probes};
        manifest->checks.push_back({.name = "tcp",
                                    .kind = &kGate,
                                    .check = std::make_shared<Scripted>(std::move(outcome), &runs["tcp"], nullptr)});
        JudgingSpec what = spec();
        what.on_probe = [&](const std::string& check, const checks::ProbeTold& probe) {
            EXPECT_EQ(check, "tcp");
            EXPECT_FALSE(probe.took);
            told += (told.empty() ? "" : " ") + std::string(checks::to_word(probe.outcome));
        };
        judge(std::move(what));
        return told;
    }
};

TEST_F(ProbesTest, of_a_kind_without_a_protocol_come_to_what_its_outcome_says) {
    EXPECT_EQ(probed(VerdictKind::pass, 1), "ok");
    EXPECT_EQ(probed(VerdictKind::fail, 2), "unreachable broken");
    EXPECT_EQ(probed(VerdictKind::inconclusive, 1), "unreachable");
    EXPECT_EQ(probed(VerdictKind::inconclusive, 0), "");
}

TEST_F(JudgingTest, a_light_pass_leaves_out_what_compares_or_measures_time) {
    check("gate", kGate, VerdictKind::pass);
    check("a", kCompares, VerdictKind::fail);
    check("b", kAlone, VerdictKind::fail);
    JudgingSpec what = spec();
    what.light = true;
    judge(std::move(what));
    EXPECT_EQ(judgement->verdict, VerdictKind::pass);
    EXPECT_EQ(runs["a"] + runs["b"], 0);
}

TEST_F(JudgingTest, what_measures_time_waits_for_the_quiet_room) {
    check("a", kAlone, VerdictKind::pass);
    int other = 0;
    room.ask(&other, [] {});
    Judging judging(spec(), room, [this](Judgement j) { judgement = std::move(j); });
    for (int turn = 0; turn < 5; ++turn)
        ASSERT_TRUE(loop->run_once(Usec{0}).has_value());
    EXPECT_EQ(runs["a"], 0);

    room.leave(&other);
    const Instant deadline = sys::boottime_now() + std::chrono::seconds(10);
    while (!judgement && sys::boottime_now() < deadline)
        ASSERT_TRUE(loop->run_once(std::chrono::seconds(1)).has_value());
    EXPECT_EQ(runs["a"], 1);
}

TEST(QuietRoom, one_is_inside_and_the_others_come_in_turn) {
    QuietRoom room;
    int a = 0, b = 0, c = 0;
    std::string order;
    room.ask(&a, [&] { order += 'a'; });
    room.ask(&b, [&] { order += 'b'; });
    room.ask(&c, [&] { order += 'c'; });
    EXPECT_EQ(order, "a");
    room.leave(&b);  // gives up waiting
    room.leave(&a);
    EXPECT_EQ(order, "ac");
    room.leave(&c);
    room.ask(&b, [&] { order += 'b'; });
    EXPECT_EQ(order, "acb");
}

}  // namespace
}  // namespace modelguard::daemon
