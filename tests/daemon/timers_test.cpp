#include "supervisor/daemon/timers.hpp"

#include <gtest/gtest.h>

#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {
namespace {

using core::Timer;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct TimersTest : testing::Test {
    std::unique_ptr<sys::Loop> loop = std::move(*sys::Loop::create());
    std::vector<std::pair<std::string, Timer>> expired;

    Timers make(const std::string& boot_id) {
        return Timers(*loop, boot_id,
                      [this](const std::string& model, Timer timer) { expired.emplace_back(model, timer); });
    }
    void run_until_expired() {
        const Instant deadline = sys::boottime_now() + seconds(10);
        while (expired.empty() && sys::boottime_now() < deadline)
            ASSERT_TRUE(loop->run_once(seconds(1)).has_value());
    }
};

TEST_F(TimersTest, a_fresh_timer_expires_after_its_duration) {
    Timers timers = make("boot-1");

    timers.start(timers.planned("digits", Timer::soak, milliseconds(20)));
    run_until_expired();

    ASSERT_EQ(expired.size(), 1u);
    EXPECT_EQ(expired[0], std::pair(std::string("digits"), Timer::soak));
}

TEST_F(TimersTest, after_a_restart_on_the_same_boot_the_time_of_the_dead_daemon_counts) {
    Timers timers = make("boot-1");
    const Instant an_hour_ago{sys::boottime_now().boottime_usec - Usec(hours(1)).count()};
    timers.load({{"digits", Timer::soak, hours(1) + milliseconds(10), Usec{0}, "boot-1", an_hour_ago}});

    timers.start(timers.planned("digits", Timer::soak, hours(1) + milliseconds(10)));
    run_until_expired();

    EXPECT_EQ(expired.size(), 1u);
}

TEST_F(TimersTest, over_a_reboot_what_ran_on_each_boot_adds_up_and_the_clock_of_another_boot_does_not) {
    Timers timers = make("boot-2");
    const Instant far_in_the_future{sys::boottime_now().boottime_usec + Usec(hours(1000)).count()};
    timers.load({{"digits", Timer::soak, hours(3), hours(1), "boot-1", far_in_the_future}});

    const store::StoredTimer resumed = timers.planned("digits", Timer::soak, hours(3));
    timers.start(resumed);

    EXPECT_EQ(resumed.elapsed, Usec(hours(1)));
    EXPECT_EQ(resumed.boot_id, "boot-2");
    EXPECT_LE(timers.left_usec("digits", Timer::soak), Usec(hours(2)).count());
    EXPECT_GT(timers.left_usec("digits", Timer::soak), Usec(hours(2) - seconds(10)).count());
}

TEST_F(TimersTest, a_stopped_timer_is_silent_and_starts_afresh) {
    Timers timers = make("boot-1");
    timers.start(timers.planned("digits", Timer::retry, milliseconds(1)));

    timers.stop("digits", Timer::retry);
    timers.start(timers.planned("other", Timer::retry, milliseconds(20)));
    run_until_expired();

    ASSERT_EQ(expired.size(), 1u);
    EXPECT_EQ(expired[0].first, "other");
    EXPECT_EQ(timers.left_usec("digits", Timer::retry), -1);
    EXPECT_EQ(timers.planned("digits", Timer::retry, seconds(5)).elapsed, Usec{0});
}

TEST_F(TimersTest, running_names_each_with_what_has_elapsed) {
    Timers timers = make("boot-1");
    timers.start(timers.planned("a", Timer::soak, hours(1)));
    timers.start(timers.planned("b", Timer::deadline, hours(1)));

    const auto running = timers.running();

    ASSERT_EQ(running.size(), 2u);
    EXPECT_EQ(running[0].model, "a");
    EXPECT_GE(running[0].elapsed, Usec{0});
    EXPECT_LT(running[0].elapsed, Usec(seconds(10)));
}

}  // namespace
}  // namespace modelguard::daemon
