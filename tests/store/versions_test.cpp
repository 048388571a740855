#include "supervisor/store/versions.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/store/world.hpp"

namespace modelguard::store::test {
namespace {

struct VersionsTest : StoreTest {
    VersionInfo info = [this] {
        auto result = import(good_bundle().bytes());
        EXPECT_TRUE(result.has_value()) << result.error().what;
        return result.value_or(VersionInfo{});
    }();
    sys::Path version = places.version_dir("digits", info.digest);

    void make_writable(const sys::Path& path) { std::filesystem::permissions(path, std::filesystem::perms{0755}); }
};

TEST_F(VersionsTest, intact_by_stamps_takes_no_child) {
    const auto verified = verify(info.digest, info.stamps);

    ASSERT_TRUE(verified.has_value()) << verified.error().what;
    EXPECT_TRUE(verified->intact);
    EXPECT_EQ(verified->stamps, info.stamps);
    EXPECT_FALSE(hashed);
}

TEST_F(VersionsTest, intact_by_hash_gives_the_same_stamps) {
    const auto verified = verify(info.digest);

    ASSERT_TRUE(verified.has_value()) << verified.error().what;
    EXPECT_TRUE(verified->intact);
    EXPECT_TRUE(hashed);
    EXPECT_EQ(verified->stamps, info.stamps);
}

TEST_F(VersionsTest, a_touched_file_is_hashed_and_gets_new_stamps) {
    std::filesystem::last_write_time(version / "run.sh", std::filesystem::file_time_type::clock::now());

    const auto verified = verify(info.digest, info.stamps);

    ASSERT_TRUE(verified.has_value()) << verified.error().what;
    EXPECT_TRUE(verified->intact) << verified->why;
    EXPECT_TRUE(hashed);
    EXPECT_NE(verified->stamps, info.stamps);
    EXPECT_TRUE(verify(info.digest, verified->stamps)->intact);
    EXPECT_FALSE(hashed);
}

TEST_F(VersionsTest, a_flipped_byte_is_found_and_its_file_named) {
    make_writable(version / "weights/model.bin");
    write_file(version / "weights/model.bin", "weights of a modeL");

    const auto verified = verify(info.digest, info.stamps);

    ASSERT_TRUE(verified.has_value());
    EXPECT_FALSE(verified->intact);
    EXPECT_NE(verified->why.find("another digest"), std::string::npos) << verified->why;
    EXPECT_NE(verified->why.find("'weights/model.bin' was touched"), std::string::npos) << verified->why;
}

TEST_F(VersionsTest, a_file_too_many_or_too_few_or_a_link_is_not_intact) {
    make_writable(version);
    write_file(version / "extra", "x");
    EXPECT_FALSE(verify(info.digest, info.stamps)->intact);
    EXPECT_FALSE(verify(info.digest)->intact);
    std::filesystem::remove(version / "extra");
    EXPECT_TRUE(verify(info.digest)->intact);

    std::filesystem::create_symlink("run.sh", version / "link");
    const auto with_link = verify(info.digest, info.stamps);
    EXPECT_FALSE(with_link->intact);
    EXPECT_NE(with_link->why.find("'link'"), std::string::npos) << with_link->why;
    std::filesystem::remove(version / "link");

    std::filesystem::remove(version / "run.sh");
    EXPECT_FALSE(verify(info.digest, info.stamps)->intact);
}

TEST_F(VersionsTest, a_lost_execute_bit_is_not_intact) {
    std::filesystem::permissions(version / "run.sh", std::filesystem::perms{0444});
    EXPECT_FALSE(verify(info.digest, info.stamps)->intact);
}

TEST_F(VersionsTest, a_missing_version_is_not_intact) {
    const Digest other{"sha256:" + std::string(64, '0')};
    const auto verified = verify(other, info.stamps);
    ASSERT_TRUE(verified.has_value()) << verified.error().what;
    EXPECT_FALSE(verified->intact);
}

TEST_F(VersionsTest, a_child_that_cannot_run_is_an_error_and_no_corruption) {
    auto other = VersionStore::open(*loop, places, limits, "/bin/false");
    ASSERT_TRUE(other.has_value());
    store = std::move(*other);
    const auto verified = verify(info.digest);
    ASSERT_FALSE(verified.has_value());
    EXPECT_EQ(verified.error().kind, ErrorKind::unavailable);
}

TEST_F(VersionsTest, a_dropped_verification_never_answers) {
    bool answered = false;
    sys::Process child = store->verify("digits", info.digest, "", [&](const auto&) { answered = true; });
    ASSERT_TRUE(static_cast<bool>(child));
    child = {};
    sys::test::run_pending(*loop);
    EXPECT_FALSE(answered);
}

TEST_F(VersionsTest, remove_takes_a_read_only_tree_away_and_may_be_repeated) {
    ASSERT_TRUE(store->remove("digits", info.digest).has_value());
    EXPECT_FALSE(std::filesystem::exists(version));
    EXPECT_TRUE(staged().empty());
    EXPECT_TRUE(store->list("digits")->empty());

    EXPECT_TRUE(store->remove("digits", info.digest).has_value());
    EXPECT_EQ(store->remove("digits", Digest{"../../x"}).error().kind, ErrorKind::invalid_config);
    EXPECT_TRUE(verify(imported(good_bundle()))->intact);
}

std::int64_t cpu_usec() {
    timespec now{};
    EXPECT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

TEST_F(VersionsTest, a_version_of_20000_files_is_deleted_beside_the_loop) {
    const Digest large{"sha256:" + std::string(64, 'b')};
    for (int number = 0; number < 20'000; ++number)
        write_file(places.version_dir("digits", large) / std::to_string(number % 100) / std::to_string(number), "x");

    std::int64_t before = cpu_usec();
    ASSERT_TRUE(store->remove("digits", large).has_value());
    std::int64_t longest = cpu_usec() - before;
    EXPECT_FALSE(std::filesystem::exists(places.version_dir("digits", large)));
    EXPECT_TRUE(store->is_deleting());
    while (store->is_deleting()) {
        before = cpu_usec();
        ASSERT_TRUE(loop->run_once(std::chrono::seconds(1)).has_value());
        longest = std::max(longest, cpu_usec() - before);
    }

    EXPECT_TRUE(staged().empty());
    RecordProperty("longest_turn_usec", static_cast<int>(longest));
    // Processor time, so that what else runs here does not count; 20,000 unlinks take several times as much.
    EXPECT_LT(longest, 80'000);
}

TEST_F(VersionsTest, a_deletion_that_fails_is_said_once_and_tried_again) {
    const sys::Path exe = dir / "child";
    std::filesystem::create_symlink("/bin/false", exe);
    store = std::move(*VersionStore::open(*loop, places, limits, exe));
    std::vector<std::string> notes;
    store->on_note([&](const std::string& text) { notes.push_back(text); });
    make_writable(version / "weights/model.bin");
    std::filesystem::resize_file(version / "weights/model.bin", 17u << 20);  // too large to be freed at once

    ASSERT_TRUE(store->remove("digits", info.digest).has_value());
    EXPECT_TRUE(run_until(*loop, [&] { return !notes.empty(); }));
    EXPECT_FALSE(staged().empty());
    EXPECT_TRUE(run_until(*loop, [&] { return store->is_deleting(); })) << "again after a second";
    std::filesystem::remove(exe);
    std::filesystem::create_symlink(STORE_CHILD, exe);

    EXPECT_TRUE(run_until(*loop, [&] { return staged().empty(); }));
    EXPECT_EQ(notes.size(), 1u);
}

TEST_F(VersionsTest, an_import_waits_for_the_space_of_a_version_that_is_deleted) {
    make_writable(version / "weights/model.bin");
    std::filesystem::resize_file(version / "weights/model.bin", 17u << 20);
    ASSERT_TRUE(store->remove("digits", info.digest).has_value());
    ASSERT_TRUE(store->is_deleting());

    EXPECT_TRUE(verify(imported(good_bundle()))->intact);

    EXPECT_FALSE(store->is_deleting());
    EXPECT_TRUE(staged().empty());
}

TEST_F(VersionsTest, list_names_versions_only) {
    write_file(places.model_dir("digits") / "versions/README", "x");
    std::filesystem::create_directory(places.model_dir("digits") / "versions/sha256-short");
    const Digest second = imported(good_bundle("second"));

    const auto digests = store->list("digits");

    ASSERT_TRUE(digests.has_value());
    EXPECT_EQ(digests->size(), 2u);
    EXPECT_NE(std::ranges::find(*digests, second), digests->end());
    EXPECT_TRUE(store->list("nobody")->empty());
}

TEST(PlacesTest, everything_is_under_the_root) {
    EXPECT_EQ(places_under("").database(), "/var/lib/modelguard/state.db");
    EXPECT_FALSE(places_under("").rooted);
    EXPECT_EQ(places_under("/tmp/x").runtime, "/tmp/x/run/modelguard");
    EXPECT_TRUE(places_under("/tmp/x").rooted);
    EXPECT_TRUE(places_under("relative").state.is_absolute());
}

}  // namespace
}  // namespace modelguard::store::test
