#include "supervisor/store/tree.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/store/world.hpp"

namespace modelguard::store::test {
namespace {

// Computed without our code:
//   E=$(printf '' | sha256sum | cut -c1-64); H=$(printf 'hello\n' | sha256sum | cut -c1-64)
//   R=$(printf '#!/bin/sh\n' | sha256sum | cut -c1-64)
//   { printf -- '- 0 %s a.txt\0' $E; printf -- '- 6 %s a/model.bin\0' $H; printf -- 'x 10 %s run.sh\0' $R; } |
//   sha256sum
// ('.' sorts before '/': by whole path, not by directory.)
constexpr const char* kGolden = "sha256:aecde72017a8a78a78f1bd9bc482c91ac74fc9eec668794a4b9590fe84f06ae7";

struct TreeTest : ::testing::Test {
    TempDir dir;
    sys::Path tree = dir / "tree";

    TreeTest() {
        write_file(tree / "a.txt", "");
        write_file(tree / "a/model.bin", "hello\n");
        write_file(tree / "run.sh", "#!/bin/sh\n", 0755);
    }
};

TEST_F(TreeTest, digest_is_the_golden_vector) {
    const auto digest = digest_tree(tree);

    ASSERT_TRUE(digest.has_value()) << digest.error().what;
    EXPECT_EQ(digest->text, kGolden);
}

TEST_F(TreeTest, only_execute_bits_names_and_content_count) {
    std::filesystem::permissions(tree / "a.txt", std::filesystem::perms{0400});
    std::filesystem::last_write_time(tree / "a.txt", std::filesystem::file_time_type{});
    std::filesystem::create_directory(tree / "empty");
    EXPECT_EQ(digest_tree(tree)->text, kGolden);

    std::filesystem::permissions(tree / "a.txt", std::filesystem::perms{0410});
    EXPECT_NE(digest_tree(tree)->text, kGolden);
}

TEST_F(TreeTest, a_link_or_pipe_in_it_has_no_digest) {
    std::filesystem::create_symlink("a.txt", tree / "link");
    EXPECT_EQ(digest_tree(tree).error().kind, ErrorKind::invalid_config);
    std::filesystem::remove(tree / "link");

    ASSERT_EQ(::mkfifo((tree / "pipe").c_str(), 0600), 0);
    const auto digest = digest_tree(tree);
    ASSERT_FALSE(digest.has_value());
    EXPECT_EQ(digest.error().what, "'pipe' is neither a regular file nor a directory");
}

TEST_F(TreeTest, what_is_no_directory_is_said) {
    EXPECT_EQ(digest_tree(dir / "nothing").error().kind, ErrorKind::not_found);
    EXPECT_EQ(digest_tree(tree / "a.txt").error().kind, ErrorKind::invalid_config);
}

TEST_F(TreeTest, stamps_name_the_file_that_differs) {
    const std::string kept = stamps_to_json(*read_stamps(tree));
    EXPECT_EQ(stamps_difference(kept, *read_stamps(tree)), std::nullopt);

    write_file(tree / "b.txt", "");
    EXPECT_EQ(stamps_difference(kept, *read_stamps(tree)), "'b.txt' was added");
    std::filesystem::remove(tree / "b.txt");
    std::filesystem::remove(tree / "a.txt");
    EXPECT_EQ(stamps_difference(kept, *read_stamps(tree)), "'a.txt' is missing");
    write_file(tree / "a.txt", "");
    EXPECT_EQ(stamps_difference(kept, *read_stamps(tree)), "'a.txt' was touched");
}

TEST_F(TreeTest, dev_counts_within_one_boot_only) {
    TreeStamps stamps = *read_stamps(tree);
    const std::string kept = stamps_to_json(stamps);
    stamps.dev += 1;
    EXPECT_EQ(stamps_difference(kept, stamps), "the tree is on another file system");

    stamps.boot_id = "another boot";
    EXPECT_EQ(stamps_difference(kept, stamps), std::nullopt);
}

TEST_F(TreeTest, stamps_of_many_files_stay_small) {
    TreeStamps stamps = *read_stamps(tree);
    for (int i = 0; i < 5000; ++i)
        stamps.files.push_back({.path = "file " + std::to_string(i), .ino = 7});
    const std::string kept = stamps_to_json(stamps);
    EXPECT_LT(kept.size(), 1024u);
    EXPECT_EQ(stamps_difference(kept, stamps), std::nullopt);

    stamps.files.back().ino = 8;
    EXPECT_EQ(stamps_difference(kept, stamps), "its files were touched");
    EXPECT_EQ(stamps_difference("{not json", stamps), "its stamps cannot be read");
}

}  // namespace
}  // namespace modelguard::store::test
