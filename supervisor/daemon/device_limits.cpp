#include "supervisor/daemon/device_limits.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "supervisor/daemon/findings.hpp"

namespace modelguard::daemon {

namespace {
struct Endpoint {
    std::string_view host;  // with its brackets where it is IPv6
    int port{0};
};

bool is_host_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

std::optional<Endpoint> split_endpoint(std::string_view text) {
    Endpoint endpoint;
    if (text.starts_with("http://")) {
        text.remove_prefix(7);
        endpoint.port = 80;
    } else if (text.starts_with("https://")) {
        text.remove_prefix(8);
        endpoint.port = 443;
    } else {
        return std::nullopt;
    }
    std::size_t host_size = 0;
    if (text.starts_with('[')) {
        const auto bracket = text.find(']');
        if (bracket == std::string_view::npos) return std::nullopt;
        const std::string_view address = text.substr(1, bracket - 1);
        if (address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return std::nullopt;
        host_size = bracket + 1;
    } else {
        while (host_size < text.size() && is_host_character(text[host_size]))
            ++host_size;
    }
    endpoint.host = text.substr(0, host_size);
    if (endpoint.host.size() < 1 || endpoint.host == "[]") return std::nullopt;
    std::string_view rest = text.substr(host_size);
    if (rest.empty()) return endpoint;
    rest.remove_prefix(1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), endpoint.port);
    if (text[host_size] != ':' || error != std::errc{} || end != rest.data() + rest.size()) return std::nullopt;
    if (endpoint.port < 1 || endpoint.port > 65535) return std::nullopt;
    return endpoint;
}

bool is_loopback(std::string_view host) {
    if (host == "localhost" || host == "[::1]") return true;
    // 127.0.0.0/8 with all four parts written: "127.1" and "127.evil.example" are other things.
    int parts = 0;
    const char* at = host.data();
    const char* const last = host.data() + host.size();
    while (true) {
        unsigned value = 0;
        const auto [end, error] = std::from_chars(at, last, value);
        if (error != std::errc{} || value > 255 || (parts == 0 && value != 127)) return false;
        ++parts;
        if (end == last) return parts == 4;
        if (*end != '.' || parts == 4) return false;
        at = end + 1;
    }
}

std::string refuse_host(const Endpoint& endpoint, std::string_view text, const DeviceConfig& device) {
    if (is_loopback(endpoint.host)) return {};
    const std::string with_port = std::string(endpoint.host) + ":" + std::to_string(endpoint.port);
    for (const std::string& allowed : device.addresses)
        if (allowed == with_port || allowed == endpoint.host) return {};
    return in_quotes(text) + " is not on this device's loopback; expected 127.0.0.1, [::1] or localhost, or " +
           in_quotes(with_port) + " listed under `addresses:` in modelguard.yaml";
}
}  // namespace

std::string refuse_endpoint(std::string_view text, const DeviceConfig& device) {
    const auto endpoint = split_endpoint(text);
    if (!endpoint)
        return "found " + in_quotes(text) +
               "; expected http://host:port or https://host:port and no path, as in http://127.0.0.1:8080";
    return refuse_host(*endpoint, text, device);
}

std::string refuse_url(std::string_view text, const DeviceConfig& device) {
    const auto scheme = text.find("://");
    const auto path = scheme == std::string_view::npos ? scheme : text.find_first_of("/?#", scheme + 3);
    const auto endpoint = split_endpoint(text.substr(0, path));
    if (!endpoint) return "found " + in_quotes(text) + "; expected a URL, as in http://127.0.0.1:8080/health";
    return refuse_host(*endpoint, text, device);
}

std::string refuse_address(std::string_view text, const DeviceConfig& device) {
    const std::string url = "http://" + std::string(text);
    const auto endpoint = split_endpoint(url);
    if (!endpoint || !text.ends_with(std::to_string(endpoint->port)))
        return "found " + in_quotes(text) + "; expected host:port, as in 127.0.0.1:8001";
    return refuse_host(*endpoint, text, device);
}

std::string refuse_unit(std::string_view unit, std::string_view model, const DeviceConfig& device) {
    const std::string own = std::string(model) + ".service";
    if (unit == own || std::ranges::find(device.units, unit) != device.units.end()) return {};
    if (unit == model) return "found " + in_quotes(unit) + "; expected the unit's whole name, " + own;
    std::vector<std::string_view> known(device.units.begin(), device.units.end());
    known.push_back(own);
    return "this device does not allow the unit " + in_quotes(unit) + "; expected " + own +
           " or a unit listed under `units:` in modelguard.yaml" + did_you_mean(unit, known);
}

std::string refuse_container(std::string_view container, std::string_view model, const DeviceConfig& device) {
    if (container == model || std::ranges::find(device.containers, container) != device.containers.end()) return {};
    std::vector<std::string_view> known(device.containers.begin(), device.containers.end());
    known.push_back(model);
    return "this device does not allow the container " + in_quotes(container) + "; expected " + std::string(model) +
           " or a container listed under `containers:` in modelguard.yaml" + did_you_mean(container, known);
}

std::string refuse_image(std::string_view reference, std::string_view model, const DeviceConfig& device) {
    std::string_view repository = reference.substr(0, reference.find('@'));
    // A colon before the last slash is a registry's port.
    if (const auto colon = repository.rfind(':');
        colon != std::string_view::npos && repository.find('/', colon) == std::string_view::npos)
        repository = repository.substr(0, colon);
    const std::string own = "localhost/modelguard/" + std::string(model);
    if (repository == own || std::ranges::find(device.images, repository) != device.images.end()) return {};
    std::vector<std::string_view> known(device.images.begin(), device.images.end());
    known.push_back(own);
    return "this device does not allow the image " + in_quotes(reference) + "; expected " + own +
           " or an image listed, without its tag, under `images:` in modelguard.yaml" + did_you_mean(repository, known);
}

std::string refuse_key(std::string_view name, const DeviceConfig& device) {
    if (device.keys.contains(name)) return {};
    std::vector<std::string_view> known;
    for (const auto& [key, unused] : device.keys)
        known.push_back(key);
    return "this device has no key " + in_quotes(name) +
           "; add it to modelguard.yaml with the file that holds it, as in `keys: {NAME: /etc/modelguard/keys/NAME}`" +
           did_you_mean(name, known);
}

std::string refuse_command(std::string_view name, const DeviceConfig& device) {
    if (device.commands.contains(name)) return {};
    std::vector<std::string_view> known;
    for (const auto& [command, unused] : device.commands)
        known.push_back(command);
    return "this device has no command " + in_quotes(name) + "; add the key commands." +
           (is_valid_name(name) ? std::string(name) : "NAME") +
           " to modelguard.yaml, as in `commands: {NAME: {argv: [/path, argument]}}`" + did_you_mean(name, known);
}

}  // namespace modelguard::daemon
