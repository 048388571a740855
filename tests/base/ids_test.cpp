#include "supervisor/base/ids.hpp"

#include <gtest/gtest.h>

namespace modelguard::test {
namespace {

const std::string kHex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Names, shape_is_that_of_the_design) {
    for (const char* name : {"digits", "a", "0", "line-2_v1.5", "a--", "a.."})
        EXPECT_TRUE(is_valid_name(name)) << name;
    EXPECT_TRUE(is_valid_name(std::string(63, 'a')));
}

TEST(Names, what_could_be_a_path_or_an_option_is_refused) {
    for (const char* name :
         {"", ".", "..", ".hidden", "-rf", "_a", "a/b", "a b", "Digits", "a\n", "d\xc3\xa9j\xc3\xa0", "a:b"})
        EXPECT_FALSE(is_valid_name(name)) << name;
    EXPECT_FALSE(is_valid_name(std::string(64, 'a')));
    EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

TEST(Digests, every_spelling_becomes_one) {
    for (const std::string& text : {"sha256:" + kHex, "sha256-" + kHex, kHex})
        EXPECT_EQ(parse_digest(text).value().text, "sha256:" + kHex) << text;
    EXPECT_EQ(parse_digest("sha256:" + std::string(64, 'A')).value().text, "sha256:" + std::string(64, 'a'));
}

TEST(Digests, anything_else_is_refused_with_the_text) {
    for (const std::string& text :
         {std::string(), std::string("sha256:"), kHex.substr(1), kHex + "0", "sha512:" + kHex,
          "sha256:" + kHex.substr(1) + "g", "SHA256:" + kHex, " " + kHex, "sha256:sha256:" + kHex}) {
        const Result<Digest> digest = parse_digest(text);
        ASSERT_FALSE(digest.has_value()) << text;
        EXPECT_EQ(digest.error().kind, ErrorKind::invalid_config);
        EXPECT_NE(digest.error().what.find("'" + text.substr(0, 80) + "'"), std::string::npos) << digest.error().what;
    }
}

TEST(Digests, forms_for_people_and_for_directories) {
    const Digest digest = parse_digest(kHex).value();
    EXPECT_EQ(digest.short_form(), "ba7816bf8f01");
    EXPECT_EQ(digest.dir_name(), "sha256-" + kHex);
    EXPECT_EQ(parse_digest(digest.dir_name()).value(), digest);
    EXPECT_TRUE(Digest{}.empty());
    EXPECT_FALSE(digest.empty());
}

}  // namespace
}  // namespace modelguard::test
