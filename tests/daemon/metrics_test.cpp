#include "supervisor/daemon/metrics.hpp"

#include <gtest/gtest.h>

#include "supervisor/daemon/metrics_file.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {
namespace {

using core::DecisionKind;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Digest kGood{"sha256:aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000"};
const Digest kBad{"sha256:bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000"};

MetricFacts facts(std::vector<std::string> versions = {"aaaaaaaaaaaa", "bbbbbbbbbbbb"}) {
    MetricFacts found;
    found.models.push_back({.name = "digits",
                            .phase = "steady",
                            .available = true,
                            .protocol = "oip",
                            .current = {"aaaaaaaaaaaa", "v1"},
                            .known_good = {"aaaaaaaaaaaa", "v1"},
                            .known_good_os = {},
                            .versions = std::move(versions)});
    return found;
}

struct MetricsTest : testing::Test {
    Metrics metrics;

    std::string page(const MetricFacts& now = facts()) { return metrics.page(now, MetricsFormat::prometheus); }
    void has(const std::string& line) {
        const std::string text = page();
        EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << "\nis not in\n" << text;
    }
    void has_not(const std::string& word) {
        const std::string text = page();
        EXPECT_EQ(text.find(word), std::string::npos) << text;
    }
    void told(DecisionKind kind, Usec at, const std::string& code = {}, const std::string& model = "digits") {
        core::Decision decision{.kind = kind, .model = model};
        decision.code = code;
        metrics.decided(decision, Instant{at.count()});
    }
};

TEST_F(MetricsTest, what_is_true_now_is_told_of_each_model) {
    has("modelguard_build_info{version=\"" MODELGUARD_VERSION "\"} 1");
    has("modelguard_model_info{model=\"digits\",version=\"aaaaaaaaaaaa\",label=\"v1\",protocol=\"oip\"} 1");
    has("modelguard_known_good_info{model=\"digits\",version=\"aaaaaaaaaaaa\",label=\"v1\"} 1");
    has("modelguard_model_available{model=\"digits\"} 1");
    has("modelguard_model_phase{model=\"digits\",phase=\"steady\"} 1");
    has("modelguard_model_phase{model=\"digits\",phase=\"held\"} 0");
}

TEST_F(MetricsTest, exactly_one_phase_is_1_and_each_phase_is_there) {
    const std::string text = page();
    std::size_t phases = 0, ones = 0;
    for (std::size_t at = text.find("\nmodelguard_model_phase{"); at != std::string::npos;
         at = text.find("\nmodelguard_model_phase{", at + 1)) {
        ++phases;
        ones += text[text.find('}', at) + 2] == '1';
    }
    EXPECT_EQ(phases, 12u);
    EXPECT_EQ(ones, 1u);
}

TEST_F(MetricsTest, nothing_is_printed_that_nothing_was_told_of) {
    for (const char* word : {"probes", "duration", "ratio", "verdicts", "rollbacks"})
        has_not(word);
}

TEST_F(MetricsTest, probes_count_by_outcome_and_only_answers_have_a_duration) {
    metrics.probed("digits", kGood, "accuracy", {checks::Outcome::ok, milliseconds(2)});
    metrics.probed("digits", kGood, "accuracy", {checks::Outcome::ok, milliseconds(30)});
    metrics.probed("digits", kGood, "accuracy", {checks::Outcome::unreachable});

    has("modelguard_probes_total{model=\"digits\",version=\"aaaaaaaaaaaa\",check=\"accuracy\",outcome=\"ok\"} 2");
    has("modelguard_probes_total{model=\"digits\",version=\"aaaaaaaaaaaa\",check=\"accuracy\",outcome=\"unreachable\"} "
        "1");
    has("modelguard_probe_duration_seconds_count{model=\"digits\",version=\"aaaaaaaaaaaa\"} 2");
    has("modelguard_probe_duration_seconds_bucket{model=\"digits\",version=\"aaaaaaaaaaaa\",le=\"0.0025\"} 1");
}

TEST_F(MetricsTest, a_streamed_answer_has_the_time_of_its_first_token_and_between_the_others) {
    const auto told = [&](std::int64_t tokens) {
        metrics.probed(
            "digits", kGood, "chat",
            {checks::Outcome::ok, milliseconds(900), checks::Streamed{milliseconds(100), milliseconds(900), tokens}});
    };
    told(1);
    has_not("per_output_token");  // one token has none after it
    told(5);
    has("modelguard_time_to_first_token_seconds_sum{model=\"digits\",version=\"aaaaaaaaaaaa\"} 0.2");
    has("modelguard_time_per_output_token_seconds_sum{model=\"digits\",version=\"aaaaaaaaaaaa\"} 0.2");
    has("modelguard_time_per_output_token_seconds_count{model=\"digits\",version=\"aaaaaaaaaaaa\"} 1");
}

TEST_F(MetricsTest, a_verdict_has_the_code_of_the_first_required_check_that_did_not_pass) {
    std::vector<core::CheckReport> reports{
        {.check = "disk", .kind = "exec", .required = false, .verdict = core::VerdictKind::fail, .code = "exit_status"},
        {.check = "accuracy",
         .kind = "accuracy",
         .verdict = core::VerdictKind::fail,
         .code = "below_min",
         .measured = 0.125}};
    metrics.judged("digits", kBad, core::Subject::candidate, core::VerdictKind::fail, reports);
    metrics.judged("digits", kGood, core::Subject::current, core::VerdictKind::pass, {});

    has("modelguard_verdicts_total{model=\"digits\",subject=\"candidate\",verdict=\"fail\",reason=\"below_min\"} 1");
    has("modelguard_verdicts_total{model=\"digits\",subject=\"current\",verdict=\"pass\",reason=\"ok\"} 1");
    has("modelguard_accuracy_ratio{model=\"digits\",version=\"bbbbbbbbbbbb\",check=\"accuracy\"} 0.125");
}

TEST_F(MetricsTest, a_kind_without_a_metric_of_its_own_is_not_told_as_one) {
    metrics.judged("digits", kGood, core::Subject::current, core::VerdictKind::pass,
                   {{.check = "p99", .kind = "latency", .verdict = core::VerdictKind::pass, .measured = 12.0}});
    has_not("ratio");
    has_not("12");
}

TEST_F(MetricsTest, a_trial_lasts_until_it_is_decided_or_the_way_back_begins) {
    told(DecisionKind::trial_started, seconds(100));
    told(DecisionKind::rolling_back, seconds(104), "below_min");
    told(DecisionKind::rejected, seconds(105), "below_min");
    told(DecisionKind::rolled_back, seconds(105), "below_min");

    has("modelguard_trial_duration_seconds_sum{model=\"digits\"} 4");
    has("modelguard_trial_duration_seconds_count{model=\"digits\"} 1");
    has("modelguard_rollback_duration_seconds_sum{model=\"digits\"} 1");
    has("modelguard_rollbacks_total{scope=\"model\",model=\"digits\",reason=\"below_min\"} 1");
}

TEST_F(MetricsTest, a_second_request_that_joined_a_way_back_is_no_second_rollback) {
    told(DecisionKind::rolling_back, seconds(1), "manual");
    told(DecisionKind::rolled_back, seconds(2), "manual");
    told(DecisionKind::rolled_back, seconds(2), "joined");

    has("modelguard_rollbacks_total{scope=\"model\",model=\"digits\",reason=\"manual\"} 1");
    has_not("joined");
}

TEST_F(MetricsTest, what_began_before_the_daemon_has_no_duration) {
    told(DecisionKind::rolled_back, seconds(2), "below_min");
    told(DecisionKind::accepted, seconds(3));

    has("modelguard_rollbacks_total{scope=\"model\",model=\"digits\",reason=\"below_min\"} 1");
    has_not("duration");
}

TEST_F(MetricsTest, a_way_back_that_did_not_help_is_none_and_leaves_no_beginning_behind) {
    told(DecisionKind::rolling_back, seconds(1), "below_min");
    told(DecisionKind::degraded, seconds(9), "nothing_passes");
    told(DecisionKind::rolled_back, seconds(1000), "manual");

    has_not("rollback_duration");
}

TEST_F(MetricsTest, an_os_rollback_has_a_scope_and_no_model) {
    told(DecisionKind::os_rolled_back, seconds(1), "os_changed", "");
    has("modelguard_rollbacks_total{scope=\"os\",reason=\"os_changed\"} 1");
}

TEST_F(MetricsTest, counts_of_versions_and_models_that_are_gone_go_too) {
    metrics.probed("digits", kGood, "ready", {checks::Outcome::ok, milliseconds(1)});
    metrics.probed("digits", kBad, "ready", {checks::Outcome::ok, milliseconds(1)});
    metrics.judged("other", kGood, core::Subject::current, core::VerdictKind::pass, {});

    const std::string text = page(facts({"aaaaaaaaaaaa"}));
    EXPECT_NE(text.find("aaaaaaaaaaaa\",check=\"ready"), std::string::npos) << text;
    EXPECT_EQ(text.find("bbbbbbbbbbbb"), std::string::npos) << text;
    EXPECT_EQ(text.find("other"), std::string::npos) << text;
}

struct MetricsFileTest : testing::Test {
    std::unique_ptr<sys::Loop> loop = std::move(*sys::Loop::create());
    sys::Path folder = std::filesystem::path(testing::TempDir()) / ("metrics_file_" + std::to_string(::getpid()));
    sys::Path path = folder / "modelguard.prom";
    std::string page = "a 1\n";
    std::vector<std::string> notes;

