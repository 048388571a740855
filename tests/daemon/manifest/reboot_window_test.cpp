#include "supervisor/daemon/reboot_window.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Usec left(const char* window, int hour, int minute, int second = 0) {
    std::tm now{};
    now.tm_hour = hour;
    now.tm_min = minute;
    now.tm_sec = second;
    return until_open(*parse_reboot_window(window), now);
}

TEST(RebootWindow, is_open_from_its_first_minute_to_before_its_last) {
    EXPECT_EQ(left("02:00-04:30", 2, 0), Usec{0});
    EXPECT_EQ(left("02:00-04:30", 4, 29, 59), Usec{0});
    EXPECT_EQ(left("02:00-04:30", 4, 30), hours(21) + minutes(30));
    EXPECT_EQ(left("02:00-04:30", 1, 59, 30), seconds(30));
    EXPECT_EQ(left("02:00-04:30", 12, 0), hours(14));
}

TEST(RebootWindow, goes_over_midnight) {
    EXPECT_EQ(left("22:00-04:00", 23, 30), Usec{0});
    EXPECT_EQ(left("22:00-04:00", 0, 0), Usec{0});
    EXPECT_EQ(left("22:00-04:00", 3, 59, 59), Usec{0});
    EXPECT_EQ(left("22:00-04:00", 4, 0), hours(18));
}

TEST(RebootWindow, anything_else_is_refused) {
    for (const char* wrong : {"", "-", "02:00", "2:00-4:00", "02:00-02:00", "24:00-04:00", "02:60-04:00",
                              "02:00-04:00 ", "02:00 - 04:00", "-2:00-04:00", "02.00-04.00", "02:00-04:00-06:00"})
        EXPECT_FALSE(parse_reboot_window(wrong)) << wrong;
    EXPECT_EQ(parse_reboot_window("00:00-23:59"), (RebootWindow{minutes(0), minutes(1439)}));
}

}  // namespace
}  // namespace modelguard::daemon
