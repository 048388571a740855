#include "supervisor/daemon/http_path.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

using Segments = std::vector<std::string>;

TEST(HttpPath, splits_before_it_decodes) {
    EXPECT_EQ(path_segments("/v1/models/a%2Fb"), (Segments{"v1", "models", "a/b"}));
    EXPECT_EQ(path_segments("/v1/models/sha256%3A00/x%20y"), (Segments{"v1", "models", "sha256:00", "x y"}));
}

TEST(HttpPath, the_root_has_no_segments_and_empty_parts_stay) {
    EXPECT_EQ(path_segments("/"), Segments{});
    EXPECT_EQ(path_segments("/v1//x"), (Segments{"v1", "", "x"}));
    EXPECT_EQ(path_segments("/v1/"), (Segments{"v1", ""}));
}

TEST(HttpPath, refuses_what_is_no_path) {
    EXPECT_EQ(path_segments(""), std::nullopt);
    EXPECT_EQ(path_segments("*"), std::nullopt);
    EXPECT_EQ(path_segments("http://host/v1"), std::nullopt);
    EXPECT_EQ(path_segments("/v1/%zz"), std::nullopt);
}

TEST(HttpPath, refuses_broken_escapes_and_nul) {
    EXPECT_EQ(percent_decoded("100%"), std::nullopt);
    EXPECT_EQ(percent_decoded("%4"), std::nullopt);
    EXPECT_EQ(percent_decoded("%g0"), std::nullopt);
    EXPECT_EQ(percent_decoded("a%00b"), std::nullopt);
    EXPECT_EQ(percent_decoded(std::string_view("a\0b", 3)), std::nullopt);
    EXPECT_EQ(percent_decoded("%c3%A4+%25"), "\xc3\xa4+%");
}

}  // namespace
}  // namespace modelguard::daemon
