#include "checks/protocol/tolerant_json.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

struct Cleaned {
    std::string text;
    bool not_finite{false};
};

Cleaned clean(std::string_view body) {
    Cleaned cleaned;
    std::string storage;
    const auto text = tolerant_json(body, storage, cleaned.not_finite);
    EXPECT_TRUE(text) << body.substr(0, 80);
    if (text) cleaned.text = std::string(*text);
    return cleaned;
}

TEST(TolerantJson, replaces_bare_tokens_that_are_no_numbers) {
    struct Case {
        std::string_view body;
        std::string_view text;
    };
    for (const Case& c : {
             Case{.body = "[NaN]", .text = "[null]"},
             Case{.body = "[1,-Infinity, Infinity ]", .text = "[1,null, null ]"},
             Case{.body = "NaN", .text = "null"},
             Case{.body = R"({"a":nan,"b":-inf,"c":[+Inf,-NaN]})", .text = R"({"a":null,"b":null,"c":[null,null]})"},
         }) {
        const Cleaned cleaned = clean(c.body);
        EXPECT_EQ(cleaned.text, c.text);
        EXPECT_TRUE(cleaned.not_finite) << c.body;
    }
}

TEST(TolerantJson, leaves_everything_else_as_it_is) {
    for (const std::string_view body :
         {R"({"NaN":"Infinity","x":"a\"NaN\\"})", "[1,-2,3e5,-1E-7]", "[true,false,null]", "[nano,Infinityx,xNaN]", "",
          "not json at all", R"("unclosed NaN)", R"("ends in a backslash \)", "-", "]]]}}}"}) {
        const Cleaned cleaned = clean(body);
        EXPECT_EQ(cleaned.text, body);
        EXPECT_FALSE(cleaned.not_finite) << body;
    }
}

TEST(TolerantJson, refuses_what_would_exhaust_a_parser) {
    std::string storage;
    bool not_finite = false;
    EXPECT_TRUE(tolerant_json(std::string(64, '['), storage, not_finite));
    for (const std::string& body : {std::string(65, '['), std::string(65, '{'), std::string(10'000'000, '[')}) {
        const auto text = tolerant_json(body, storage, not_finite);
        ASSERT_FALSE(text);
        EXPECT_EQ(text.error().kind, ErrorKind::malformed_reply);
    }
    const auto many = tolerant_json("[" + std::string(kMaxJsonValues + 1, ','), storage, not_finite);
    ASSERT_FALSE(many);
    EXPECT_EQ(many.error().kind, ErrorKind::malformed_reply);
    EXPECT_TRUE(tolerant_json(R"("[[[[)" + std::string(100, '[') + "\"", storage, not_finite)) << "inside of a string";
}

}  // namespace
}  // namespace modelguard::checks
