#include "supervisor/sys/podman.hpp"

#include "supervisor/base/text.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

TEST(Podman, image_file_of_a_version_is_read_and_its_absence_is_none) {
    const TempDir dir;
    EXPECT_EQ(read_image_file(dir.path()).value(), std::nullopt);
    ASSERT_TRUE(write_file_atomic(
        dir / "image.json", R"({"reference": "registry.example/digits:4", "digest": ")" + kHex + R"(", "more": 1})",
        0644));
    const auto file = read_image_file(dir.path()).value();
    ASSERT_TRUE(file);
    EXPECT_EQ(file->reference, "registry.example/digits:4");
    EXPECT_EQ(file->digest, kDigest);
    ASSERT_TRUE(write_file_atomic(dir / "image.json", std::string(100'000, ' '), 0644));
    EXPECT_EQ(read_image_file(dir.path()).error().kind, ErrorKind::io) << "too large";
}

TEST(Podman, image_file_that_is_none_says_what_was_expected) {
    for (const std::string& text : std::vector<std::string>{
             "", "[]", "{}", R"({"reference": "a"})", R"({"reference": "a", "digest": "sha256:short"})",
             R"({"reference": "a\nb", "digest": ")" + kDigest + "\"}",
             R"({"reference": 1, "digest": ")" + kDigest + "\"}",
             R"({"reference": ")" + std::string(256, 'a') + R"(", "digest": ")" + kDigest + "\"}"}) {
        const auto file = parse_image_file(text);
        ASSERT_FALSE(file) << text;
        EXPECT_EQ(file.error().kind, ErrorKind::invalid_config);
        EXPECT_NE(file.error().what.find(R"({"reference": "registry.example/digits:4")"), std::string::npos);
    }
}

TEST(Podman, an_image_is_known_by_each_of_its_digests_and_its_id) {
    const auto images = parse_images(R"([{"Id": ")" + kHex + R"(", "Digest": "sha256:1", "RepoTags": null,)" +
                                     R"("RepoDigests": ["a@sha256:2", 7, "odd"]}])");
    ASSERT_TRUE(images) << images.error().what;
    const LocalImage& image = images->front();
    for (const std::string& digest : {std::string("sha256:1"), std::string("sha256:2"), kDigest})
        EXPECT_TRUE(image.is(digest)) << digest;
    for (const std::string& other : {std::string("sha256:3"), std::string(), std::string("odd"), kHex})
        EXPECT_FALSE(image.is(other)) << other;
    EXPECT_TRUE(image.tags.empty());
    EXPECT_TRUE(parse_images("[]")->empty());
    for (const char* wrong : {"", "null", "{}", "[{}]", "[1]", R"([{"Id": 5}])"})
        EXPECT_EQ(parse_images(wrong).error().kind, ErrorKind::malformed_reply) << wrong;
}

TEST(Podman, health_is_read_by_its_old_name_too_and_by_its_newest_log_line) {
    const auto container = parse_container(
        R"({"Id": "1", "RestartCount": -5, "State": {"Status": "running", "ExitCode": "x", "Healthcheck":
            {"Status": "unhealthy", "FailingStreak": 2, "Log": [{"Output": "old"}, {"Output": "new"}]}}})");
    ASSERT_TRUE(container) << container.error().what;
    EXPECT_EQ(container->health, "unhealthy");
    EXPECT_EQ(container->failing_streak, 2);
    EXPECT_EQ(container->health_output, "new");
    EXPECT_EQ(container->restarts, 0U);
    EXPECT_EQ(container->exit_code, 0);
}

TEST(Podman, errors_are_told_in_its_own_words_on_one_line) {
    EXPECT_EQ(podman_error({.status = 404, .body = R"({"cause": "c", "message": "no such\nimage", "response": 404})"}),
              "HTTP 404: no such");
    EXPECT_EQ(podman_error({.status = 500, .body = "<html>\n"}), "HTTP 500: <html>");
    EXPECT_EQ(percent_encoded("localhost/a b:1"), "localhost%2Fa%20b%3A1");
}

}  // namespace
}  // namespace modelguard::sys::test
