#include "supervisor/daemon/metrics_text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace modelguard::daemon {
namespace {

constexpr MetricFamily kPhase{"modelguard_model_phase", MetricType::gauge, "1 for the phase the model is in, else 0."};
constexpr MetricFamily kProbes{"modelguard_probes_total", MetricType::counter, "Probes."};
constexpr MetricFamily kBuild{"modelguard_build_info", MetricType::info, "The release."};
constexpr MetricFamily kTook{"modelguard_took_seconds", MetricType::histogram, "How long it took.", "seconds"};
constexpr std::array kBounds{0.5, 1.0, 2.5};

std::string page(MetricsFormat format, const MetricFamily& family, const MetricsText::Labels& labels, double value) {
    MetricsText text(format);
    text.begin(family);
    text.sample(labels, value);
    return text.take();
}

TEST(MetricsTextTest, a_family_has_help_and_type_once_before_its_samples) {
    MetricsText text(MetricsFormat::prometheus);
    text.begin(kPhase);
    text.sample({{"model", "digits"}, {"phase", "steady"}}, 1);
    text.sample({{"model", "digits"}, {"phase", "trial"}}, 0);

    EXPECT_EQ(text.take(),
              "# HELP modelguard_model_phase 1 for the phase the model is in, else 0.\n"
              "# TYPE modelguard_model_phase gauge\n"
              "modelguard_model_phase{model=\"digits\",phase=\"steady\"} 1\n"
              "modelguard_model_phase{model=\"digits\",phase=\"trial\"} 0\n");
}

TEST(MetricsTextTest, a_family_without_samples_leaves_no_trace) {
    MetricsText text(MetricsFormat::prometheus);
    text.begin(kPhase);
    text.begin(kProbes);
    text.sample({}, 3);

    EXPECT_EQ(text.take(),
              "# HELP modelguard_probes_total Probes.\n# TYPE modelguard_probes_total counter\n"
              "modelguard_probes_total 3\n");
}

TEST(MetricsTextTest, openmetrics_names_the_family_without_what_its_type_adds) {
    EXPECT_EQ(page(MetricsFormat::openmetrics, kProbes, {}, 3),
              "# HELP modelguard_probes Probes.\n# TYPE modelguard_probes counter\nmodelguard_probes_total 3\n# EOF\n");
    EXPECT_EQ(page(MetricsFormat::openmetrics, kBuild, {{"version", "1"}}, 1),
              "# HELP modelguard_build The release.\n# TYPE modelguard_build info\n"
              "modelguard_build_info{version=\"1\"} 1\n# EOF\n");
    EXPECT_NE(page(MetricsFormat::prometheus, kBuild, {}, 1).find("# TYPE modelguard_build_info gauge\n"),
              std::string::npos);
}

TEST(MetricsTextTest, a_histogram_counts_what_is_at_most_each_bound) {
    Histogram took(kBounds);
    for (const double value : {0.1, 0.5, 0.9, 3.0})
        took.add(value);
    MetricsText text(MetricsFormat::openmetrics);
    text.begin(kTook);
    text.sample({{"model", "m"}}, took);

    EXPECT_EQ(text.take(),
              "# HELP modelguard_took_seconds How long it took.\n"
              "# TYPE modelguard_took_seconds histogram\n"
              "# UNIT modelguard_took_seconds seconds\n"
              "modelguard_took_seconds_bucket{model=\"m\",le=\"0.5\"} 2\n"
              "modelguard_took_seconds_bucket{model=\"m\",le=\"1.0\"} 3\n"
              "modelguard_took_seconds_bucket{model=\"m\",le=\"2.5\"} 3\n"
              "modelguard_took_seconds_bucket{model=\"m\",le=\"+Inf\"} 4\n"
              "modelguard_took_seconds_sum{model=\"m\"} 4.5\n"
              "modelguard_took_seconds_count{model=\"m\"} 4\n"
              "# EOF\n");
}

TEST(MetricsTextTest, label_values_are_escaped_whatever_they_hold) {
    const std::string text = page(MetricsFormat::prometheus, kBuild, {{"label", "a\"b\\c\nd"}}, 1);
    EXPECT_NE(text.find("{label=\"a\\\"b\\\\c\\nd\"} 1\n"), std::string::npos) << text;
}

TEST(MetricsTextTest, bytes_that_are_no_text_become_the_replacement_character) {
    const std::string text = page(MetricsFormat::prometheus, kBuild, {{"label", "v\xff\xc3"}}, 1);
    EXPECT_NE(text.find("{label=\"v\xef\xbf\xbd\xef\xbf\xbd\"}"), std::string::npos) << text;
}

TEST(MetricsTextTest, an_empty_label_is_left_out) {
    EXPECT_NE(page(MetricsFormat::prometheus, kBuild, {{"label", ""}}, 1).find("modelguard_build_info 1\n"),
              std::string::npos);
}

TEST(MetricsTextTest, numbers_are_shortest_and_what_is_no_number_has_its_word) {
    const auto value = [](double number) {
        const std::string text = page(MetricsFormat::prometheus, kPhase, {}, number);
        return text.substr(text.rfind(' ') + 1);
    };
    EXPECT_EQ(value(0.975), "0.975\n");
    EXPECT_EQ(value(1234567), "1234567\n");
    EXPECT_EQ(value(std::nan("")), "NaN\n");
    EXPECT_EQ(value(-std::numeric_limits<double>::infinity()), "-Inf\n");
}

TEST(MetricsTextTest, the_format_is_what_accept_asks_for) {
    EXPECT_EQ(metrics_format(""), MetricsFormat::prometheus);
    EXPECT_EQ(metrics_format("*/*"), MetricsFormat::prometheus);
    EXPECT_EQ(metrics_format("text/plain;version=0.0.4;q=0.5"), MetricsFormat::prometheus);
    EXPECT_EQ(metrics_format("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
              MetricsFormat::openmetrics);
    EXPECT_EQ(metrics_format("text/plain, application/openmetrics-text ; q=0.5"), MetricsFormat::openmetrics);
    EXPECT_EQ(metrics_format("application/openmetrics-text;q=0"), MetricsFormat::prometheus);
    EXPECT_EQ(metrics_format("application/openmetrics-text;q=0.0,text/plain"), MetricsFormat::prometheus);
}

}  // namespace
}  // namespace modelguard::daemon
