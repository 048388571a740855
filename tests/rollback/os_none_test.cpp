#include "rollback/os_backend.hpp"

#include <gtest/gtest.h>

#include "tests/sys/world.hpp"

namespace modelguard::rollback {
namespace {

using sys::test::run_until;

struct OsNoneTest : ::testing::Test {
    std::unique_ptr<sys::Loop> loop = sys::test::make_loop();
    std::unique_ptr<OsBackend> backend = std::move(*find_os_backend("none")->make(*loop));
};

TEST_F(OsNoneTest, there_is_one_deployment_booted_and_default) {
    std::optional<core::OsView> view;
    backend->observe([&](Result<core::OsView> observed) { view = *observed; });
    EXPECT_FALSE(view.has_value()) << "answered from within observe()";

    ASSERT_TRUE(run_until(*loop, [&] { return view.has_value(); }));
    ASSERT_EQ(view->deployments.size(), 1U);
    EXPECT_EQ(view->booted, "none");
    EXPECT_EQ(view->default_, "none");
    EXPECT_EQ(view->staged, "");
    ASSERT_NE(view->booted_deployment(), nullptr);
    EXPECT_EQ(view->booted_deployment()->identity, "none");
    EXPECT_TRUE(view->booted_deployment()->bootable);
}

TEST_F(OsNoneTest, every_verb_is_unsupported_and_named) {
    using enum core::OsVerb;
    for (const core::OsVerb verb : {drop_staged, order_os, confirm_os_default, reboot}) {
        std::optional<Result<void>> result;
        backend->perform(verb, "none", [&](Result<void> r) { result = std::move(r); });

        ASSERT_TRUE(run_until(*loop, [&] { return result.has_value(); }));
        ASSERT_FALSE(result->has_value());
        EXPECT_EQ(result->error().kind, ErrorKind::unsupported);
        EXPECT_NE(result->error().what.find(core::to_word(verb)), std::string::npos) << result->error().what;
    }
}

TEST_F(OsNoneTest, questions_asked_together_and_from_an_answer_are_all_answered) {
    int answers = 0;
    backend->observe([&](const Result<core::OsView>&) {
        ++answers;
        backend->observe([&](const Result<core::OsView>&) { ++answers; });
    });
    backend->perform(core::OsVerb::reboot, "none", [&](const Result<void>&) { ++answers; });

    EXPECT_TRUE(run_until(*loop, [&] { return answers == 3; }));
}

}  // namespace
}  // namespace modelguard::rollback
