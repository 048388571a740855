#include "supervisor/store/quarantine.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/store/world.hpp"

namespace modelguard::store::test {
namespace {

struct QuarantineTest : StoreTest {
    sys::Path folder = places.model_dir("digits") / "quarantine";

    static std::string name(const Digest& digest, int number) {
        return digest.dir_name() + "-" + std::to_string(number);
    }
};

TEST_F(QuarantineTest, version_is_out_of_versions_and_there_for_a_look) {
    const Digest digest = imported(good_bundle());

    ASSERT_TRUE(store->quarantine("digits", digest).has_value());

    EXPECT_TRUE(store->list("digits")->empty());
    EXPECT_EQ(names_in(folder), std::vector{name(digest, 1)});
    EXPECT_FALSE(names_in(folder / name(digest, 1)).empty());
    EXPECT_TRUE(staged().empty());
}

TEST_F(QuarantineTest, same_digest_is_imported_again_beside_it) {
    const Digest digest = imported(good_bundle());
    ASSERT_TRUE(store->quarantine("digits", digest).has_value());

    EXPECT_EQ(imported(good_bundle()), digest);

    EXPECT_TRUE(verify(digest)->intact);
    EXPECT_EQ(names_in(folder), std::vector{name(digest, 1)});
}

TEST_F(QuarantineTest, only_the_newest_is_left) {
    const Digest first = imported(good_bundle());
    const Digest second = imported(good_bundle("second"));
    ASSERT_TRUE(store->quarantine("digits", first).has_value());

    ASSERT_TRUE(store->quarantine("digits", second).has_value());
    EXPECT_EQ(names_in(folder), std::vector{name(second, 2)});

    EXPECT_EQ(imported(good_bundle("second")), second);
    ASSERT_TRUE(store->quarantine("digits", second).has_value());
    EXPECT_EQ(names_in(folder), std::vector{name(second, 3)});
}

TEST_F(QuarantineTest, it_is_emptied_for_space) {
    EXPECT_EQ(*store->empty_quarantine("digits"), 0U);
    ASSERT_TRUE(store->quarantine("digits", imported(good_bundle())).has_value());

    EXPECT_EQ(*store->empty_quarantine("digits"), 1U);

    EXPECT_TRUE(names_in(folder).empty());
}

TEST_F(QuarantineTest, version_that_is_gone_already_is_no_error) {
    const Digest digest = imported(good_bundle());
    ASSERT_TRUE(store->remove("digits", digest).has_value());

    EXPECT_TRUE(store->quarantine("digits", digest).has_value());
    EXPECT_TRUE(names_in(folder).empty());
}

TEST_F(QuarantineTest, scrub_reads_it_whole_and_says_what_is_wrong) {
    const Digest digest = imported(good_bundle());
    const auto scrub = [&] {
        std::optional<Result<Verified>> result;
        const sys::Process child = store->scrub("digits", digest, [&](Result<Verified> r) { result = std::move(r); });
        EXPECT_TRUE(run_until(*loop, [&] { return result.has_value(); }));
        return result.value_or(fail(ErrorKind::timed_out, "no answer"));
    };
    const auto intact = scrub();
    ASSERT_TRUE(intact.has_value()) << intact.error().what;
    EXPECT_TRUE(intact->intact);
    EXPECT_FALSE(intact->stamps.empty());

    const sys::Path tree = places.version_dir("digits", digest);
    std::filesystem::permissions(tree, std::filesystem::perms::owner_all);
    ASSERT_TRUE(sys::write_file_atomic(tree / "more", "x", 0444).has_value());

    const auto damaged = scrub();
    ASSERT_TRUE(damaged.has_value()) << damaged.error().what;
    EXPECT_FALSE(damaged->intact);
    EXPECT_NE(damaged->why.find("another digest"), std::string::npos) << damaged->why;
}

}  // namespace
}  // namespace modelguard::store::test