    MetricsFileTest() { std::filesystem::create_directories(folder); }
    ~MetricsFileTest() override { std::filesystem::remove_all(folder); }
    std::unique_ptr<MetricsFile> file() {
        return std::make_unique<MetricsFile>(
            *loop, path, [this] { return page; }, [this](const std::string& note) { notes.push_back(note); });
    }
    std::string content() { return sys::read_file(path).value_or(""); }
    void run_until(const std::function<bool()>& reached) {
        const Instant deadline = sys::boottime_now() + seconds(20);
        while (!reached() && sys::boottime_now() < deadline)
            ASSERT_TRUE(loop->run_once(seconds(1)).has_value());
        EXPECT_TRUE(reached());
    }
};

TEST_F(MetricsFileTest, it_is_there_at_once_follows_a_decision_and_goes_with_the_daemon) {
    auto metrics = file();
    run_until([&] { return content() == "a 1\n"; });
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0644));
    page = "a 2\n";
    metrics->write_soon();
    run_until([&] { return content() == "a 2\n"; });
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1) << "a temp file is left";
    metrics.reset();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(MetricsFileTest, a_page_that_says_nothing_new_is_not_written_again) {
    auto metrics = file();
    run_until([&] { return content() == "a 1\n"; });
    std::filesystem::remove(path);
    bool passed = false;
    metrics->write_soon();
    const auto later = loop->add_timer(milliseconds(400), [&] { passed = true; });
    run_until([&] { return passed; });
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(MetricsFileTest, a_failure_is_noted_once_and_made_good) {
    std::filesystem::remove_all(folder);
    auto metrics = file();
    run_until([&] { return !notes.empty(); });
    EXPECT_NE(notes.front().find("metrics.textfile"), std::string::npos) << notes.front();
    bool passed = false;
    metrics->write_soon();
    const auto later = loop->add_timer(milliseconds(400), [&] { passed = true; });
    run_until([&] { return passed; });
    EXPECT_EQ(notes.size(), 1u);
    std::filesystem::create_directories(folder);
    metrics->write_soon();
    run_until([&] { return content() == "a 1\n"; });
}

}  // namespace
}  // namespace modelguard::daemon
