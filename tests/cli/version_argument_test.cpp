#include "supervisor/cli/version_argument.hpp"

#include <gtest/gtest.h>

namespace modelguard::cli {
namespace {

std::string digest(const std::string& begin) { return "sha256:" + begin + std::string(64 - begin.size(), '0'); }

api::Versions three_versions() {
    const auto item = [](const std::string& begin, const std::string& label) {
        return api::VersionItem{.digest = digest(begin), .label = label, .served_version = "", .rejected = ""};
    };
    return {"digits", {item("abcdef1", "4"), item("abcdef2", "5"), item("123456", "20261121"), item("202611", "5")}};
}

TEST(VersionArgument, a_label_or_a_unique_prefix_or_a_digest_names_a_version) {
    const auto versions = three_versions();
    EXPECT_EQ(resolve_version(versions, "4").value(), digest("abcdef1"));
    EXPECT_EQ(resolve_version(versions, "abcdef1").value(), digest("abcdef1"));
    EXPECT_EQ(resolve_version(versions, "ABCDEF2").value(), digest("abcdef2"));
    EXPECT_EQ(resolve_version(versions, "sha256:abcdef2").value(), digest("abcdef2"));
    EXPECT_EQ(resolve_version(versions, digest("abcdef1")).value(), digest("abcdef1"));
    EXPECT_EQ(resolve_version(versions, "20261121").value(), digest("123456"));
}

TEST(VersionArgument, a_whole_digest_is_taken_although_it_is_not_kept) {
    EXPECT_EQ(resolve_version(three_versions(), digest("fff")).value(), digest("fff"));
}

TEST(VersionArgument, what_may_be_two_versions_is_refused_with_both) {
    for (const std::string text : {"abcdef", "5"}) {
        const auto resolved = resolve_version(three_versions(), text);
        ASSERT_FALSE(resolved) << text;
        EXPECT_EQ(resolved.error().exit_code, kUsage);
        EXPECT_NE(resolved.error().problem.title.find("5 (abcdef200000)"), std::string::npos)
            << resolved.error().problem.title;
    }
}

TEST(VersionArgument, what_is_no_version_is_not_found_with_the_choices) {
    for (const std::string text : {"6", "abcde", "abcdef3", "", "nonsense"}) {
        const auto resolved = resolve_version(three_versions(), text);
        ASSERT_FALSE(resolved) << text;
        EXPECT_EQ(resolved.error().exit_code, kNotFound);
        EXPECT_NE(resolved.error().problem.title.find("4 (abcdef100000)"), std::string::npos);
    }
}

}  // namespace
}  // namespace modelguard::cli
