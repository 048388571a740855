#include <sys/stat.h>

#include "tests/rollback/fixture.hpp"

namespace modelguard::rollback::test {
namespace {

/// A then that remembers what it saw, with the outcome it is told to give.
struct Told {
    inline static std::vector<std::string> links;
    inline static Outcome outcome;
};
class TellingThen final : public Running {
  public:
    TellingThen(const ServiceContext& service, std::function<void(Outcome)> done)
        : turn_(service.loop.defer([done = std::move(done)] { done(Told::outcome); })) {
        const auto target = sys::read_symlink(service.model_dir / "current");
        Told::links.push_back(target && *target ? **target : std::string());
    }

  private:
    sys::Source turn_;
};
const ThenKind kTelling{.name = "telling",
                        .summary = "for the test",
                        .params = {},
                        .start = [](const ServiceContext& service, const ParamMap&, ThenVerb verb,
                                    std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
                            EXPECT_EQ(verb, ThenVerb::version_changed);
                            return std::make_unique<TellingThen>(service, std::move(done));
                        }};

struct FilesSwitchTest : RollbackTest {
    FilesSwitchTest() {
        Told::links.clear();
        Told::outcome = {.result = SwitchResult::done};
    }
    Result<core::VersionId> current() { return find_switch("files")->current(dir.path()); }
};

TEST_F(FilesSwitchTest, link_is_relative_and_current_reads_it_back) {
    const Outcome outcome = run_switch(v1);

    EXPECT_EQ(outcome.result, SwitchResult::done);
    EXPECT_TRUE(outcome.link_moved);
    EXPECT_EQ(link(), "versions/" + v1.dir_name());
    EXPECT_EQ(*current(), v1);
}

TEST_F(FilesSwitchTest, service_is_told_after_the_link_has_moved_and_the_way_back_is_the_same_code) {
    run_switch(v1, &kTelling);
    run_switch(v2, &kTelling);
    const Outcome back = run_switch(v1, &kTelling);

    EXPECT_EQ(back.result, SwitchResult::done);
    EXPECT_EQ(Told::links, (std::vector<std::string>{"versions/" + v1.dir_name(), "versions/" + v2.dir_name(),
                                                     "versions/" + v1.dir_name()}));
}

TEST_F(FilesSwitchTest, version_that_is_current_already_is_only_told_again_and_the_link_stays_the_same_inode) {
    run_switch(v1, &kTelling);
    struct stat before{};
    ASSERT_EQ(::lstat((dir / "current").c_str(), &before), 0);

    const Outcome again = run_switch(v1, &kTelling);

    EXPECT_EQ(again.result, SwitchResult::done);
    EXPECT_TRUE(again.link_moved);
    EXPECT_EQ(Told::links.size(), 2U);
    struct stat after{};
    ASSERT_EQ(::lstat((dir / "current").c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(FilesSwitchTest, empty_version_removes_the_link_and_tells_the_service_that_there_is_none) {
    run_switch(v1);

    const Outcome outcome = run_switch(Digest{}, &kTelling);

    EXPECT_EQ(outcome.result, SwitchResult::done);
    EXPECT_TRUE(outcome.link_moved);
    EXPECT_EQ(Told::links, std::vector<std::string>{""});
    EXPECT_TRUE(current()->empty());
    EXPECT_EQ(run_switch(Digest{}).result, SwitchResult::done) << "removing what is gone";
}

TEST_F(FilesSwitchTest, service_that_refuses_leaves_link_moved_true) {
    Told::outcome = {.result = SwitchResult::refused, .why = "cannot load"};
    const Outcome refused = run_switch(v1, &kTelling);
    EXPECT_EQ(refused.result, SwitchResult::refused);
    EXPECT_TRUE(refused.link_moved);
    EXPECT_EQ(refused.why, "cannot load");

    Told::outcome = {.result = SwitchResult::failed, .why = "no server"};
    const Outcome failed = run_switch(v2, &kTelling);
    EXPECT_EQ(failed.result, SwitchResult::failed);
    EXPECT_TRUE(failed.link_moved);
}

TEST_F(FilesSwitchTest, version_that_is_not_in_the_store_is_never_linked_and_nobody_is_told) {
    run_switch(v1);
    const Digest missing{"sha256:" + std::string(64, '9')};

    const Outcome outcome = run_switch(missing, &kTelling);

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_FALSE(outcome.link_moved);
    EXPECT_NE(outcome.why.find("999999999999"), std::string::npos) << outcome.why;
    EXPECT_EQ(link(), "versions/" + v1.dir_name());
    EXPECT_TRUE(Told::links.empty());
}

TEST_F(FilesSwitchTest, a_digest_with_a_path_in_it_is_refused) {
    const Outcome outcome = run_switch(Digest{"../../etc"});

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_FALSE(outcome.link_moved);
    EXPECT_EQ(link(), "");
}

TEST_F(FilesSwitchTest, directory_in_the_place_of_the_link_fails_with_a_reason_and_stays) {
    std::filesystem::create_directory(dir / "current");

    const Outcome outcome = run_switch(v1, &kTelling);

    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_FALSE(outcome.link_moved);
    EXPECT_FALSE(outcome.why.empty());
    EXPECT_TRUE(std::filesystem::is_directory(std::filesystem::symlink_status(dir / "current")));
    EXPECT_TRUE(Told::links.empty());
}

TEST_F(FilesSwitchTest, what_the_link_names_is_told_even_where_the_switch_failed) {
    run_switch(v1);
    std::filesystem::remove_all(dir / "versions" / v2.dir_name());
    std::filesystem::remove(dir / "current");
    std::filesystem::create_symlink("versions/" + v2.dir_name(), dir / "current");

    const Outcome outcome = run_switch(v2);

    EXPECT_EQ(outcome.result, SwitchResult::failed) << "the version is not there";
    EXPECT_TRUE(outcome.link_moved) << "and yet it is what the link names";
}

TEST_F(FilesSwitchTest, link_to_somewhere_else_is_a_conflict_when_read_and_replaced_when_switched) {
    std::filesystem::create_symlink("/etc", dir / "current");
    ASSERT_FALSE(current().has_value());
    EXPECT_EQ(current().error().kind, ErrorKind::conflict);

    EXPECT_EQ(run_switch(v2).result, SwitchResult::done);
    EXPECT_EQ(*current(), v2);
}

TEST_F(FilesSwitchTest, dropping_it_while_the_service_is_told_calls_nobody) {
    bool called = false;
    {
        const SwitchRequest request{.service = service(), .from = {}, .to = v1, .then = &kTelling, .then_params = {}};
        const auto running = find_switch("files")->start(request, [&](const Outcome&) { called = true; });
    }
    sys::test::run_pending(*loop);

    EXPECT_FALSE(called);
    EXPECT_EQ(link(), "versions/" + v1.dir_name());
}

}  // namespace
}  // namespace modelguard::rollback::test
