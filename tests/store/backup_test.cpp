#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "supervisor/store/ledger.hpp"
#include "supervisor/store/ledger_backup.hpp"
#include "supervisor/sys/sha256.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::store::test {
namespace {

struct BackupTest : ::testing::Test {
    sys::test::TempDir dir;
    Places places = places_under(dir.path());

    BackupTest() { std::filesystem::create_directories(places.state); }
    std::string text(int index) { return sys::read_file(places.backup(index)).value_or(""); }
};

TEST_F(BackupTest, two_files_are_written_in_turn_with_a_checksum) {
    ASSERT_TRUE(write_backup(places, R"({"a":1})", "", 6).has_value());
    ASSERT_TRUE(write_backup(places, R"({"a":2})", "", 7).has_value());
    ASSERT_TRUE(write_backup(places, R"({"a":3})", R"({"b":4})", 8).has_value());

    const std::string newer = R"({"a":3,"backup":8,"ledger":{"b":4}})";
    const std::string older = R"({"a":2,"backup":7})";
    EXPECT_EQ(text(0), newer + "\nsha256:" + sys::sha256_hex(newer) + " 8\n");
    EXPECT_EQ(text(1), older + "\nsha256:" + sys::sha256_hex(older) + " 7\n");
    struct stat status{};
    ASSERT_EQ(::stat(places.backup(0).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0644u) << "status reads it as anybody";
}

TEST_F(BackupTest, of_a_newer_release_it_is_of_no_use_but_its_number_counts) {
    ASSERT_TRUE(write_backup(places, R"({"a":1})", R"({"format":2})", 41).has_value());

    const Backups found = read_ledger_backups(places.state);

    EXPECT_FALSE(found.newest.has_value());
    EXPECT_EQ(found.broken.size(), 1u);
    EXPECT_EQ(found.number, 41u) << "the next one would pass for the older";
}

TEST_F(BackupTest, one_of_which_a_byte_is_another_is_not_believed) {
    for (const auto& [from, to] : {std::pair(R"("b":4)", R"("b":5)"), std::pair(" 8\n", " 9\n")}) {
        ASSERT_TRUE(write_backup(places, R"({"a":3})", R"({"b":4})", 8).has_value());
        std::string bytes = text(0);
        std::ofstream(places.backup(0)) << bytes.replace(bytes.rfind(from), std::string_view(from).size(), to);

        const Backups found = read_ledger_backups(places.state);

        ASSERT_EQ(found.broken.size(), 1u);
        EXPECT_NE(found.broken[0].find("does not verify"), std::string::npos);
        EXPECT_EQ(found.number, 0u);
    }
}

TEST_F(BackupTest, a_status_of_several_lines_is_not_written) {
    EXPECT_EQ(write_backup(places, "{\n}", "", 0).error().kind, ErrorKind::internal);
    EXPECT_FALSE(std::filesystem::exists(places.backup(0)));
}

}  // namespace
}  // namespace modelguard::store::test
