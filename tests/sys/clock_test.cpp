#include "supervisor/sys/clock.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

namespace modelguard::sys::test {
namespace {

TEST(Clock, boottime_is_that_of_the_kernel_and_does_not_go_back) {
    timespec kernel{};
    const Instant before = boottime_now();
    ASSERT_EQ(::clock_gettime(CLOCK_BOOTTIME, &kernel), 0);
    const Instant after = boottime_now();
    const std::int64_t usec = std::int64_t{kernel.tv_sec} * 1'000'000 + kernel.tv_nsec / 1'000;
    EXPECT_LE(before.boottime_usec, usec);
    EXPECT_GE(after.boottime_usec, usec);
}

TEST(Clock, wall_time_is_utc_in_microseconds) {
    EXPECT_NEAR(static_cast<double>(wall_now_usec()) / 1e6, static_cast<double>(std::time(nullptr)), 2.0);
}

TEST(Clock, wall_time_is_formatted_as_rfc_3339) {
    EXPECT_EQ(format_wall(0), "1970-01-01T00:00:00Z");
    EXPECT_EQ(format_wall(1'795'302'389'999'999), "2026-11-21T23:06:29Z");
    EXPECT_EQ(format_wall(951'782'400'000'000), "2000-02-29T00:00:00Z");
    EXPECT_EQ(format_wall(-1), "1969-12-31T23:59:59Z");
    EXPECT_EQ(format_wall(-1'000'000), "1969-12-31T23:59:59Z");
}

TEST(Clock, boot_id_is_the_kernels_unless_a_test_reboots) {
    ::unsetenv("MODELGUARD_TEST_BOOT_ID");
    std::string kernel;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> kernel;
    EXPECT_EQ(boot_id(), kernel);
    EXPECT_EQ(boot_id().size(), 36U);

    ASSERT_EQ(::setenv("MODELGUARD_TEST_BOOT_ID", "second-boot", 1), 0);
    EXPECT_EQ(boot_id(), "second-boot");
    ::unsetenv("MODELGUARD_TEST_BOOT_ID");
}

}  // namespace
}  // namespace modelguard::sys::test
