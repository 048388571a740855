#pragma once
// A number and the limits it must keep, for kinds that measure one thing. Not for statistics: checks/evidence.

#include <optional>
#include <string>
#include <string_view>

#include "checks/check.hpp"

namespace modelguard::checks {

/// A limit as an integrator writes it: "85", "85%", "512MiB", "80C", "0.2". In `unit` ("MiB", "%", "°C" or none; sizes
/// become MiB). invalid_config names what was expected.
Result<double> parse_limit(std::string_view text, std::string_view unit);

struct Band {
    std::optional<double> min, max;  ///< inclusive
    std::string unit;
};
/// The limits `min` and `max` of a kind's parameters, texts both. invalid_config where neither is there, where one
/// cannot be read, or where no number can keep both.
Result<Band> band_param(const ParamMap& params, std::string_view unit);

/// pass (code ok), or fail (code too_low, too_high), with `what` as the subject of the sentence.
CheckOutcome judge(const Band& band, std::string_view what, double measured);

inline constexpr ParamSpec kMinParam{.name = "min", .help = "The smallest value that passes, as in 200MiB or 0.5."};
inline constexpr ParamSpec kMaxParam{.name = "max", .help = "The largest value that passes, as in 85C, 90% or 1GiB."};

}  // namespace modelguard::checks
