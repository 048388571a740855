#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

using namespace std::chrono_literals;

struct ParsedDevice {
    std::optional<DeviceConfig> device;
    Parsed found;
};
ParsedDevice parse_device(const std::string& text) {
    ParsedDevice parsed;
    parsed.device = parse_device_config(text, "modelguard.yaml", parsed.found.findings);
    EXPECT_EQ(parsed.device.has_value(), parsed.found.count(Finding::Severity::error) == 0) << parsed.found.all();
    return parsed;
}

const std::string kDevice = R"(commands:
  disk-space: {argv: [/usr/libexec/disk-space, --percent, 10], user: nobody, timeout: 5s}
  reload: {argv: [systemctl, reload, digits]}
units: [shared-server.service]
addresses: ["192.0.2.7:9000", models.lan]
images: [registry.example/digits]
limits: {max_bundle: 10GiB}
containers: [shared-server]
podman: {socket: /run/user/990/podman/podman.sock}
gate: {script_timeout: 90s}
)";

TEST(DeviceConfigFile, everything_in_it_is_read) {
    const auto [device, found] = parse_device(kDevice);

    ASSERT_TRUE(device.has_value()) << found.all();
    EXPECT_EQ(found.all(), "");
    ASSERT_EQ(device->commands.size(), 2U);
    const auto& disk = device->commands.find("disk-space")->second;
    EXPECT_EQ(disk.argv, (std::vector<std::string>{"/usr/libexec/disk-space", "--percent", "10"}));
    EXPECT_EQ(disk.user, "nobody");
    EXPECT_EQ(disk.timeout, Usec(5s));
    EXPECT_EQ(device->commands.find("reload")->second.timeout, Usec(30s));
    EXPECT_EQ(device->commands.find("reload")->second.user, "");
    EXPECT_EQ(device->units, std::vector<std::string>{"shared-server.service"});
    EXPECT_EQ(device->addresses, (std::vector<std::string>{"192.0.2.7:9000", "models.lan"}));
    EXPECT_EQ(device->images, std::vector<std::string>{"registry.example/digits"});
    EXPECT_EQ(device->containers, std::vector<std::string>{"shared-server"});
    EXPECT_EQ(device->podman_socket, "/run/user/990/podman/podman.sock");
    EXPECT_EQ(device->max_bundle_bytes, 10ull << 30);
    EXPECT_EQ(device->script_timeout, Usec(90s));
}

TEST(DeviceConfigFile, empty_file_and_one_of_comments_are_all_defaults) {
    for (const char* text : {"", "# as shipped\n", "---\n", "commands:\n"}) {
        const auto [device, found] = parse_device(text);
        ASSERT_TRUE(device.has_value()) << found.all();
        EXPECT_TRUE(device->commands.empty());
        EXPECT_EQ(device->max_bundle_bytes, 64ull << 30);
    }
}

TEST(DeviceConfigFile, a_textfile_is_an_absolute_path_that_collectors_read) {
    EXPECT_EQ(parse_device("").device->metrics_textfile, "");
    EXPECT_EQ(parse_device("metrics: {textfile: /run/m/mg.prom}\n").device->metrics_textfile, "/run/m/mg.prom");
    for (const char* text : {"mg.prom", "/run/m/mg.txt"}) {
        const auto [device, found] = parse_device("metrics: {textfile: " + std::string(text) + "}\n");
        EXPECT_FALSE(device);
        EXPECT_NE(found.all().find("modelguard.yaml:1: metrics.textfile: found '" + std::string(text) +
                                   "'; expected an absolute path that ends with .prom"),
                  std::string::npos)
            << found.all();
    }
}

TEST(DeviceConfigFile, keys_are_named_files) {
    const auto [device, found] = parse_device("keys: {llama: /etc/modelguard/keys/llama}\n");
    ASSERT_TRUE(device.has_value()) << found.all();
    EXPECT_EQ(device->keys.at("llama"), "/etc/modelguard/keys/llama");
    for (const char* text : {"keys: {llama: secret}\n", "keys: {llama: [/a]}\n", "keys: {'../a': /a}\n", "keys: [a]\n"})
        EXPECT_FALSE(parse_device(text).device.has_value()) << text;
}

TEST(DeviceConfigFile, reboot_window_is_two_times_of_the_day) {
    EXPECT_FALSE(parse_device("").device->reboot_window);
    EXPECT_EQ(parse_device("os: {reboot_window: \"02:00-04:30\"}\n").device->reboot_window,
              (RebootWindow{2h, 4h + 30min}));
    const auto [device, found] = parse_device("os: {reboot_window: at night}\n");
    EXPECT_FALSE(device);
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_EQ(found.findings.front().key, "os.reboot_window");
}

