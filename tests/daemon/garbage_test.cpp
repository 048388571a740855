#include "supervisor/daemon/garbage.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/sys/world.hpp"

namespace modelguard::daemon {
namespace {

Digest digest(char letter) { return {"sha256:" + std::string(64, letter)}; }

struct GarbageTest : ::testing::Test {
    std::vector<store::VersionInfo> infos;
    core::ModelState model;

    GarbageTest() {
        for (const char letter : std::string("abcdef012345")) {  // newest first
            store::VersionInfo info;
            info.digest = digest(letter);
            info.imported_wall_usec = 1;
            infos.push_back(info);
        }
        model.phase = core::Phase::steady;
        model.current = digest('3');
        model.known_good = {{digest('5'), {}, {}}, {digest('4'), {}, {}}, {digest('3'), {}, {}}};
        model.pinned = digest('2');
    }
    std::string letters(std::size_t spare, const std::vector<Digest>& linked = {}) {
        std::vector<const store::VersionInfo*> newest_first;
        for (const store::VersionInfo& info : infos)
            newest_first.push_back(&info);
        std::string found;
        for (const Digest& one : garbage_of(model, newest_first, linked, spare))
            found += one.text.back();
        return found;
    }
};

TEST_F(GarbageTest, what_nobody_needs_goes_but_for_the_newest_few) { EXPECT_EQ(letters(3), "def01"); }

TEST_F(GarbageTest, without_space_no_spare_is_kept) { EXPECT_EQ(letters(0), "abcdef01"); }

TEST_F(GarbageTest, what_a_link_names_stays) { EXPECT_EQ(letters(0, {digest('e'), digest('1')}), "abcdf0"); }

TEST_F(GarbageTest, what_was_found_after_the_ledger_was_lost_stays) {
    infos[5].imported_wall_usec = 0;
    EXPECT_EQ(letters(0), "abcde01");
}

TEST_F(GarbageTest, nothing_goes_while_something_is_under_way) {
    for (const core::Phase phase : {core::Phase::baselining, core::Phase::switching, core::Phase::trial,
                                    core::Phase::soaking, core::Phase::reverting, core::Phase::verifying}) {
        model.phase = phase;
        EXPECT_EQ(letters(0), "");
    }
    model.phase = core::Phase::steady;
    model.wish = core::Wish{.version = digest('a')};
    EXPECT_EQ(letters(0), "");
}

struct OrphansTest : ::testing::Test {
    sys::test::TempDir dir;
    std::unique_ptr<sys::Loop> loop = sys::test::make_loop();
    store::Places places = store::places_under(dir.path());
    std::unique_ptr<store::VersionStore> versions =
        std::move(*store::VersionStore::open(*loop, places, {}, "/bin/false"));
    store::Loaded loaded;
    core::ModelState& model = loaded.state.models["digits"];

    OrphansTest() {
        for (const char letter : std::string("abcdef01"))
            std::filesystem::create_directories(places.version_dir("digits", digest(letter)));
        std::filesystem::create_directory(places.model_dir("digits") / "versions/README");
        std::filesystem::create_directories(places.version_dir("gone", digest('a')));
        link("gone", "current", 'a');
    }
    void link(const char* name, const char* what, char letter) {
        const sys::Path path = places.model_dir(name) / what;
        std::filesystem::remove(path);
        std::filesystem::create_directory_symlink("versions/" + digest(letter).dir_name(), path);
    }
    std::string letters() {
        std::string found;
        for (const auto& [name, one] : orphans_of(loaded, *versions))
            found += (name == "digits" ? "" : name) + one.text.back();
        return found;
    }
};

TEST_F(OrphansTest, what_a_row_or_a_link_or_the_state_names_is_none) {
    loaded.versions = {{"digits", {.digest = digest('a')}}, {"letters", {.digest = digest('b')}}};
    link("digits", "current", 'c');
    link("digits", "known-good", 'd');
    model.wish = core::Wish{.version = digest('e')};
    model.known_good = {{digest('f'), {}, {}}};
    EXPECT_EQ(letters(), "01b");
    model.trial = core::Trial{.version = digest('b')};
    model.revert = core::Revert{.target = digest('0'), .left = {digest('1')}};
    EXPECT_EQ(letters(), "");
}

TEST_F(OrphansTest, a_rejection_keeps_no_tree) {
    model.rejected = {{digest('a'), {}, "accuracy"}};
    EXPECT_EQ(letters(), "01abcdef");
}

TEST_F(OrphansTest, where_the_ledger_was_not_read_whole_there_are_none) {
    for (bool store::Loaded::* part : {&store::Loaded::blank, &store::Loaded::restored, &store::Loaded::versions_lost,
                                       &store::Loaded::versions_unread}) {
        loaded.*part = true;
        EXPECT_EQ(letters(), "");
        loaded.*part = false;
    }
    EXPECT_EQ(letters(), "01abcdef");
}

}  // namespace
}  // namespace modelguard::daemon
