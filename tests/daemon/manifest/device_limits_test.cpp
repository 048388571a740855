#include "supervisor/daemon/device_limits.hpp"

#include <gtest/gtest.h>

#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

TEST(DeviceLimits, only_real_loopback_addresses_are_loopback) {
    for (const char* text :
         {"http://127.0.0.1", "http://127.255.255.255:1", "http://localhost:65535", "https://[::1]:443"})
        EXPECT_EQ(refuse_endpoint(text, {}), "") << text;
    for (const char* text : {"http://127.0.0.1.example",
                             "http://127.0.0",
                             "http://127.0.0.256",
                             "http://127.0.0.1.1",
                             "http://128.0.0.1",
                             "http://127..0.1",
                             "http://localhost.example",
                             "http://[::2]",
                             "http://0.0.0.0",
                             "http://[::ffff:127.0.0.1]",
                             "http://127.0.0.1:0",
                             "http://127.0.0.1:",
                             "http://127.0.0.1:80:80",
                             "http://127.0.0.1:8o",
                             "http://",
                             "http://[",
                             "http://[]",
                             "http://[::1",
                             "http://a b",
                             "http://127.0.0.1?x",
                             "http://127.0.0.1#x",
                             "http://u@127.0.0.1",
                             "ftp://127.0.0.1",
                             "HTTP://127.0.0.1",
                             "unix:/run/x",
                             "127.0.0.1",
                             ""})
        EXPECT_NE(refuse_endpoint(text, {}), "") << text;
}

TEST(DeviceLimits, listed_address_is_allowed_with_its_port_or_all_of_a_host) {
    const DeviceConfig device = example_device();

    EXPECT_EQ(refuse_endpoint("http://192.0.2.7:9000", device), "");
    EXPECT_NE(refuse_endpoint("http://192.0.2.7:9001", device), "");
    EXPECT_NE(refuse_endpoint("http://192.0.2.7", device), "") << "port 80";
    EXPECT_EQ(refuse_endpoint("http://models.lan:1", device), "");
    EXPECT_NE(refuse_endpoint("http://evil.models.lan:1", device), "");
}

TEST(DeviceLimits, own_container_and_listed_containers_are_allowed) {
    DeviceConfig device;
    device.containers = {"shared-server"};

    EXPECT_EQ(refuse_container("digits", "digits", device), "");
    EXPECT_EQ(refuse_container("shared-server", "digits", device), "");
    EXPECT_NE(refuse_container("faces", "digits", device).find("`containers:`"), std::string::npos);
}

TEST(DeviceLimits, own_image_and_listed_images_are_allowed_with_any_tag_or_digest) {
    DeviceConfig device;
    device.images = {"registry.example:5000/digits"};

    for (const char* reference :
         {"localhost/modelguard/digits", "localhost/modelguard/digits:4", "registry.example:5000/digits",
          "registry.example:5000/digits:4", "registry.example:5000/digits:4@sha256:00"})
        EXPECT_EQ(refuse_image(reference, "digits", device), "") << reference;
    for (const char* reference : {"localhost/modelguard/faces:4", "registry.example/digits", "digits:4",
                                  "registry.example:5000", "registry.example:5000/digits/more:4", ""})
        EXPECT_NE(refuse_image(reference, "digits", device).find("`images:`"), std::string::npos) << reference;
}

TEST(DeviceLimits, own_unit_and_listed_units_are_allowed) {
    const DeviceConfig device = example_device();

    EXPECT_EQ(refuse_unit("digits.service", "digits", device), "");
    EXPECT_EQ(refuse_unit("shared-server.service", "digits", device), "");
    EXPECT_NE(refuse_unit("other.service", "digits", device), "");
    EXPECT_NE(refuse_unit("shared-sever.service", "digits", device).find("did you mean 'shared-server.service'?"),
              std::string::npos);
}

TEST(DeviceLimits, name_that_is_no_name_is_not_repeated_as_a_key) {
    EXPECT_NE(refuse_command("rm -rf /", {}).find("add the key commands.NAME to modelguard.yaml"), std::string::npos);
    EXPECT_EQ(refuse_command("disk-space", example_device()), "");
    EXPECT_EQ(refuse_key("llama", {.keys = {{"llama", "/k"}}}), "");
    EXPECT_NE(refuse_key("lama", {.keys = {{"llama", "/k"}}}).find("'llama'"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::daemon::test