TEST(DeviceConfigFile, scrub_is_a_duration_or_off) {
    EXPECT_EQ(parse_device("").device->scrub_period, Usec(7 * 24h));
    EXPECT_EQ(parse_device("store: {scrub: 36h}\n").device->scrub_period, Usec(36h));
    EXPECT_EQ(parse_device("store: {scrub: off}\n").device->scrub_period, Usec(0));
    for (const char* text : {"0s", "10ms", "7", "never", "-1d", "on"}) {
        const auto [device, found] = parse_device("store: {scrub: " + std::string(text) + "}\n");
        EXPECT_FALSE(device.has_value()) << text;
        EXPECT_EQ(found.all().find("modelguard.yaml:1: store.scrub: found '" + std::string(text) +
                                   "'; expected off, or a duration of 1s at least, as in 7d"),
                  0U)
            << found.all();
    }
}

TEST(DeviceConfigFile, sizes_are_a_number_and_a_binary_unit) {
    EXPECT_EQ(parse_device("limits: {max_bundle: 512MiB}\n").device->max_bundle_bytes, 512ull << 20);
    EXPECT_EQ(parse_device("limits: {max_bundle: \"1.5KiB\"}\n").device->max_bundle_bytes, 1536U);
    EXPECT_EQ(parse_device("limits: {max_bundle: 1TiB}\n").device->max_bundle_bytes, 1ull << 40);
}

TEST(DeviceConfigFile, what_is_wrong_is_refused_at_its_line) {
    struct {
        const char* from;
        const char* to;
        int line;
        const char* key;
        const char* fragment;
    } const cases[] = {
        {"commands:", "command:", 1, "command", "did you mean 'commands'?"},
        {"disk-space: {", "Disk: {", 2, "commands.Disk", "'Disk' is not a name"},
        {"argv: [systemctl, reload, digits]", "argv: systemctl reload digits", 3, "commands.reload.argv",
         "found 'systemctl reload digits'; expected a list"},
        {"argv: [systemctl, reload, digits]", "argv: []", 3, "commands.reload.argv", "the list is empty"},
        {"argv: [systemctl, reload, digits]", "argv: [bin/reload]", 3, "commands.reload.argv[0]",
         "relative path 'bin/reload'"},
        {"argv: [systemctl, reload, digits]", "argv: [systemctl, {a: b}]", 3, "commands.reload.argv[1]", "found a map"},
        {"argv: [systemctl, reload, digits]", "argv: [systemctl, ~]", 3, "commands.reload.argv[1]", "found nothing"},
        {"argv: [systemctl, reload, digits]", "arg: [systemctl]", 3, "commands.reload.arg", "did you mean 'argv'?"},
        {"argv: [systemctl, reload, digits]", "", 3, "commands.reload.argv", "the key is missing"},
        {"{argv: [systemctl, reload, digits]}", "systemctl reload", 3, "commands.reload",
         "found 'systemctl reload'; expected a map"},
        {"timeout: 5s", "timeout: 5", 2, "commands.disk-space.timeout", "the unit is missing"},
        {"timeout: 5s", "timeout: 2d", 2, "commands.disk-space.timeout", "from 10ms to 1d"},
        {"user: nobody", "user: \"../root\"", 2, "commands.disk-space.user", "is not a user's name"},
        {"  reload:", "  disk-space:", 3, "commands.disk-space", "written twice; the first is on line 2"},
        {"units: [shared-server.service]", "units: shared-server.service", 4, "units",
         "found 'shared-server.service'; expected a list"},
        {"max_bundle: 10GiB", "max_bundle: 10", 7, "limits.max_bundle",
         "expected a number and a unit (KiB, MiB, GiB, TiB), as in 10GiB"},
        {"max_bundle: 10GiB", "max_bundle: 10GB", 7, "limits.max_bundle", "found '10GB'"},
        {"max_bundle: 10GiB", "max_bundle: -1GiB", 7, "limits.max_bundle", "found '-1GiB'"},
        {"max_bundle: 10GiB", "max_bundle: 9999999TiB", 7, "limits.max_bundle", "found '9999999TiB'"},
        {"max_bundle: 10GiB", "max_bundel: 10GiB", 7, "limits.max_bundel", "did you mean 'max_bundle'?"},
        {"images: [", "images: &i [", 6, "images", "an anchor '&i'"},
        {"commands:\n", "- commands\n", 2, "", "not YAML"},
    };
    for (const auto& each : cases) {
        const auto [device, found] = parse_device(with(kDevice, each.from, each.to));
        EXPECT_FALSE(device.has_value()) << each.to;
        EXPECT_TRUE(found.has(Finding::Severity::error, each.line, each.key, each.fragment)) << each.to << "\ngot:\n"
                                                                                             << found.all();
    }
}

}  // namespace
}  // namespace modelguard::daemon::test
