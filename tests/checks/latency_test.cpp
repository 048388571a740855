#include <nlohmann/json.hpp>

#include "supervisor/sys/clock.hpp"
#include "tests/checks/bench_server.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Latency : public CheckTest {
  protected:
    void SetUp() override {
        CheckTest::SetUp();
        write_canary(10);
    }
    static ParamMap params(std::int64_t samples = 30) {
        return {{"canary", text("canary/digits.jsonl")}, {"samples", integer(samples)}};
    }
    /// A limit that a loaded machine keeps: the checks of the way to pass must not depend on who else runs.
    static ParamMap with_wide_max(std::int64_t samples = 30) {
        ParamMap result = params(samples);
        result.emplace("max", duration(seconds(5)));
        return result;
    }
    /// What the LKG would have measured on the same inputs.
    std::string baseline_of(Usec percentile) {
        auto measured = nlohmann::json::parse(run("latency", with_wide_max()).measurement);
        measured["percentile_usec"] = percentile.count();
        return measured.dump();
    }
};

TEST_F(Latency, of_a_quick_model_passes_with_its_numbers) {
    const CheckOutcome outcome = run("latency", with_wide_max());
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.code, "ok");
    EXPECT_EQ(outcome.unit, "ms");
    EXPECT_EQ(outcome.limit, 5000.0);
    EXPECT_GT(outcome.measured.value_or(0), 0);
    EXPECT_LT(outcome.measured.value_or(1e9), 5000);
    EXPECT_NE(outcome.text.find(" on 30 requests (max 5000 ms)"), std::string::npos) << outcome.text;
    EXPECT_TRUE(outcome.text.starts_with("p99 ")) << outcome.text;
}

TEST_F(Latency, measures_one_at_a_time_on_one_connection_after_a_warm_up) {
    const CheckOutcome outcome = run("latency", with_wide_max());
    EXPECT_EQ(outcome.probes, 35);
    EXPECT_EQ(counted("infer"), 35);
    EXPECT_EQ(counted("ids"), 35);
    EXPECT_EQ(counted("in_flight_max"), 1);
    const auto measurement = nlohmann::json::parse(outcome.measurement);
    EXPECT_EQ(measurement["samples"], 30);
    EXPECT_EQ(measurement["percentile"], 99);
    EXPECT_NEAR(measurement["percentile_usec"].get<double>() / 1000, outcome.measured.value_or(0), 0.001);
}

TEST_F(Latency, measures_what_the_model_takes) {
    control(R"({"mode": "slow", "ms": 20})");
    const CheckOutcome outcome = run("latency", with_wide_max(20));
    EXPECT_GE(outcome.measured.value_or(0), 20);
}

TEST_F(Latency, stops_as_soon_as_the_percentile_cannot_recover) {
    control(R"({"mode": "slow", "ms": 60})");
    ParamMap strict = params(200);
    strict.emplace("max", duration(milliseconds(10)));

    const CheckOutcome outcome = run("latency", strict);

    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "too_slow");
    EXPECT_EQ(outcome.probes, 5 + 3) << "p99 of 200 allows two requests above the limit";
    EXPECT_GE(outcome.measured.value_or(0), 60);
    EXPECT_NE(outcome.text.find("the first 3 of 200 requests"), std::string::npos) << outcome.text;
    EXPECT_NE(outcome.text.find("> max 10.0 ms"), std::string::npos) << outcome.text;
}

TEST_F(Latency, forgives_what_the_percentile_forgives) {
    // Of 20 requests p90 allows two above the limit: exactly two are slow, after the warm-up.
    ParamMap p90 = params(20);
    p90.emplace("percentile", number(90));
    p90.emplace("max", duration(milliseconds(400)));
    control(R"({"mode": "slow", "ms": 500, "after": 8, "count": 2})");
    const CheckOutcome outcome = run("latency", p90);
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.probes, 25);
}

TEST_F(Latency, a_slow_warm_up_does_not_count) {
    ParamMap strict = params(20);
    strict.emplace("max", duration(milliseconds(400)));
    control(R"({"mode": "slow", "ms": 500, "count": 2})");
    EXPECT_EQ(run("latency", strict).verdict, VerdictKind::pass);
}

TEST_F(Latency, a_model_that_hangs_is_too_slow_within_seconds) {
    control(R"({"mode": "hang"})");
    ParamMap strict = params(200);
    strict.emplace("max", duration(milliseconds(10)));
    const Instant began = sys::boottime_now();

    const CheckOutcome outcome = run("latency", strict);

    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "too_slow");
    EXPECT_NE(outcome.text.find("3 without an answer within 1s"), std::string::npos) << outcome.text;
    EXPECT_LT(sys::boottime_now() - began, seconds(8));
}

