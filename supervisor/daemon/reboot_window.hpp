#pragma once
// When this device may be rebooted: `os: {reboot_window: "02:00-04:30"}` of modelguard.yaml, in local time, since that
// is when its people sleep. Pure.

#include <ctime>
#include <optional>
#include <string_view>

#include "supervisor/base/time.hpp"

namespace modelguard::daemon {

/// A part of each day. `from` may be after `to`: then it goes over midnight.
struct RebootWindow {
    std::chrono::minutes from{0}, to{0};  ///< since midnight, 0 to 1439; `to` itself is outside

    bool operator==(const RebootWindow&) const = default;
};

/// "02:00-04:30"; nullopt for anything else, and for a window without a minute in it.
std::optional<RebootWindow> parse_reboot_window(std::string_view text);

/// Until the window begins; 0: it is open.
Usec until_open(const RebootWindow& window, const std::tm& local_now);

}  // namespace modelguard::daemon
