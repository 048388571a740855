#include "supervisor/sys/systemd.hpp"

#include <stdlib.h>

#include <optional>

#include "tests/sys/fake_systemd.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

using namespace std::chrono_literals;

// Jobs are tested where they are used: tests/rollback/then_systemd_test.cpp.
struct SystemdTest : ::testing::Test {
    std::unique_ptr<Loop> loop = make_loop();
    TempDir dir;
    std::string socket = (dir / "bus").string();
    FakeSystemd manager{*loop, socket};

    SystemdTest() { ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket).c_str(), 1); }
    ~SystemdTest() override { ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS"); }

    Result<UnitState> read(Systemd& systemd, Usec timeout = 10s) {
        std::optional<Result<UnitState>> found;
        systemd.read_unit("my-digits@1.service", timeout, [&](Result<UnitState> state) { found = std::move(state); });
        EXPECT_FALSE(found) << "the callback came from within the call";
        EXPECT_TRUE(run_until(*loop, [&] { return found.has_value(); }));
        return found ? *found : fail(ErrorKind::internal, "no answer");
    }
};

TEST_F(SystemdTest, the_state_of_a_unit_is_picked_out_of_all_its_properties) {
    manager.unit_states = {{.load_state = "loaded",
                            .active_state = "activating",
                            .sub_state = "auto-restart",
                            .result = "exit-code",
                            .restarts = 3,
                            .exit_code = 1,
                            .exit_status = 203,
                            .active_since_usec = 12'345'678,
                            .has_job = true},
                           {.load_state = "loaded", .active_state = "active", .restarts = UINT32_MAX}};
    const auto systemd = Systemd::connect(*loop);
    ASSERT_TRUE(systemd);

    const auto state = read(**systemd);
    const auto of_another_type = read(**systemd);

    ASSERT_TRUE(state) << state.error().what;
    EXPECT_EQ(manager.read().front(), "/org/freedesktop/systemd1/unit/my_2ddigits_401_2eservice");
    EXPECT_EQ(state->load_state, "loaded");
    EXPECT_EQ(state->active_state, "activating");
    EXPECT_EQ(state->sub_state, "auto-restart");
    EXPECT_EQ(state->result, "exit-code");
    EXPECT_EQ(state->restarts, 3U);
    EXPECT_EQ(state->exit_code, 1);
    EXPECT_EQ(state->exit_status, 203);
    EXPECT_EQ(state->active_since_usec, 12'345'678U);
    EXPECT_TRUE(state->has_job);
    ASSERT_TRUE(of_another_type) << of_another_type.error().what;
    EXPECT_EQ(of_another_type->restarts, 0U) << "a timer has no NRestarts";
    EXPECT_FALSE(of_another_type->has_job);
}

TEST_F(SystemdTest, an_answer_without_the_state_is_malformed) {
    const auto systemd = Systemd::connect(*loop);
    EXPECT_EQ(read(**systemd).error().kind, ErrorKind::malformed_reply);
}

TEST_F(SystemdTest, an_error_a_silence_and_a_hang_up_are_told_apart_and_the_next_reading_is_served) {
    const auto systemd = Systemd::connect(*loop);
    manager.error_name = "org.freedesktop.DBus.Error.AccessDenied";
    EXPECT_EQ(read(**systemd).error().kind, ErrorKind::denied);
    manager.error_name.clear();
    manager.hangs = true;
    EXPECT_EQ(read(**systemd, 50ms).error().kind, ErrorKind::timed_out);
    manager.hangs = false;
    manager.unit_states = {{.load_state = "loaded", .active_state = "active"}};
    EXPECT_TRUE(read(**systemd));
    manager.hangs_up = true;
    EXPECT_EQ(read(**systemd).error().kind, ErrorKind::unavailable);
    EXPECT_EQ(read(**systemd).error().kind, ErrorKind::unavailable) << "the bus is still gone";
}

TEST_F(SystemdTest, dropping_it_calls_nobody) {
    bool called = false;
    {
        const auto systemd = Systemd::connect(*loop);
        (*systemd)->read_unit("a.service", 10s, [&](const Result<UnitState>&) { called = true; });
        ASSERT_TRUE(run_until(*loop, [&] { return !manager.read().empty(); }));
    }
    run_pending(*loop);
    EXPECT_FALSE(called);
}

TEST_F(SystemdTest, without_a_bus_it_is_unsupported) {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
    const auto systemd = Systemd::connect(*loop);
    ASSERT_FALSE(systemd);
    EXPECT_EQ(systemd.error().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace modelguard::sys::test
