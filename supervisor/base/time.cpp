#include "supervisor/base/time.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace modelguard {

namespace {
struct Unit {
    std::string_view suffix;
    std::int64_t usec;
};
// Longest suffix first where one is the tail of another ("us", "ms" before "s").
constexpr std::array kUnits{Unit{"us", 1},         Unit{"ms", 1'000},        Unit{"s", 1'000'000},
                            Unit{"m", 60'000'000}, Unit{"h", 3'600'000'000}, Unit{"d", 86'400'000'000}};
constexpr double kMaxUsec = 10.0 * 366 * 86'400'000'000.0;

std::unexpected<Error> bad(std::string_view text, const char* why) {
    return fail(ErrorKind::invalid_config,
                "'" + std::string(text.substr(0, 40)) + "' is not a duration: " + why +
                    "; expected a number and a unit (us, ms, s, m, h, d), as in 50ms or 10m");
}
}  // namespace

Result<Usec> parse_duration(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number)) return bad(text, "no number");
    if (number < 0) return bad(text, "negative");
    const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (suffix.empty()) return bad(text, "the unit is missing");
    for (const Unit& unit : kUnits) {
        if (suffix != unit.suffix) continue;
        const double usec = number * static_cast<double>(unit.usec);
        if (usec > kMaxUsec) return bad(text, "more than ten years");
        return Usec{std::llround(usec)};
    }
    return bad(text, "unknown unit");
}

std::string format_duration(Usec value) {
    const std::int64_t usec = value.count();
    if (usec == 0) return "0s";
    for (auto unit = kUnits.rbegin(); unit != kUnits.rend(); ++unit) {
        if (usec < unit->usec) continue;
        if (usec % unit->usec == 0) return std::to_string(usec / unit->usec) + std::string(unit->suffix);
        // One exact decimal reads better than a smaller unit: 1.5s rather than 1500ms.
        if (usec * 10 % unit->usec == 0)
            return std::to_string(usec / unit->usec) + "." + std::to_string(usec * 10 / unit->usec % 10) +
                   std::string(unit->suffix);
    }
    return std::to_string(usec) + "us";
}

std::string format_age(Usec value) {
    const std::int64_t usec = value.count() < 0 ? 0 : value.count();
    if (usec < 1'000) return std::to_string(usec) + "us";
    if (usec < 1'000'000) return std::to_string(usec / 1'000) + "ms";
    const std::int64_t seconds = usec / 1'000'000;
    if (seconds < 60) return std::to_string(seconds) + "s";
    const auto two = [](std::int64_t a, const char* ua, std::int64_t b, const char* ub) {
        return std::to_string(a) + ua + (b ? " " + std::to_string(b) + ub : std::string());
    };
    if (seconds < 3600) return two(seconds / 60, "m", seconds % 60, "s");
    if (seconds < 86'400) return two(seconds / 3600, "h", seconds / 60 % 60, "m");
    return two(seconds / 86'400, "d", seconds / 3600 % 24, "h");
}

}  // namespace modelguard
