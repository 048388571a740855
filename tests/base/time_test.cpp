#include "supervisor/base/time.hpp"

#include <gtest/gtest.h>

namespace modelguard::test {
namespace {

using namespace std::chrono_literals;

TEST(Durations, every_unit_is_read) {
    EXPECT_EQ(parse_duration("250us").value(), 250us);
    EXPECT_EQ(parse_duration("50ms").value(), 50ms);
    EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
    EXPECT_EQ(parse_duration("10m").value(), 10min);
    EXPECT_EQ(parse_duration("2h").value(), 2h);
    EXPECT_EQ(parse_duration("1d").value(), 24h);
    EXPECT_EQ(parse_duration("0s").value(), 0s);
    EXPECT_EQ(parse_duration("3650d").value(), 24h * 3650);
}

TEST(Durations, what_is_written_is_read_back) {
    for (const Usec value :
         {Usec{0}, Usec{1}, Usec{999}, Usec{1'000}, Usec{1'500}, Usec{50'000}, Usec{1'234'567}, Usec{1'500'000},
          Usec{60s}, Usec{90s}, Usec{10min}, Usec{90min}, Usec{24h}, Usec{36h}, Usec{25h}})
        EXPECT_EQ(parse_duration(format_duration(value)).value(), value) << format_duration(value);
}

TEST(Durations, shortest_exact_form_is_written) {
    EXPECT_EQ(format_duration(Usec{0}), "0s");
    EXPECT_EQ(format_duration(250us), "250us");
    EXPECT_EQ(format_duration(50ms), "50ms");
    EXPECT_EQ(format_duration(1500ms), "1.5s");
    EXPECT_EQ(format_duration(60s), "1m");
    EXPECT_EQ(format_duration(90s), "1.5m");
    EXPECT_EQ(format_duration(100s), "100s");
    EXPECT_EQ(format_duration(36h), "1.5d");
}

TEST(Durations, anything_else_is_refused_with_the_text_and_an_example) {
    for (const char* text : {"", "10", "s", "ms", "-5s", "1 s", " 1s", "1s ", "1h30m", "1,5s", "1e3s", "0x10s", "nan s",
                             "infs", "10S", "10sec", "4000d", "99999999999999999999d", "+1s"}) {
        const Result<Usec> parsed = parse_duration(text);
        ASSERT_FALSE(parsed.has_value()) << text << " was read as " << parsed->count() << " us";
        EXPECT_EQ(parsed.error().kind, ErrorKind::invalid_config);
        EXPECT_NE(parsed.error().what.find("'" + std::string(text) + "'"), std::string::npos) << parsed.error().what;
        EXPECT_NE(parsed.error().what.find("10m"), std::string::npos) << parsed.error().what;
    }
}

TEST(Ages, two_units_at_most_for_people) {
    EXPECT_EQ(format_age(Usec{-5}), "0us");
    EXPECT_EQ(format_age(820ms), "820ms");
    EXPECT_EQ(format_age(45s), "45s");
    EXPECT_EQ(format_age(60s), "1m");
    EXPECT_EQ(format_age(90s), "1m 30s");
    EXPECT_EQ(format_age(3h + 12min + 59s), "3h 12m");
    EXPECT_EQ(format_age(24h * 2 + 5h), "2d 5h");
}

TEST(Instants, differences_are_durations) {
    const Instant start{1'000'000};
    EXPECT_EQ((start + 5s) - start, 5s);
    EXPECT_LT(start, start + 1us);
    EXPECT_EQ(start - (start + 1s), -1s);
}

}  // namespace
}  // namespace modelguard::test
