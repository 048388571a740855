#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;
using sys::test::ok_reply;
using sys::test::TinyServer;

class MetricsKind : public WrittenCheck {
  protected:
    CheckOutcome ask(const std::string& more) {
        if (!server_)
            server_.emplace(*loop_, [this](const std::string&) {
                return TinyServer::Answer{
                    .bytes = ok_reply(page_ + "scrapes_total " + std::to_string(10 * ++scrapes_) + "\n", "text/plain")};
            });
        return run_written("kind: metrics, url: '" + server_->url("/metrics") + "', " + more);
    }

    std::string page_ = "waiting{model=\"digits\"} 3\nwaiting{model=\"letters\"} 8\nempty NaN\n";
    int scrapes_{0};

  private:
    std::optional<TinyServer> server_;
};

TEST_F(MetricsKind, a_value_within_its_limits_passes) {
    const CheckOutcome outcome = ask("metric: 'waiting{model=\"digits\"}', max: '5'");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.measured, 3.0);
    EXPECT_EQ(outcome.limit, 5.0);
}

TEST_F(MetricsKind, a_value_beyond_its_limits_fails) {
    const CheckOutcome outcome = ask("metric: waiting, max: '5'");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.text, "waiting is 8, more than 5");
    EXPECT_EQ(ask("metric: waiting, reduce: min, max: '5'").measured, 3.0);
    EXPECT_EQ(ask("metric: waiting, reduce: sum, max: '5'").measured, 11.0);
}

TEST_F(MetricsKind, a_counter_is_judged_by_its_growth) {
    const CheckOutcome outcome = ask("metric: scrapes_total, over: 100ms, max: '99'");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.text, "the growth of scrapes_total a second is 100, more than 99");
    EXPECT_EQ(outcome.probes, 2);
}

TEST_F(MetricsKind, a_metric_that_is_not_there_neither_passes_nor_fails) {
    for (const char* name : {"waitnig", "empty"}) {
        const CheckOutcome outcome = ask(std::string("metric: ") + name + ", max: '5'");
        EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive) << "a mistyped name must not pass for ever";
        EXPECT_EQ(outcome.code, "no_such_metric");
    }
    page_ = "<html>\n";
    EXPECT_EQ(ask("metric: waiting, max: '5'").code, "malformed_reply");
}

TEST_F(MetricsKind, nobody_there_is_inconclusive) {
    const sys::test::DeadPort dead;
    const CheckOutcome outcome = run_written("kind: metrics, metric: up, min: '1', url: '" + dead.url() + "'");
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "unreachable");
}

TEST_F(MetricsKind, wrong_parameters_are_refused) {
    const std::string url = "kind: metrics, url: 'http://127.0.0.1:1/metrics', ";
    EXPECT_NE(refusal(url + "metric: up").find("expected min or max"), std::string::npos);
    EXPECT_NE(refusal(url + "metric: 'up{', min: '1'").find("expected a metric's name"), std::string::npos);
    EXPECT_NE(refusal("kind: metrics, metric: up, min: '1', url: 'http://192.0.2.1/'").find("checks[0].url"),
              std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
