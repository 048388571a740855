#include "checks/band.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

using core::VerdictKind;

ParamMap limits(std::map<std::string, std::string> texts) {
    ParamMap params;
    for (const auto& [name, value] : texts)
        params[name] = ParamValue{value};
    return params;
}

TEST(Limit, is_read_in_the_unit_of_what_is_measured) {
    EXPECT_EQ(*parse_limit("512MiB", "MiB"), 512.0);
    EXPECT_EQ(*parse_limit("1.5GiB", "MiB"), 1536.0);
    EXPECT_EQ(*parse_limit("512KiB", "MiB"), 0.5);
    EXPECT_EQ(*parse_limit("85%", "%"), 85.0);
    EXPECT_EQ(*parse_limit("85", "%"), 85.0);
    EXPECT_EQ(*parse_limit("80C", "°C"), 80.0);
    EXPECT_EQ(*parse_limit("-5", "°C"), -5.0);
    EXPECT_EQ(*parse_limit("0.2", ""), 0.2);
}

TEST(Limit, that_cannot_be_meant_is_refused_with_an_example) {
    for (const auto& [text, unit] : {std::pair{"512", "MiB"},
                                     {"512MB", "MiB"},
                                     {"80%", "°C"},
                                     {"hot", "°C"},
                                     {"5%", ""},
                                     {"", ""},
                                     {"nan", ""},
                                     {"inf", ""}}) {
        const auto limit = parse_limit(text, unit);
        ASSERT_FALSE(limit) << text;
        EXPECT_NE(limit.error().what.find("expected a number"), std::string::npos) << limit.error().what;
    }
}

TEST(BandTest, says_what_is_measured_against_what) {
    const auto band = band_param(limits({{"max", "80C"}}), "°C");
    ASSERT_TRUE(band);
    const CheckOutcome hot = judge(*band, "the temperature", 91.25);
    EXPECT_EQ(hot.verdict, VerdictKind::fail);
    EXPECT_EQ(hot.code, "too_high");
    EXPECT_EQ(hot.text, "the temperature is 91.25 °C, more than 80 °C");
    EXPECT_EQ(hot.measured, 91.25);
    EXPECT_EQ(hot.limit, 80.0);
    EXPECT_EQ(judge(*band, "the temperature", 80).verdict, VerdictKind::pass);
}

TEST(BandTest, both_sides_count) {
    const auto band = band_param(limits({{"min", "10"}, {"max", "20"}}), "");
    ASSERT_TRUE(band);
    EXPECT_EQ(judge(*band, "it", 9.9).code, "too_low");
    EXPECT_EQ(judge(*band, "it", 15).code, "ok");
    EXPECT_EQ(judge(*band, "it", 20.1).code, "too_high");
    EXPECT_EQ(judge(*band, "it", std::numeric_limits<double>::quiet_NaN()).verdict, VerdictKind::fail);
}

TEST(BandTest, that_could_never_fail_or_never_pass_is_refused) {
    EXPECT_FALSE(band_param({}, ""));
    EXPECT_FALSE(band_param(limits({{"min", "20"}, {"max", "10"}}), ""));
    EXPECT_NE(band_param(limits({{"min", "x"}}), "").error().what.find("min"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks
