#include "supervisor/sys/loop.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <vector>

#include "supervisor/sys/fd.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

using namespace std::chrono_literals;

struct LoopTest : ::testing::Test {
    std::unique_ptr<Loop> loop = make_loop();
};

struct Pipe {
    Fd read_end, write_end;
    Pipe() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe(ends.data()), 0);
        read_end = Fd(ends[0]);
        write_end = Fd(ends[1]);
    }
    void put(char c) const { EXPECT_EQ(::write(write_end.get(), &c, 1), 1); }
    char take() const {
        char c = 0;
        EXPECT_EQ(::read(read_end.get(), &c, 1), 1);
        return c;
    }
};

TEST_F(LoopTest, timers_fire_when_due_and_never_early) {
    const Instant start = boottime_now();
    std::map<int, Usec> fired;  // delay in ms: when
    std::vector<Source> timers;
    for (const int ms : {20, 5, 600'000, 30})
        timers.push_back(
            loop->add_timer(std::chrono::milliseconds(ms), [&, ms] { fired[ms] = boottime_now() - start; }));

    ASSERT_TRUE(run_until(*loop, [&] { return fired.size() == 3; }));
    EXPECT_GE(fired.at(5), 5ms);
    EXPECT_GE(fired.at(20), 20ms);
    EXPECT_GE(fired.at(30), 30ms);
}

TEST_F(LoopTest, timer_set_later_but_due_earlier_fires_first) {
    bool early_fired = false;
    const Source late = loop->add_timer(10min, [] { FAIL(); });
    const Source early = loop->add_timer(1ms, [&] { early_fired = true; });
    EXPECT_TRUE(run_until(*loop, [&] { return early_fired; }));
}

TEST_F(LoopTest, timer_counts_from_now_even_late_in_a_turn) {
    Usec waited{0};
    Source inner;
    const Source outer = loop->defer([&] {
        const Instant busy_until = boottime_now() + 20ms;
        while (boottime_now() < busy_until) {
        }
        inner = loop->add_timer(10ms, [&, from = boottime_now()] { waited = boottime_now() - from; });
    });

    ASSERT_TRUE(run_until(*loop, [&] { return waited.count() > 0; }));
    EXPECT_GE(waited, 10ms);
}

TEST_F(LoopTest, nothing_runs_inside_the_call_that_registers) {
    int ran = 0;
    const Source timer = loop->add_timer(0us, [&] { ++ran; });
    const Source past = loop->add_timer(-5s, [&] { ++ran; });
    const Source deferred = loop->defer([&] { ++ran; });
    EXPECT_EQ(ran, 0);
    EXPECT_TRUE(run_until(*loop, [&] { return ran == 3; }));
}

TEST_F(LoopTest, dropped_registrations_do_not_fire) {
    bool ran = false;
    const Pipe pipe;
    pipe.put('x');
    Source timer = loop->add_timer(0us, [&] { ran = true; });
    Source deferred = loop->defer([&] { ran = true; });
    Source io = loop->add_io(pipe.read_end.get(), EPOLLIN, [&](std::uint32_t) { ran = true; });

    timer.reset();
    deferred = {};
    {
        const Source gone = std::move(io);
    }
    run_pending(*loop);

    EXPECT_FALSE(ran);
    EXPECT_FALSE(timer);
}

TEST_F(LoopTest, deferred_and_timer_run_once) {
    int deferred_runs = 0;
    int timer_runs = 0;
    bool end = false;
    const Source deferred = loop->defer([&] { ++deferred_runs; });
    const Source timer = loop->add_timer(1ms, [&] { ++timer_runs; });
    const Source last = loop->add_timer(20ms, [&] { end = true; });
    ASSERT_TRUE(run_until(*loop, [&] { return end; }));
    EXPECT_EQ(deferred_runs, 1);
    EXPECT_EQ(timer_runs, 1);
}

TEST_F(LoopTest, callback_may_drop_its_own_registration_and_keeps_what_it_captured) {
    const Pipe pipe;
    pipe.put('x');
    auto captured = std::make_shared<std::string>("still here");
    const std::weak_ptr<std::string> watch = captured;
    std::string seen;
    Source source;
    source = loop->add_io(pipe.read_end.get(), EPOLLIN, [&, captured](std::uint32_t) {
        source.reset();
        seen = *captured;
    });
    captured.reset();

    run_pending(*loop);

    EXPECT_EQ(seen, "still here");
    EXPECT_TRUE(watch.expired());
}

TEST_F(LoopTest, callback_may_replace_its_own_registration) {
    int runs = 0;
    Source timer;
    std::function<void()> again = [&] {
        if (++runs < 3) timer = loop->add_timer(1ms, again);
    };
    timer = loop->add_timer(1ms, again);
    EXPECT_TRUE(run_until(*loop, [&] { return runs == 3; }));
}

TEST_F(LoopTest, callback_may_drop_another_registration_that_is_due_too) {
    int runs = 0;
    std::array<Source, 2> sources;
    for (std::size_t i : {0U, 1U})
        sources[i] = loop->defer([&, i] {
            ++runs;
            sources[1 - i].reset();
        });
    run_pending(*loop);
    EXPECT_EQ(runs, 1);
}

TEST_F(LoopTest, one_shot_callback_releases_its_captures) {
    auto captured = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = captured;
    const Source deferred = loop->defer([captured = std::move(captured)] {});
    run_pending(*loop);
    EXPECT_TRUE(watch.expired());
}

TEST_F(LoopTest, io_is_level_triggered_and_its_events_can_change) {
    const Pipe pipe;
    std::string taken;
    Source source = loop->add_io(pipe.read_end.get(), EPOLLIN, [&](std::uint32_t events) {
        EXPECT_TRUE(events & EPOLLIN);
        taken += pipe.take();
    });
    for (const char c : {'a', 'b', 'c'})
        pipe.put(c);
    run_pending(*loop);
    EXPECT_EQ(taken, "abc");

    loop->set_io_events(source, 0);
    pipe.put('d');
    run_pending(*loop);
    EXPECT_EQ(taken, "abc");

    loop->set_io_events(source, EPOLLIN);
    run_pending(*loop);
    EXPECT_EQ(taken, "abcd");
}

TEST_F(LoopTest, child_status_comes_as_waitpid_gives_it) {
    int status = -1;
    const pid_t exiting = ::fork();
    if (exiting == 0) ::_exit(3);
    const Source first = loop->add_child(exiting, [&](int s) { status = s; });
    ASSERT_TRUE(run_until(*loop, [&] { return status != -1; }));
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 3);

    status = -1;
    const pid_t killed = ::fork();
    if (killed == 0) {
        for (;;)
            ::pause();
    }
    const Source second = loop->add_child(killed, [&](int s) { status = s; });
    ASSERT_EQ(::kill(killed, SIGKILL), 0);
    ASSERT_TRUE(run_until(*loop, [&] { return status != -1; }));
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    EXPECT_EQ(::waitpid(killed, nullptr, WNOHANG), -1) << "the loop has reaped it";
}

TEST_F(LoopTest, signals_arrive_as_often_as_sent) {
    int signals = 0;
    const Source source = loop->add_signal(SIGUSR1, [&] { ++signals; });
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    ASSERT_TRUE(run_until(*loop, [&] { return signals == 1; }));
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    EXPECT_TRUE(run_until(*loop, [&] { return signals == 2; }));
}

TEST_F(LoopTest, run_returns_the_code_of_exit) {
    const Source source = loop->defer([&] { loop->exit(7); });
    EXPECT_EQ(loop->run().value(), 7);
    EXPECT_FALSE(loop->run_once(0us).has_value()) << "a loop that has ended does not turn";
}

TEST_F(LoopTest, run_once_without_anything_to_do_says_so_in_time) {
    const Instant start = boottime_now();
    EXPECT_FALSE(loop->run_once(10ms).value());
    EXPECT_GE(boottime_now() - start, 10ms);
}

TEST_F(LoopTest, registrations_may_outlive_the_loop) {
    Source timer = loop->add_timer(1h, [] {});
    loop.reset();
    timer.reset();
    EXPECT_FALSE(timer);
}

TEST_F(LoopTest, notify_reaches_the_service_manager_socket_and_is_harmless_without) {
    loop->notify("READY=1");
    const TempDir dir;
    const std::string path = (dir / "notify").native();
    const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::setenv("NOTIFY_SOCKET", path.c_str(), 1), 0);

    loop->notify("READY=1\nSTATUS=serving");
    ::unsetenv("NOTIFY_SOCKET");

    std::array<char, 100> bytes{};
    const ssize_t count = ::recv(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    ASSERT_GT(count, 0);
    EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(count)), "READY=1\nSTATUS=serving");
}

}  // namespace
}  // namespace modelguard::sys::test
