#pragma once
// Time as data. Policy uses CLOCK_BOOTTIME instants only; the wall clock is for display.

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard {

using Usec = std::chrono::microseconds;

/// A point on CLOCK_BOOTTIME, comparable within one boot only.
struct Instant {
    std::int64_t boottime_usec{0};

    auto operator<=>(const Instant&) const = default;
    Instant operator+(Usec d) const { return {boottime_usec + d.count()}; }
    Usec operator-(Instant other) const { return Usec{boottime_usec - other.boottime_usec}; }
};

/// "50ms", "1.5s", "10m", "2h", "1d", "250us": a number and one unit; never negative, at most 10 years.
/// invalid_config names the text and an example otherwise ("10" alone is refused: the unit is part of the value).
Result<Usec> parse_duration(std::string_view text);

/// The shortest exact form with one unit: "50ms", "1.5s", "10m".
std::string format_duration(Usec value);

/// For people, two units at most: "3h 12m", "45s", "820ms".
std::string format_age(Usec value);

}  // namespace modelguard
