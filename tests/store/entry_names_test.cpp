#include "supervisor/store/entry_names.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace modelguard::store::test {
namespace {

Result<std::string> clean(std::string_view raw) { return clean_entry_path(raw, 1024, 8); }

TEST(EntryPathTest, dots_before_and_slashes_behind_are_dropped) {
    for (const auto& [raw, path] : std::array<std::pair<const char*, const char*>, 7>{{{"a", "a"},
                                                                                       {"./a/b", "a/b"},
                                                                                       {"././a", "a"},
                                                                                       {"a/", "a"},
                                                                                       {"./", ""},
                                                                                       {".", ""},
                                                                                       {"..a/b..", "..a/b.."}}})
        EXPECT_EQ(clean(raw).value_or("refused"), path) << raw;
    EXPECT_EQ(clean("größe/データ.bin").value_or("refused"), "größe/データ.bin");
}

TEST(EntryPathTest, what_leaves_the_tree_or_deceives_the_eye_is_refused) {
    for (const char* raw : {"/a", "..", "../a", "a/../b", "a/./b", "a//b", "a\\b", "a\nb", "a\x7f", "e\xcc\x81",
                            "\xe1\x84\x80", "\xe2\x84\xaa",
                            "\xe2\x80\xae"
                            "gpj.exe",
                            "a\xe2\x80\x8b", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc2\x85", ""}) {
        const auto path = clean(raw);
        ASSERT_FALSE(path.has_value()) << raw;
        EXPECT_EQ(path.error().kind, ErrorKind::invalid_config);
        EXPECT_EQ(path.error().what.find('\n'), std::string::npos);
    }
    EXPECT_FALSE(clean(std::string(256, 'x')).has_value());
    EXPECT_TRUE(clean(std::string(255, 'x')).has_value());
    EXPECT_FALSE(clean("1/2/3/4/5/6/7/8/9").has_value());
    EXPECT_TRUE(clean("1/2/3/4/5/6/7/8").has_value());
}

TEST(EntryNamesTest, duplicates_twins_and_files_as_directories_are_refused) {
    EntryNames names(100);
    ASSERT_TRUE(names.add_file("Weights/a.bin").has_value());
    EXPECT_TRUE(names.add_directory("Weights").has_value()) << "its own entry may come after its file's";

    EXPECT_EQ(names.add_directory("Weights").error().what, "entry 'Weights': is there twice");
    EXPECT_EQ(names.add_file("Weights/a.bin").error().what, "entry 'Weights/a.bin': is there twice");
    EXPECT_EQ(names.add_file("Weights/A.bin").error().what,
              "entry 'Weights/A.bin': differs only in case from 'Weights/a.bin'");
    EXPECT_EQ(names.add_file("weights/b.bin").error().what, "entry 'weights': differs only in case from 'Weights'");
    EXPECT_FALSE(names.add_file("Weights/a.bin/b").has_value());
    EXPECT_FALSE(names.add_file("Weights").has_value());
    EXPECT_TRUE(names.add_file("Weights/b.bin").has_value());
}

TEST(EntryNamesTest, directories_without_an_entry_count_too) {
    EntryNames names(4);
    ASSERT_TRUE(names.add_file("a/b/c").has_value());
    EXPECT_TRUE(names.add_file("a/b/d").has_value());
    EXPECT_EQ(names.add_file("e").error().what, "entry 'e': more than 4 entries");
}

}  // namespace
}  // namespace modelguard::store::test
