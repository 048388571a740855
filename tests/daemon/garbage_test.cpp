#include "supervisor/daemon/garbage.hpp"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace modelguard::daemon
