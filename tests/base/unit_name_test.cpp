#include "supervisor/base/unit_name.hpp"

#include <gtest/gtest.h>

namespace modelguard {
namespace {

TEST(InstanceName, deployment_id_stays_as_it_is) {
    const std::string id = "order_os:fedora-iot-9f1c2d.0";

    EXPECT_EQ(escape_instance(id), id);
    EXPECT_EQ(unescape_instance(id), id);
}

TEST(InstanceName, every_byte_comes_back_and_makes_nothing_that_a_unit_name_may_not_have) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\";
    for (int byte = 0; byte < 256; ++byte) {
        const std::string text{'a', static_cast<char>(byte)};
        const std::string escaped = escape_instance(text);

        EXPECT_EQ(escaped.find_first_not_of(kAllowed), std::string::npos) << escaped;
        EXPECT_EQ(unescape_instance(escaped), text) << escaped;
    }
    EXPECT_EQ(escape_instance("my os/@\\"), "my\\x20os\\x2f\\x40\\x5c");
}

TEST(InstanceName, what_escaping_never_makes_is_refused) {
    for (const char* wrong : {"\\", "\\x", "\\x2", "\\x2g", "\\x2F", "\\x61", "\\y20", "a b", "a/b", "a@b", "a%b"})
        EXPECT_EQ(unescape_instance(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace modelguard
