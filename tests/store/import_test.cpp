#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "tests/store/world.hpp"

namespace modelguard::store::test {
namespace {

struct ImportTest : StoreTest {
    static unsigned mode_of(const sys::Path& path) {
        struct stat status{};
        EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
        return status.st_mode & 07777;
    }
};

TEST_F(ImportTest, a_tar_becomes_a_read_only_version_under_its_digest) {
    const auto info = import(good_bundle().bytes());

    ASSERT_TRUE(info.has_value()) << info.error().what;
    EXPECT_EQ(info->label, "4");
    EXPECT_EQ(info->served_version, "v4");
    EXPECT_EQ(info->files, 3u);
    EXPECT_EQ(info->bytes, 18u + 10u + 30u);
    EXPECT_GT(info->imported_wall_usec, 0);
    const sys::Path version = places.version_dir("digits", info->digest);
    EXPECT_EQ(content_of(version / "weights/model.bin"), "weights of a model");
    EXPECT_EQ(mode_of(version / "weights/model.bin"), 0444u);
    EXPECT_EQ(mode_of(version / "run.sh"), 0555u);
    EXPECT_EQ(mode_of(version / "weights"), 0555u);
    EXPECT_EQ(mode_of(version), 0555u);
    EXPECT_EQ(digest_tree(version)->text, info->digest.text);
    EXPECT_EQ(store->list("digits")->at(0), info->digest);
    EXPECT_TRUE(staged().empty());
}

TEST_F(ImportTest, packing_order_and_modes_make_no_other_version) {
    const Digest plain = imported(good_bundle());
    Tar other;
    other.file("run.sh", "#!/bin/sh\n", 0755)
        .file("weights/model.bin", "weights of a model", 0644)
        .file("modelguard-version.yaml", "label: \"4\"\nserved_version: v4\n");

    for (const std::string& bytes :
         {gzip(good_bundle().bytes()), zstd(good_bundle().bytes()), other.bytes(), gzip(other.bytes())}) {
        const auto info = import(bytes);
        ASSERT_TRUE(info.has_value()) << info.error().what;
        EXPECT_EQ(info->digest, plain);
        EXPECT_EQ(info->label, "4");
    }
    EXPECT_EQ(store->list("digits")->size(), 1u);
    EXPECT_TRUE(staged().empty());
}

TEST_F(ImportTest, a_directory_packed_by_the_system_tar_is_taken) {
    write_file(dir / "bundle/größe/model.bin", "content");
    write_file(dir / "bundle/" / sys::Path(std::string(120, 'n')), "long name");
    for (const char* options : {"--format=gnu", "--format=pax", "--format=gnu -z", "--format=pax --zstd"}) {
        const std::string command =
            "tar -C '" + (dir / "bundle").string() + "' " + options + " -cf '" + (dir / "b.tar").string() + "' .";
        ASSERT_EQ(::system(command.c_str()), 0) << command;

        const auto info = import(content_of(dir / "b.tar"));

        ASSERT_TRUE(info.has_value()) << options << ": " << info.error().what;
        EXPECT_EQ(info->digest, *digest_tree(dir / "bundle")) << options;
    }
}

TEST_F(ImportTest, large_files_come_through_whole) {
    std::string weights(40u << 20, '\0');
    std::mt19937_64 random(7);
    for (std::size_t at = 0; at < weights.size(); at += 8) {
        const std::uint64_t noise = random();
        std::memcpy(weights.data() + at, &noise, sizeof noise);
    }
    Tar tar;
    tar.file("a.bin", weights).file("b.bin", std::string(3000, 'b'));

    for (const std::string& bytes : {tar.bytes(), zstd(tar.bytes())}) {
        const auto info = import(bytes);
        ASSERT_TRUE(info.has_value()) << info.error().what;
        EXPECT_EQ(info->bytes, weights.size() + 3000);
        EXPECT_EQ(content_of(places.version_dir("digits", info->digest) / "a.bin"), weights);
    }
}

TEST_F(ImportTest, the_same_bundle_again_is_read_again_and_believed) {
    const Digest digest = imported(good_bundle());
    const sys::Path file = places.version_dir("digits", digest) / "run.sh";
    struct stat before{};
    ASSERT_EQ(::stat(file.c_str(), &before), 0);

    const auto again = import(good_bundle().bytes());

    ASSERT_TRUE(again.has_value()) << again.error().what;
    struct stat after{};
    ASSERT_EQ(::stat(file.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino) << "the version in place stays";
    EXPECT_TRUE(verify(digest, again->stamps)->intact);
    EXPECT_FALSE(hashed) << "the stamps are those of the version in place";
}

TEST_F(ImportTest, the_same_bundle_again_heals_a_corrupt_version) {
    const Digest digest = imported(good_bundle());
    const sys::Path version = places.version_dir("digits", digest);
    std::filesystem::permissions(version / "weights/model.bin", std::filesystem::perms{0644});
    write_file(version / "weights/model.bin", "weights of a mOdel");
    ASSERT_FALSE(verify(digest)->intact);

    const auto again = import(good_bundle().bytes());

    ASSERT_TRUE(again.has_value()) << again.error().what;
    EXPECT_EQ(content_of(version / "weights/model.bin"), "weights of a model");
    EXPECT_EQ(mode_of(version), 0555u);
    EXPECT_TRUE(verify(digest, again->stamps)->intact);
    EXPECT_FALSE(hashed);
    EXPECT_TRUE(staged().empty());
}

TEST_F(ImportTest, models_do_not_share_versions) {
    const Digest digest = imported(good_bundle());
    ASSERT_TRUE(import(good_bundle().bytes(), "letters").has_value());

    ASSERT_TRUE(store->remove("digits", digest).has_value());
    EXPECT_TRUE(store->list("digits")->empty());
    EXPECT_EQ(store->list("letters")->size(), 1u);
}

TEST_F(ImportTest, a_name_that_is_no_model_is_refused) {
    for (const char* model : {"", "..", "a/b", "A"}) {
        EXPECT_EQ(import(good_bundle().bytes(), model).error().kind, ErrorKind::invalid_config) << model;
        EXPECT_EQ(store->list(model).error().kind, ErrorKind::invalid_config) << model;
    }
}

TEST_F(ImportTest, a_killed_child_leaves_nothing_behind) {
    std::optional<Result<VersionInfo>> result;
    auto import_under_way = store->begin_import("digits", [&](Result<VersionInfo> r) { result = std::move(r); });
    ASSERT_TRUE(import_under_way.has_value());
    const std::string bytes = good_bundle().bytes();
    ASSERT_EQ(::write((*import_under_way)->input_fd(), bytes.data(), 2048), 2048);
    // The child has begun: its first file is there.
    const sys::Path first = places.staging() / "import-1/tree/modelguard-version.yaml";
    ASSERT_TRUE(run_until(*loop, [&] {
        std::ignore = loop->run_once(std::chrono::milliseconds(1));
        return std::filesystem::exists(first);
    }));

    pid_t child = 0;
    ASSERT_TRUE(std::ifstream("/proc/self/task/" + std::to_string(::getpid()) + "/children") >> child);
    ASSERT_EQ(::kill(child, SIGKILL), 0);

    ASSERT_TRUE(run_until(*loop, [&] { return result.has_value(); }));
    EXPECT_EQ(result->error().kind, ErrorKind::unavailable);
    EXPECT_NE(result->error().what.find("signal 9"), std::string::npos) << result->error().what;
    EXPECT_TRUE(staged().empty());
    import_under_way->reset();
    EXPECT_FALSE(imported(good_bundle()).empty());
}

TEST_F(ImportTest, a_dropped_import_leaves_nothing_behind_and_never_answers) {
    bool answered = false;
    auto import_under_way = store->begin_import("digits", [&](const Result<VersionInfo>&) { answered = true; });
    const std::string bytes = good_bundle().bytes();
    ASSERT_EQ(::write((*import_under_way)->input_fd(), bytes.data(), 2048), 2048);
    EXPECT_EQ(staged().size(), 1u);

    import_under_way->reset();

    EXPECT_TRUE(staged().empty());
    sys::test::run_pending(*loop);
    EXPECT_FALSE(answered);
    EXPECT_FALSE(imported(good_bundle()).empty());
}

TEST_F(ImportTest, an_import_may_be_dropped_from_its_own_answer) {
    std::unique_ptr<Import> import_under_way;
    bool answered = false;
    auto begun = store->begin_import("digits", [&](const Result<VersionInfo>& info) {
        EXPECT_EQ(info.error().kind, ErrorKind::invalid_config);
        import_under_way.reset();
        answered = true;
    });
    ASSERT_TRUE(begun.has_value());
    import_under_way = std::move(*begun);
    import_under_way->finish_input();

    EXPECT_TRUE(run_until(*loop, [&] { return answered; }));
    EXPECT_TRUE(staged().empty());
}

TEST_F(ImportTest, leftovers_of_a_dead_daemon_are_removed_at_open) {
    write_file(places.staging() / "import-7/tree/a/b", "x");
    std::filesystem::permissions(places.staging() / "import-7/tree/a", std::filesystem::perms{0555});
    write_file(places.staging() / "removed-3/file", "x");

    store = open_store();

    EXPECT_TRUE(staged().empty());
    EXPECT_EQ(mode_of(places.staging()), 0700u);
    EXPECT_EQ(mode_of(places.models()), 0755u);
}

TEST_F(ImportTest, no_executable_is_an_error_and_leaves_nothing) {
    auto opened = VersionStore::open(*loop, places, limits, dir / "nowhere");
    ASSERT_TRUE(opened.has_value());
    std::optional<Result<VersionInfo>> result;

    auto begun = (*opened)->begin_import("digits", [&](Result<VersionInfo> r) { result = std::move(r); });

    EXPECT_TRUE(!begun || run_until(*loop, [&] { return result.has_value(); }));
    EXPECT_TRUE(!begun || !result->has_value());
    EXPECT_TRUE(staged().empty());
}

}  // namespace
}  // namespace modelguard::store::test
