#pragma once
// The page that Prometheus scrapes: families, labels and values as text, in its own format and in OpenMetrics. Pure.
// Not for what is counted: metrics.
// Source: Prometheus text exposition format 0.0.4; OpenMetrics 1.0.0.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelguard::daemon {

enum class MetricsFormat { prometheus, openmetrics };
/// What an Accept header asks for: OpenMetrics where it is named with a weight above zero, else Prometheus text.
MetricsFormat metrics_format(std::string_view accept);
std::string_view content_type(MetricsFormat format);

enum class MetricType { gauge, counter, info, histogram };

/// One metric by its whole name, `_total` and `_info` included. Views of static storage.
struct MetricFamily {
    std::string_view name;
    MetricType type{MetricType::gauge};
    std::string_view help;
    std::string_view unit{};  ///< "seconds", "ratio": then the name ends with it
};

/// Counts of values by upper bounds that do not change.
class Histogram {
  public:
    /// `bounds` ascend and outlive this.
    explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size()) {}
    void add(double value);

    std::span<const double> bounds() const { return bounds_; }
    std::uint64_t at_most(std::size_t bound) const { return counts_[bound]; }
    std::uint64_t count() const { return count_; }
    double sum() const { return sum_; }

  private:
    std::span<const double> bounds_;
    std::vector<std::uint64_t> counts_;  // cumulative
    std::uint64_t count_{0};
    double sum_{0};
};

class MetricsText {
  public:
    using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

    explicit MetricsText(MetricsFormat format) : format_(format) {}

    /// The samples that follow are of this family. A family without any leaves no trace.
    void begin(const MetricFamily& family);
    /// A label with an empty value is left out, as Prometheus takes it. Values may be any bytes: quoted, and U+FFFD for
    /// what is no UTF-8, since one such byte would make the whole page unreadable.
    void sample(const Labels& labels, double value);
    void sample(const Labels& labels, const Histogram& values);
    /// The whole page; nothing may follow.
    std::string take();

  private:
    void introduce();
    void line(std::string_view suffix, const Labels& labels, double value, double bound);
    void line(std::string_view suffix, const Labels& labels, double value);

    MetricsFormat format_;
    MetricFamily family_;
    bool introduced_{false};
    std::string text_;
};

}  // namespace modelguard::daemon
