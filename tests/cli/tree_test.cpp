#include "supervisor/cli/tree.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/api/scripted_server.hpp"

namespace modelguard::cli {
namespace {

using test::TempDir;
using test::write_text;

TEST(Tree, is_sorted_with_sizes_and_execute_bits) {
    TempDir dir;
    write_text(dir / "b.txt", "12345");
    write_text(dir / "a/z", "1");
    write_text(dir / "a.run", "#!");
    ASSERT_EQ(::chmod((dir / "a.run").c_str(), 0700), 0);
    const auto entries = list_tree(dir.path());
    ASSERT_TRUE(entries) << entries.error().what;
    ASSERT_EQ(entries->size(), 4u);
    EXPECT_EQ(entries->at(0).path, "a");
    EXPECT_TRUE(entries->at(0).is_directory);
    EXPECT_EQ(entries->at(1).path, "a.run");
    EXPECT_TRUE(entries->at(1).is_executable);
    EXPECT_EQ(entries->at(2).path, "a/z");
    EXPECT_EQ(entries->at(3).path, "b.txt");
    EXPECT_EQ(entries->at(3).size, 5u);
    EXPECT_FALSE(entries->at(3).is_executable);
}

TEST(Tree, links_and_fifos_are_refused_by_name) {
    TempDir dir;
    write_text(dir / "model/weights", "w");
    std::filesystem::create_symlink("weights", dir / "model/latest");
    auto entries = list_tree(dir.path());
    ASSERT_FALSE(entries);
    EXPECT_EQ(entries.error().kind, ErrorKind::invalid_config);
    EXPECT_NE(entries.error().what.find("model/latest is a symbolic link"), std::string::npos) << entries.error().what;

    std::filesystem::remove(dir / "model/latest");
    ASSERT_EQ(::mkfifo((dir / "model/pipe").c_str(), 0600), 0);
    entries = list_tree(dir.path());
    ASSERT_FALSE(entries);
    EXPECT_NE(entries.error().what.find("model/pipe"), std::string::npos);
}

TEST(Tree, without_files_there_is_no_bundle) {
    TempDir dir;
    std::filesystem::create_directory(dir / "empty");
    EXPECT_EQ(list_tree(dir.path()).error().kind, ErrorKind::invalid_config);
    EXPECT_EQ(list_tree(dir / "nowhere").error().kind, ErrorKind::not_found);
}

TEST(Tree, a_link_to_the_directory_itself_is_followed) {
    TempDir dir;
    write_text(dir / "v5/weights", "w");
    std::filesystem::create_symlink("v5", dir / "latest");
    const auto entries = list_tree(dir / "latest");
    ASSERT_TRUE(entries);
    EXPECT_EQ(entries->size(), 1u);
}

TEST(Tree, depth_is_bounded) {
    TempDir dir;
    std::string deep = dir.path();
    for (int i = 0; i < 70; ++i)
        deep += "/d";
    write_text(deep + "/f", "x");
    EXPECT_EQ(list_tree(dir.path()).error().kind, ErrorKind::invalid_config);
}

}  // namespace
}  // namespace modelguard::cli
