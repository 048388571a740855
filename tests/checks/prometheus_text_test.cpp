#include "checks/prometheus_text.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace modelguard::checks {
namespace {

std::vector<double> selected(std::string_view page, std::string_view selector) {
    const auto parsed = parse_selector(selector);
    EXPECT_TRUE(parsed) << selector;
    const auto values = select_samples(page, *parsed);
    EXPECT_TRUE(values) << values.error().what;
    return values.value_or(std::vector<double>{});
}

constexpr std::string_view kPage =
    "# HELP requests_waiting Requests that wait.\n"
    "# TYPE requests_waiting gauge\n"
    "requests_waiting{model=\"digits\",version=\"1\"} 3\n"
    "requests_waiting{model=\"a \\\"b\\\" \\\\ c\\n\"} 4.5 1395066363000\n"
    "\n"
    "requests_waiting_total 1e3\r\n"
    "odd{ le = \"+Inf\" , } +Inf\n"
    "broken NaN\n";

TEST(PrometheusText, series_are_taken_by_name_and_labels) {
    EXPECT_EQ(selected(kPage, "requests_waiting"), (std::vector<double>{3, 4.5}));
    EXPECT_EQ(selected(kPage, "requests_waiting{model=\"digits\"}"), std::vector<double>{3});
    EXPECT_EQ(selected(kPage, "requests_waiting{version=\"1\", model=\"digits\"}"), std::vector<double>{3});
    EXPECT_EQ(selected(kPage, "requests_waiting{model=\"a \\\"b\\\" \\\\ c\\n\"}"), std::vector<double>{4.5});
    EXPECT_EQ(selected(kPage, "requests_waiting_total"), std::vector<double>{1000});
    EXPECT_EQ(selected(kPage, "odd{le=\"+Inf\"}"), std::vector<double>{std::numeric_limits<double>::infinity()});
    EXPECT_TRUE(std::isnan(selected(kPage, "broken").at(0)));
}

TEST(PrometheusText, another_name_or_label_is_another_series) {
    EXPECT_TRUE(selected(kPage, "requests").empty());
    EXPECT_TRUE(selected(kPage, "requests_waiting{model=\"letters\"}").empty());
    EXPECT_TRUE(selected(kPage, "requests_waiting{host=\"\"}").empty());
    EXPECT_TRUE(selected("", "up").empty());
}

TEST(PrometheusText, what_is_no_metrics_page_is_told_with_its_line) {
    for (const std::string_view page :
         {"up 1\n<html>", "up 1\nup", "up 1\nup one", "up 1\nup{a=\"} 1", "up 1\n1up 1", "up 1\nup{a} 1"}) {
        const auto values = select_samples(page, {.name = "up", .labels = {}});
        ASSERT_FALSE(values) << page;
        EXPECT_NE(values.error().what.find("line 2"), std::string::npos) << values.error().what;
    }
}

TEST(PrometheusText, a_selector_is_one_series) {
    for (const std::string_view text : {"", "a b", "a{", "a{b}", "a{b=c}", "{a=\"b\"}", "a{b=\"c\"} 1", "1a"})
        EXPECT_FALSE(parse_selector(text)) << text;
}

}  // namespace
}  // namespace modelguard::checks
