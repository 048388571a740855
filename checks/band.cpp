#include "checks/band.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "checks/run.hpp"

namespace modelguard::checks {
namespace {

struct Suffix {
    std::string_view text, unit;
    double factor;
};
constexpr std::array kSuffixes{Suffix{"KiB", "MiB", 0x1p-10}, Suffix{"MiB", "MiB", 1}, Suffix{"GiB", "MiB", 0x1p10},
                               Suffix{"TiB", "MiB", 0x1p20},  Suffix{"%", "%", 1},     Suffix{"°C", "°C", 1},
                               Suffix{"C", "°C", 1}};

std::string_view example(std::string_view unit) {
    if (unit == "MiB") return "512MiB";
    if (unit == "%") return "85%";
    if (unit == "°C") return "80C";
    return "0.5";
}

std::string amount(double value, std::string_view unit) {
    return fmt::format("{:.6g}{}{}", value, unit.empty() || unit == "%" ? "" : " ", unit);
}

}  // namespace

Result<double> parse_limit(std::string_view text, std::string_view unit) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    const std::string_view written(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (error == std::errc{} && std::isfinite(value)) {
        // A bare number is clear where there is one unit to count in; of memory nobody can tell.
        if (written.empty() && unit != "MiB") return value;
        for (const Suffix& suffix : kSuffixes)
            if (written == suffix.text && unit == suffix.unit) return value * suffix.factor;
    }
    return fail(ErrorKind::invalid_config,
                fmt::format("found '{}'; expected a number{} as in {}", text,
                            unit.empty() ? std::string() : fmt::format(" of {},", unit), example(unit)));
}

Result<Band> band_param(const ParamMap& params, std::string_view unit) {
    Band band{.min = {}, .max = {}, .unit = std::string(unit)};
    for (const auto& [name, limit] : {std::pair{"min", &band.min}, std::pair{"max", &band.max}}) {
        if (!has_param(params, name)) continue;
        MG_TRY(*limit, with_context(parse_limit(text_param(params, name), unit), name));
    }
    if (!band.min && !band.max)
        return fail(ErrorKind::invalid_config, "expected min or max; without either nothing could fail");
    if (band.min && band.max && *band.min > *band.max)
        return fail(ErrorKind::invalid_config, fmt::format("min ({}) is above max ({}), so that nothing could pass",
                                                           amount(*band.min, unit), amount(*band.max, unit)));
    return band;
}

CheckOutcome judge(const Band& band, std::string_view what, double measured) {
    CheckOutcome outcome;
    const std::string value = amount(measured, band.unit);
    if (band.max && !(measured <= *band.max)) {
        outcome = failed("too_high", fmt::format("{} is {}, more than {}", what, value, amount(*band.max, band.unit)));
        outcome.limit = band.max;
    } else if (band.min && !(measured >= *band.min)) {
        outcome = failed("too_low", fmt::format("{} is {}, less than {}", what, value, amount(*band.min, band.unit)));
        outcome.limit = band.min;
    } else {
        outcome = {.verdict = core::VerdictKind::pass, .code = "ok", .text = fmt::format("{} is {}", what, value)};
        outcome.limit = band.max ? band.max : band.min;
    }
    outcome.measured = measured;
    outcome.unit = band.unit;
    outcome.probes = 1;
    return outcome;
}

}  // namespace modelguard::checks
