#include "supervisor/daemon/metrics_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "supervisor/base/text.hpp"

namespace modelguard::daemon {

namespace {
constexpr std::string_view kOpenMetrics = "application/openmetrics-text";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr double kNoBound = std::numeric_limits<double>::quiet_NaN();

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    return {digits.data(), end};
}

/// Prometheus tells "1" and "1.0" apart; OpenMetrics wants the latter, so that both formats name one series.
std::string bound_text(double bound) {
    std::string text = number(bound);
    if (text.find_first_of(".eI") == std::string::npos) text += ".0";
    return text;
}

std::string escaped(std::string_view text, bool quotes) {
    std::string safe;
    while (!text.empty()) {
        const CodePoint point = next_code_point(text);
        const std::string_view bytes = text.substr(0, point.length);
        text.remove_prefix(bytes.size());
        if (!point.valid)
            safe += kReplacement;
        else if (bytes == "\\")
            safe += "\\\\";
        else if (bytes == "\n")
            safe += "\\n";
        else if (bytes == "\"" && quotes)
            safe += "\\\"";
        else
            safe += bytes;
    }
    return safe;
}

std::string_view without(std::string_view name, std::string_view suffix) {
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    return name;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The part before `separator`, which is taken off `text` with it.
std::string_view take_part(std::string_view& text, char separator) {
    const auto at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return part;
}

std::string_view type_word(MetricType type, MetricsFormat format) {
    switch (type) {
        case MetricType::gauge: return "gauge";
        case MetricType::counter: return "counter";
        case MetricType::info: return format == MetricsFormat::openmetrics ? "info" : "gauge";
        case MetricType::histogram: return "histogram";
    }
    return "unknown";
}
}  // namespace

MetricsFormat metrics_format(std::string_view accept) {
    while (!accept.empty()) {
        std::string_view range = take_part(accept, ',');
        if (trimmed(take_part(range, ';')) != kOpenMetrics) continue;
        bool refused = false;
        while (!range.empty()) {
            const std::string_view parameter = trimmed(take_part(range, ';'));
            if (!parameter.starts_with("q=")) continue;
            refused = parameter.find_first_not_of("0.", 2) == std::string_view::npos;
        }
        if (!refused) return MetricsFormat::openmetrics;
    }
    return MetricsFormat::prometheus;
}

std::string_view content_type(MetricsFormat format) {
    return format == MetricsFormat::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                                : "text/plain; version=0.0.4; charset=utf-8";
}

void Histogram::add(double value) {
    for (std::size_t i = 0; i < bounds_.size(); ++i)
        if (value <= bounds_[i]) ++counts_[i];
    ++count_;
    sum_ += value;
}

void MetricsText::begin(const MetricFamily& family) {
    family_ = family;
    introduced_ = false;
}

void MetricsText::introduce() {
    if (introduced_) return;
    introduced_ = true;
    const bool open = format_ == MetricsFormat::openmetrics;
    // OpenMetrics names the family without what its type adds to each sample.
    const std::string name(open ? without(without(family_.name, "_total"), "_info") : family_.name);
    text_ += "# HELP " + name + " " + escaped(family_.help, open) + "\n";
    text_ += "# TYPE " + name + " " + std::string(type_word(family_.type, format_)) + "\n";
    if (open && !family_.unit.empty()) text_ += "# UNIT " + name + " " + std::string(family_.unit) + "\n";
}

void MetricsText::line(std::string_view suffix, const Labels& labels, double value, double bound) {
    std::string inside;
    const auto add = [&](std::string_view name, std::string_view text) {
        if (!text.empty())
            inside += (inside.empty() ? "" : ",") + std::string(name) + "=\"" + escaped(text, true) + "\"";
    };
    for (const auto& [name, text] : labels)
        add(name, text);
    if (!std::isnan(bound)) add("le", bound_text(bound));
    text_ += family_.name;
    text_ += suffix;
    if (!inside.empty()) text_ += "{" + inside + "}";
    text_ += " " + number(value) + "\n";
}

void MetricsText::line(std::string_view suffix, const Labels& labels, double value) {
    line(suffix, labels, value, kNoBound);
}

void MetricsText::sample(const Labels& labels, double value) {
    introduce();
    line("", labels, value);
}

void MetricsText::sample(const Labels& labels, const Histogram& values) {
    introduce();
    for (std::size_t i = 0; i < values.bounds().size(); ++i)
        line("_bucket", labels, static_cast<double>(values.at_most(i)), values.bounds()[i]);
    const auto count = static_cast<double>(values.count());
    line("_bucket", labels, count, std::numeric_limits<double>::infinity());
    line("_sum", labels, values.sum());
    line("_count", labels, count);
}

std::string MetricsText::take() {
    if (format_ == MetricsFormat::openmetrics) text_ += "# EOF\n";
    return std::move(text_);
}

}  // namespace modelguard::daemon