TEST_F(Latency, a_model_that_hangs_fails_even_where_the_percentile_forgives_many) {
    control(R"({"mode": "hang", "after": 5})");
    ParamMap median = params(200);
    median.emplace("percentile", number(50));
    median.emplace("max", duration(milliseconds(50)));
    const CheckOutcome outcome = run("latency", median);
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "errors");
    EXPECT_EQ(outcome.text, "3 requests in a row had no answer within 1s");
    EXPECT_EQ(outcome.probes, 8);
}

TEST_F(Latency, slower_than_the_lkg_fails) {
    const std::string lkg = baseline_of(milliseconds(10));
    context_->baseline = &lkg;
    ParamMap ratio = params();
    ratio.emplace("max_ratio", number(1.5));
    control(R"({"mode": "slow", "ms": 40})");

    const CheckOutcome outcome = run("latency", ratio);

    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "slower_than_baseline");
    EXPECT_EQ(outcome.baseline, 10.0);
    EXPECT_EQ(outcome.limit, 15.0);
    EXPECT_NE(outcome.text.find("LKG 10.0 ms, ratio "), std::string::npos) << outcome.text;
    EXPECT_NE(outcome.text.find(" > 1.50"), std::string::npos) << outcome.text;
}

TEST_F(Latency, within_the_ratio_passes) {
    const std::string lkg = baseline_of(seconds(2));
    context_->baseline = &lkg;
    ParamMap ratio = params();
    ratio.emplace("max_ratio", number(1.5));
    const CheckOutcome outcome = run("latency", ratio);
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_NE(outcome.text.find("<= 1.50"), std::string::npos) << outcome.text;
}

TEST_F(Latency, is_not_compared_with_other_inputs_or_another_percentile) {
    const std::string same = baseline_of(Usec{1});
    auto other_inputs = nlohmann::json::parse(same);
    other_inputs["inputs"] = "0000000000000000";
    auto other_percentile = nlohmann::json::parse(same);
    other_percentile["percentile"] = 50;
    ParamMap ratio = params();
    ratio.emplace("max_ratio", number(1.5));
    for (const std::string& lkg :
         {other_inputs.dump(), other_percentile.dump(), std::string("nonsense"), std::string("{}")}) {
        context_->baseline = &lkg;
        const CheckOutcome outcome = run("latency", ratio);
        EXPECT_EQ(outcome.verdict, VerdictKind::pass) << lkg;
        EXPECT_FALSE(outcome.baseline.has_value());
        EXPECT_NE(outcome.text.find("measured on other inputs"), std::string::npos) << outcome.text;
    }
    context_->baseline = &same;
    EXPECT_EQ(run("latency", ratio).code, "slower_than_baseline")
        << "the control: the same baseline, unaltered, compares";
}

TEST_F(Latency, errors_fail_and_are_not_timed) {
    control(R"({"mode": "broken500"})");
    const CheckOutcome outcome = run("latency", with_wide_max());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "errors");
    EXPECT_EQ(outcome.probes, 2) << "5% of 30 allow one";
    EXPECT_FALSE(outcome.measured.has_value());
}

TEST_F(Latency, of_a_nan_is_a_latency_all_the_same) {
    control(R"({"mode": "nan"})");
    EXPECT_EQ(run("latency", with_wide_max()).verdict, VerdictKind::pass);
}

TEST_F(Latency, of_another_version_is_nobodys) {
    context_->target.served_version = "1";
    control(R"({"mode": "wrong_version", "version": "0", "after": 10})");
    const CheckOutcome outcome = run("latency", with_wide_max());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "wrong_version");
}

TEST_F(Latency, is_inconclusive_when_the_server_goes_away) {
    control(R"({"mode": "rst", "after": 12})");
    const CheckOutcome outcome = run("latency", with_wide_max());
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "unreachable");
}

TEST_F(Latency, a_reply_that_trickles_ends_with_its_timeout) {
    control(R"({"mode": "slow_loris", "after": 5})");
    ParamMap strict = params(20);
    strict.emplace("percentile", number(99));
    strict.emplace("max", duration(milliseconds(50)));
    const CheckOutcome outcome = run("latency", strict);
    EXPECT_EQ(outcome.code, "too_slow");
    EXPECT_EQ(outcome.probes, 6) << "p99 of 20 allows none above the limit";
}

TEST(LatencyParams, need_a_limit) {
    const auto make = [](ParamMap params) {
        params.emplace("canary", text("set.jsonl"));
        return find_kind("latency")->make(params);
    };
    EXPECT_TRUE(make({{"max", duration(milliseconds(50))}}));
    EXPECT_TRUE(make({{"max_ratio", number(1.2)}}));
    const auto made = make({{"percentile", number(99)}});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::invalid_config);
    EXPECT_NE(made.error().what.find("max or max_ratio"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
