#include "supervisor/daemon/reboot_window.hpp"

#include <charconv>

namespace modelguard::daemon {

namespace {
using std::chrono::minutes;
constexpr minutes kDay{24 * 60};

std::optional<int> two_digits(std::string_view text, int end) {
    int value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.size() != 2 || error != std::errc{} || rest != text.data() + 2 || value < 0 || value >= end)
        return std::nullopt;
    return value;
}

/// "02:30"
std::optional<minutes> time_of_day(std::string_view text) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    const auto hour = two_digits(text.substr(0, 2), 24), minute = two_digits(text.substr(3), 60);
    if (!hour || !minute) return std::nullopt;
    return minutes(*hour * 60 + *minute);
}
}  // namespace

std::optional<RebootWindow> parse_reboot_window(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto from = time_of_day(text.substr(0, dash)), to = time_of_day(text.substr(dash + 1));
    if (!from || !to || *from == *to) return std::nullopt;
    return RebootWindow{*from, *to};
}

Usec until_open(const RebootWindow& window, const std::tm& local_now) {
    const minutes now(local_now.tm_hour * 60 + local_now.tm_min);
    const minutes length = (window.to - window.from + kDay) % kDay;
    const minutes into = (now - window.from + kDay) % kDay;
    if (into < length) return Usec{0};
    return kDay - into - std::chrono::seconds(local_now.tm_sec);
}

}  // namespace modelguard::daemon
