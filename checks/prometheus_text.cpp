#include "checks/prometheus_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "supervisor/base/text.hpp"

namespace modelguard::checks {
namespace {

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

void skip_blanks(std::string_view& text) { text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size())); }

/// A name at the front; empty where there is none.
std::string_view take_name(std::string_view& text) {
    const auto end = std::ranges::find_if_not(text, is_name_character);
    const std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    if (!name.empty() && name.front() >= '0' && name.front() <= '9') return {};
    text.remove_prefix(name.size());
    return name;
}

bool take(std::string_view& text, char wanted) {
    if (!text.starts_with(wanted)) return false;
    text.remove_prefix(1);
    return true;
}

/// A text in double quotes, with \\, \" and \n.
std::optional<std::string> take_quoted(std::string_view& text) {
    if (!take(text, '"')) return std::nullopt;
    std::string value;
    while (!text.empty() && text.front() != '"') {
        if (take(text, '\\')) {
            if (text.empty()) return std::nullopt;
            value += text.front() == 'n' ? '\n' : text.front();
        } else {
            value += text.front();
        }
        text.remove_prefix(1);
    }
    if (!take(text, '"')) return std::nullopt;
    return value;
}

/// `name{label="value", …}` at the front.
std::optional<Selector> take_series(std::string_view& text) {
    Selector series{.name = std::string(take_name(text)), .labels = {}};
    if (series.name.empty()) return std::nullopt;
    skip_blanks(text);
    if (!take(text, '{')) return series;
    skip_blanks(text);
    while (!take(text, '}')) {
        const std::string_view label = take_name(text);
        skip_blanks(text);
        if (label.empty() || !take(text, '=')) return std::nullopt;
        skip_blanks(text);
        auto value = take_quoted(text);
        if (!value) return std::nullopt;
        series.labels.emplace_back(label, std::move(*value));
        skip_blanks(text);
        if (take(text, ',')) skip_blanks(text);
    }
    skip_blanks(text);
    return series;
}

bool holds(const Selector& series, const Selector& wanted) {
    return series.name == wanted.name && std::ranges::all_of(wanted.labels, [&](const auto& label) {
               return std::ranges::find(series.labels, label) != series.labels.end();
           });
}

std::optional<double> take_value(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);  // NaN and Inf too
    const bool whole = end == text.data() + text.size() || *end == ' ' || *end == '\t' || *end == '\r';
    if (error != std::errc{} || !whole) return std::nullopt;
    return value;
}

}  // namespace

Result<Selector> parse_selector(std::string_view text) {
    std::string_view rest = text;
    const auto selector = take_series(rest);
    if (!selector || !rest.empty())
        return fail(ErrorKind::invalid_config,
                    fmt::format("found '{}'; expected a metric's name, with labels where they matter, as in "
                                "requests_waiting{{model=\"digits\"}}",
                                printable_name(text)));
    return *selector;
}

Result<std::vector<double>> select_samples(std::string_view page, const Selector& selector) {
    std::vector<double> values;
    for (int number = 1; !page.empty(); ++number) {
        const std::string_view whole = page.substr(0, page.find('\n'));
        page.remove_prefix(std::min(page.size(), whole.size() + 1));
        std::string_view line = whole;
        skip_blanks(line);
        if (line.empty() || line.front() == '#' || line.front() == '\r') continue;
        const auto series = take_series(line);
        const auto value = series ? take_value(line) : std::nullopt;
        if (!value)
            return fail(ErrorKind::malformed_reply,
                        fmt::format("line {} is not a sample: {}", number, plain_line(whole, 80)));
        if (holds(*series, selector)) values.push_back(*value);
    }
    return values;
}

}  // namespace modelguard::checks
