#include "rollback/os_ostree.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/sys/fake_systemd.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::rollback {
namespace {

namespace fs = std::filesystem;
using sys::test::run_pending;
using sys::test::run_until;

constexpr const char* kBoot = "6d31d639-4c4c-44d2-818b-c9fb5f03f8c6";
constexpr const char* kView = R"({
  "schema": "modelguard.os_view/1", "boot_id": "6d31d639-4c4c-44d2-818b-c9fb5f03f8c6",
  "deployments": [
    {"id": "iot-9f1c.0", "identity": "9f1c", "bootable": true, "os_pinned": false, "newness": 1785542400},
    {"id": "iot-5b77.0", "identity": "5b77", "bootable": true, "os_pinned": false, "newness": 1782864000},
    {"id": "iot-0aa2.1", "identity": "0aa2+11", "bootable": false, "os_pinned": true, "newness": 1780272000}],
  "booted": "iot-5b77.0", "default": "iot-5b77.0", "staged": "iot-9f1c.0", "fell_back": true, "boot_trial": "greenboot"})";
constexpr std::int64_t kLater = INT64_MAX;  // an error told after it was asked
constexpr std::int64_t kBefore = 1;

struct OsOstreeTest : ::testing::Test {
    sys::test::TempDir dir;
    std::unique_ptr<sys::Loop> loop = sys::test::make_loop();
    std::string socket = (dir / "bus").string();
    sys::test::FakeSystemd manager{*loop, socket};
    std::unique_ptr<OsBackend> backend = make_ostree_backend(*loop, dir.path());

    OsOstreeTest() {
        ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket).c_str(), 1);
        ::setenv("MODELGUARD_TEST_BOOT_ID", kBoot, 1);
    }
    ~OsOstreeTest() override {
        ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        ::unsetenv("MODELGUARD_TEST_BOOT_ID");
    }

    void write(const std::string& name, const std::string& text) const { std::ofstream(dir / name) << text; }
    void tells(const std::string& kind, std::int64_t when, const std::string& instance) const {
        write("error", "it says why\n" + kind + " " + std::to_string(when) + " " + instance + "\n");
    }

    Result<core::OsView> observe() {
        std::optional<Result<core::OsView>> view;
        backend->observe([&](Result<core::OsView> observed) { view = std::move(observed); });
        EXPECT_FALSE(view.has_value()) << "answered from within observe()";
        EXPECT_TRUE(run_until(*loop, [&] { return view.has_value(); }));
        return *view;
    }
    Result<void> perform(core::OsVerb verb, const std::string& target) {
        std::optional<Result<void>> result;
        backend->perform(verb, target, [&](Result<void> r) { result = std::move(r); });
        EXPECT_FALSE(result.has_value()) << "answered from within perform()";
        EXPECT_TRUE(run_until(*loop, [&] { return result.has_value(); }));
        return *result;
    }
};

TEST_F(OsOstreeTest, view_is_what_the_helper_wrote_when_its_unit_was_started) {
    write("view.json", kView);

    const auto view = observe();

    ASSERT_TRUE(view.has_value()) << view.error().what;
    EXPECT_EQ(manager.calls(), std::vector<std::string>{"StartUnit modelguard-os@list.service replace"});
    ASSERT_EQ(view->deployments.size(), 3U);
    EXPECT_EQ(view->deployments[2], (core::Deployment{"iot-0aa2.1", "0aa2+11", false, true, 1780272000}));
    EXPECT_EQ(view->booted, "iot-5b77.0");
    EXPECT_EQ(view->default_, "iot-5b77.0");
    EXPECT_EQ(view->staged, "iot-9f1c.0");
    EXPECT_TRUE(view->fell_back);
    EXPECT_EQ(view->boot_trial, "greenboot");
}

TEST_F(OsOstreeTest, view_of_another_boot_or_release_or_with_holes_is_malformed) {
    const auto kind = [](std::string text, const std::string& from, const std::string& to) {
        text.replace(text.find(from), from.size(), to);
        const auto view = parse_os_view(text, kBoot);
        return view ? "a view" : to_string(view.error().kind);
    };
    ASSERT_TRUE(parse_os_view(kView, kBoot).has_value());
    EXPECT_FALSE(parse_os_view(kView, "another boot").has_value());
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"os_view/1", "os_view/2"},
             {"\"schema\"", "\"scheme\""},
             {"\"booted\": \"iot-5b77.0\"", "\"booted\": \"\""},
             {"\"default\": \"iot-5b77.0\"", "\"default\": \"\""},
             {"\"staged\": \"iot-9f1c.0\"", "\"staged\": \"iot-9f1c.7\""},
             {"\"bootable\": true", "\"bootable\": 1"},
             {"\"os_pinned\": true", "\"os_pinned\": null"},
             {"1785542400", "\"new\""},
             {"\"id\": \"iot-9f1c.0\"", "\"id\": \"\""},
             {"\"identity\": \"9f1c\"", "\"identity\": \"" + std::string(2000, 'x') + "\""},
             {"\"fell_back\": true", "\"fell_back\": \"yes\""},
             {"\"boot_trial\"", "\"boot_trials\""},
             {"{", "["},
         })
        EXPECT_EQ(kind(kView, from, to), "malformed_reply") << to;
    EXPECT_EQ(parse_os_view("", kBoot).error().kind, ErrorKind::malformed_reply);
    EXPECT_EQ(parse_os_view("[]", kBoot).error().kind, ErrorKind::malformed_reply);
}

TEST_F(OsOstreeTest, view_that_is_missing_or_too_large_is_an_error) {
    EXPECT_EQ(observe().error().kind, ErrorKind::not_found);
    write("view.json", kView + std::string(1u << 20, ' '));
    EXPECT_EQ(observe().error().sys_errno, EFBIG);
}

