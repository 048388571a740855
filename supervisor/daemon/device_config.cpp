// The device's own configuration, modelguard.yaml: what delivered manifests may name, and what commands do.

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "supervisor/daemon/findings.hpp"
#include "supervisor/daemon/manifest.hpp"
#include "supervisor/daemon/params_from_yaml.hpp"
#include "supervisor/daemon/yaml_tree.hpp"

namespace modelguard::daemon {

namespace {
constexpr ParamSpec kCommandKeys[] = {
    {.name = "argv",
     .type = ParamType::text_list,
     .required = true,
     .help = "The program and its arguments; no shell reads them."},
    {.name = "user", .type = ParamType::text, .help = "The user it runs as; absent: the daemon's."},
    {.name = "timeout",
     .type = ParamType::duration,
     .unit = "seconds",
     .default_text = "30s",
     .help = "After it the whole process group is killed.",
     .minimum = 0.01,
     .maximum = 86'400},
};
constexpr ParamSpec kLimitKeys[] = {
    {.name = "max_bundle",
     .type = ParamType::text,
     .help = "The largest bundle that is imported, unpacked, as in \"10GiB\"."},
};
constexpr ParamSpec kStoreKeys[] = {
    {.name = "scrub",
     .type = ParamType::text,
     .default_text = "7d",
     .help = "Time in which each known-good version is read and hashed again; off: never."},
};
constexpr ParamSpec kMetricsKeys[] = {
    {.name = "textfile",
     .type = ParamType::text,
     .help = "File that the metrics are written to for a textfile collector, as in /run/metrics/modelguard.prom."},
};
constexpr ParamSpec kOsKeys[] = {
    {.name = "reboot_window",
     .type = ParamType::text,
     .help = "When an OS rollback may reboot this device, in local time, as in \"02:00-04:30\"; absent: at once."},
};
constexpr ParamSpec kGateKeys[] = {
    {.name = "script_timeout",
     .type = ParamType::duration,
     .unit = "seconds",
     .default_text = "1m",
     .help = "After it a drop-in script of the boot gate is killed, its whole process tree with it.",
     .minimum = 0.1,
     .maximum = 1'800},
};
constexpr ParamSpec kPodmanKeys[] = {
    {.name = "socket",
     .type = ParamType::text,
     .default_text = "/run/podman/podman.sock",
     .help = "podman's API; root's socket is root in disguise."},
};
constexpr ParamSpec kTopKeys[] = {
    {.name = "units", .type = ParamType::text_list, .help = "Units that manifests may name besides their model's own."},
    {.name = "addresses",
     .type = ParamType::text_list,
     .help = "Hosts or host:port beyond loopback that manifests may name."},
    {.name = "containers",
     .type = ParamType::text_list,
     .help = "Containers that manifests may name besides their model's own."},
    {.name = "images",
     .type = ParamType::text_list,
     .help = "Images, without their tags, that versions may be served from besides their model's own."},
    {.name = "podman", .type = ParamType::object, .help = "Where podman is asked.", .fields = kPodmanKeys},
    {.name = "os", .type = ParamType::object, .help = "What an OS rollback may do.", .fields = kOsKeys},
    {.name = "gate", .type = ParamType::object, .help = "The boot gate's drop-in scripts.", .fields = kGateKeys},
    {.name = "limits", .type = ParamType::object, .help = "Limits of this device.", .fields = kLimitKeys},
    {.name = "store", .type = ParamType::object, .help = "How versions are kept.", .fields = kStoreKeys},
    {.name = "metrics", .type = ParamType::object, .help = "Metrics besides the API's.", .fields = kMetricsKeys},
};
constexpr std::string_view kReadHere[] = {"commands", "keys"};

constexpr std::string_view kTextfileSuffix = ".prom";
constexpr Usec kShortestScrub = std::chrono::seconds(1);  // for a look at it working; it reads without pause then

struct SizeUnit {
    std::string_view suffix;
    double bytes;
};
constexpr std::array kSizeUnits{SizeUnit{"KiB", 0x1p10}, SizeUnit{"MiB", 0x1p20}, SizeUnit{"GiB", 0x1p30},
                                SizeUnit{"TiB", 0x1p40}};
constexpr double kMostBytes = 0x1p50;

std::optional<std::uint64_t> parse_size(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !(number > 0)) return std::nullopt;
    const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
    for (const SizeUnit& unit : kSizeUnits)
        if (suffix == unit.suffix && number * unit.bytes >= 1 && number * unit.bytes <= kMostBytes)
            return static_cast<std::uint64_t>(number * unit.bytes);
    return std::nullopt;
}

void read_command(const YamlEntry& entry, DeviceConfig& device, FindingSink& sink) {
    const std::string key = join_key("commands", entry.key);
    if (!is_valid_name(entry.key))
        sink.error(entry.line, key,
                   in_quotes(entry.key) +
                       " is not a name; expected a-z, 0-9, '_', '.' and '-', 63 at most, as in reload-digits");
    const YamlNode* map = expect_map(entry.value, key, sink);
    if (map == nullptr) return;
    const ParamMap params = params_from_yaml(*map, kCommandKeys, {}, key, sink);
    if (!has_param(params, "argv") || !has_param(params, "timeout")) return;
    sys::Command command{
        .argv = text_list_param(params, "argv"), .user = {}, .timeout = duration_param(params, "timeout")};
    const int line = params.find("argv")->second.line;
    if (command.argv.empty() || command.argv.front().empty()) {
        sink.error(
            line, key + ".argv",
            "the list is empty; expected a program and its arguments, as in [/usr/bin/systemctl, reload, digits]");
        return;
    }
    const std::string& program = command.argv.front();
    if (program.front() != '/' && program.find('/') != std::string::npos)
        sink.error(
            line, key + ".argv[0]",
            "found the relative path " + in_quotes(program) + "; expected an absolute path or a program's plain name");
    if (has_param(params, "user")) {
        command.user = text_param(params, "user");
        if (command.user.find_first_of("/: \\") != std::string::npos)
            sink.error(params.find("user")->second.line, key + ".user",
                       in_quotes(command.user) + " is not a user's name; expected one as in modelguard");
    }
    device.commands.emplace(entry.key, std::move(command));
}

void read_commands(const YamlNode& top, DeviceConfig& device, FindingSink& sink) {
    const YamlEntry* commands = top.find("commands");
    if (commands == nullptr || commands->value.kind == YamlNode::Kind::null) return;
    if (const YamlNode* map = expect_map(commands->value, "commands", sink))
        for (const YamlEntry& entry : map->entries)
            read_command(entry, device, sink);
}

/// Name to file. What the files hold is read when it is sent, so that a key can be changed.
void read_keys(const YamlNode& top, DeviceConfig& device, FindingSink& sink) {
    const YamlEntry* keys = top.find("keys");
    if (keys == nullptr || keys->value.kind == YamlNode::Kind::null) return;
    const YamlNode* map = expect_map(keys->value, "keys", sink);
    if (map == nullptr) return;
    for (const YamlEntry& entry : map->entries) {
        if (!is_valid_name(entry.key))
            sink.error(
                entry.line, join_key("keys", entry.key),
                in_quotes(entry.key) + " is not a name; expected a-z, 0-9, '_', '.' and '-', 63 at most, as in llama");
        else if (entry.value.kind != YamlNode::Kind::scalar || !entry.value.text.starts_with('/'))
            sink.error(entry.line, join_key("keys", entry.key),
                       "expected the absolute path of the file that holds the key, as in /etc/modelguard/keys/llama");
        else
            device.keys.emplace(entry.key, entry.value.text);
    }
}

void read_limits(const ParamMap& limits, DeviceConfig& device, FindingSink& sink) {
    const auto found = limits.find("max_bundle");
    if (found == limits.end()) return;
    const std::string& text = std::get<std::string>(found->second.value);
    if (const auto bytes = parse_size(text))
        device.max_bundle_bytes = *bytes;
    else
        sink.error(found->second.line, "limits.max_bundle",
                   "found " + in_quotes(text) + "; expected a number and a unit (KiB, MiB, GiB, TiB), as in 10GiB");
}

void read_store(const ParamMap& store, DeviceConfig& device, FindingSink& sink) {
    const auto found = store.find("scrub");
    if (found == store.end()) return;
    const std::string& text = std::get<std::string>(found->second.value);
    const Result<Usec> period = text == "off" ? Result<Usec>(Usec{0}) : parse_duration(text);
    if (period && (text == "off" || *period >= kShortestScrub))
        device.scrub_period = *period;
    else
        sink.error(found->second.line, "store.scrub",
                   "found " + in_quotes(text) + "; expected off, or a duration of 1s at least, as in 7d");
}

void read_os(const ParamMap& os, DeviceConfig& device, FindingSink& sink) {
    const auto found = os.find("reboot_window");
    if (found == os.end()) return;
    const std::string& text = std::get<std::string>(found->second.value);
    device.reboot_window = parse_reboot_window(text);
    if (!device.reboot_window)
        sink.error(found->second.line, "os.reboot_window",
                   "found " + in_quotes(text) + "; expected two times of the day, as in \"02:00-04:30\"");
}

void read_metrics(const ParamMap& metrics, DeviceConfig& device, FindingSink& sink) {
    const auto found = metrics.find("textfile");
    if (found == metrics.end()) return;
    device.metrics_textfile = std::get<std::string>(found->second.value);
    if (!device.metrics_textfile.starts_with('/') || !device.metrics_textfile.ends_with(kTextfileSuffix))
        sink.error(found->second.line, "metrics.textfile",
                   "found " + in_quotes(device.metrics_textfile) +
                       "; expected an absolute path that ends with .prom, which collectors look for, as in "
                       "/run/metrics/modelguard.prom");
}
}  // namespace

std::optional<DeviceConfig> parse_device_config(std::string_view text, const std::string& file,
                                                std::vector<Finding>& findings) {
    FindingSink sink(file, findings);
    const auto top = parse_yaml_tree(text, WhenEmpty::is_empty_map, sink);
    if (!top) return std::nullopt;
    DeviceConfig device;
    const ParamMap params = params_from_yaml(*top, kTopKeys, kReadHere, "", sink);
    read_commands(*top, device, sink);
    read_keys(*top, device, sink);
    if (has_param(params, "units")) device.units = text_list_param(params, "units");
    if (has_param(params, "addresses")) device.addresses = text_list_param(params, "addresses");
    if (has_param(params, "containers")) device.containers = text_list_param(params, "containers");
    if (has_param(params, "podman")) device.podman_socket = text_param(object_param(params, "podman"), "socket");
    if (has_param(params, "images")) device.images = text_list_param(params, "images");
    if (has_param(params, "os")) read_os(object_param(params, "os"), device, sink);
    if (has_param(params, "gate"))
        device.script_timeout = duration_param(object_param(params, "gate"), "script_timeout");
    if (has_param(params, "limits")) read_limits(object_param(params, "limits"), device, sink);
    if (has_param(params, "store")) read_store(object_param(params, "store"), device, sink);
    if (has_param(params, "metrics")) read_metrics(object_param(params, "metrics"), device, sink);
    if (sink.has_error()) return std::nullopt;
    return device;
}

}  // namespace modelguard::daemon