TEST_F(OsOstreeTest, each_verb_is_a_start_of_its_own_unit_and_again_when_it_is_asked_again) {
    using enum core::OsVerb;
    for (const core::OsVerb verb : {drop_staged, order_os, confirm_os_default, reboot, reboot})
        EXPECT_TRUE(perform(verb, "iot-5b77.0").has_value());

    EXPECT_EQ(manager.calls(),
              (std::vector<std::string>{"StartUnit modelguard-os@drop_staged:iot-5b77.0.service replace",
                                        "StartUnit modelguard-os@order_os:iot-5b77.0.service replace",
                                        "StartUnit modelguard-os@confirm_os_default:iot-5b77.0.service replace",
                                        "StartUnit modelguard-os@reboot:iot-5b77.0.service replace",
                                        "StartUnit modelguard-os@reboot:iot-5b77.0.service replace"}));
}

TEST_F(OsOstreeTest, what_a_unit_name_may_not_have_is_escaped_and_a_name_that_is_too_long_refused) {
    EXPECT_EQ(os_helper_unit("order_os", "my os/x@-1.0"), "modelguard-os@order_os:my\\x20os\\x2fx\\x40-1.0.service");

    const auto refused = perform(core::OsVerb::order_os, std::string(250, 'x'));

    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
    EXPECT_TRUE(manager.calls().empty());
}

TEST_F(OsOstreeTest, refusal_is_told_in_the_helpers_own_words_and_kind) {
    manager.job_result = "failed";
    tells("conflict", kLater, "order_os:iot-5b77.0");

    const auto refused = perform(core::OsVerb::order_os, "iot-5b77.0");

    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), (Error{ErrorKind::conflict, "it says why", 0}));
}

TEST_F(OsOstreeTest, error_of_another_run_is_not_believed) {
    manager.job_result = "failed";
    const auto expect_unit_named = [&] {
        const auto refused = perform(core::OsVerb::order_os, "iot-5b77.0");
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
        EXPECT_NE(refused.error().what.find("ended as 'failed'; see journalctl"), std::string::npos)
            << refused.error().what;
    };
    expect_unit_named();
    tells("conflict", kBefore, "order_os:iot-5b77.0");
    expect_unit_named();
    tells("conflict", kLater, "order_os:iot-9f1c.0");
    expect_unit_named();
    tells("whatever", kLater, "order_os:iot-5b77.0");
    expect_unit_named();
    for (const char* torn : {"", "it says", "it says\n", "it says\nconflict", "it says\nconflict 12"}) {
        write("error", torn);
        expect_unit_named();
    }
}

TEST_F(OsOstreeTest, denied_by_polkit_is_denied) {
    manager.error_name = "org.freedesktop.DBus.Error.AccessDenied";

    EXPECT_EQ(observe().error().kind, ErrorKind::denied);
    EXPECT_EQ(perform(core::OsVerb::reboot, "iot-5b77.0").error().kind, ErrorKind::denied);
}

TEST_F(OsOstreeTest, questions_asked_together_run_one_after_the_other) {
    write("view.json", kView);
    std::vector<std::string> answers;
    backend->observe([&](const Result<core::OsView>&) {
        answers.emplace_back("view");
        backend->observe([&](const Result<core::OsView>&) { answers.emplace_back("view again"); });
    });
    backend->perform(core::OsVerb::order_os, "a", [&](const Result<void>&) { answers.emplace_back("order"); });
    backend->perform(core::OsVerb::reboot, "a", [&](const Result<void>&) { answers.emplace_back("reboot"); });

    ASSERT_TRUE(run_until(*loop, [&] { return answers.size() == 4; }));
    EXPECT_EQ(answers, (std::vector<std::string>{"view", "order", "reboot", "view again"}));
    EXPECT_EQ(manager.calls().size(), 4U);
}

TEST_F(OsOstreeTest, while_one_runs_the_next_one_waits_and_too_many_are_refused) {
    manager.hangs = true;
    int refused = 0;
    for (int question = 0; question < 20; ++question)
        backend->perform(core::OsVerb::order_os, "a", [&](const Result<void>& result) {
            EXPECT_EQ(result.error().kind, ErrorKind::unavailable);
            ++refused;
        });

    ASSERT_TRUE(run_until(*loop, [&] { return !manager.calls().empty(); }));
    run_pending(*loop);
    EXPECT_EQ(manager.calls().size(), 1U);
    EXPECT_EQ(refused, 4);
}

TEST_F(OsOstreeTest, is_present_where_ostree_booted_and_the_unit_is_neither_missing_nor_masked) {
    const fs::path root = dir / "root";
    const auto touch = [&](const char* name) {
        fs::create_directories((root / name).parent_path());
        std::ofstream(root / name) << "[Service]\n";
    };
    fs::create_directories(root / "run/systemd/system");
    touch("usr/lib/systemd/system/modelguard-os@.service");
    EXPECT_FALSE(ostree_is_present(root));
    touch("run/ostree-booted");
    EXPECT_TRUE(ostree_is_present(root));

    fs::create_directories(root / "etc/systemd/system");
    fs::create_symlink("/dev/null", root / "etc/systemd/system/modelguard-os@.service");
    EXPECT_FALSE(ostree_is_present(root));

    fs::remove(root / "etc/systemd/system/modelguard-os@.service");
    fs::remove(root / "usr/lib/systemd/system/modelguard-os@.service");
    EXPECT_FALSE(ostree_is_present(root));
}

}  // namespace
}  // namespace modelguard::rollback
