// `metrics`: a threshold on a metric that a server of this device exposes in the Prometheus text format, or on how fast
// a counter grows.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "checks/band.hpp"
#include "checks/prometheus_text.hpp"
#include "checks/run.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_metrics;

namespace {

constexpr std::string_view kReductions[] = {"max", "min", "sum"};
constexpr std::array kParams{
    ParamSpec{.name = "url", .required = true, .help = "The metrics page, as in http://127.0.0.1:8002/metrics."},
    ParamSpec{.name = "metric",
              .required = true,
              .help = "The metric, with labels that must match, as in requests_waiting{model=\"digits\"}."},
    ParamSpec{.name = "reduce",
              .default_text = "max",
              .help = "What becomes of several matching series.",
              .choices = kReductions},
    ParamSpec{.name = "over",
              .type = ParamType::duration,
              .unit = "seconds",
              .help = "For counters: judge the growth a second between two scrapes so far apart.",
              .minimum = 0.1,
              .maximum = 600},
    kMinParam,
    kMaxParam,
};
constexpr std::size_t kMaxPage = 16u << 20;
constexpr Usec kTimeout = std::chrono::seconds(5);
constexpr int kAttempts = 3;
constexpr Usec kPause = std::chrono::milliseconds(100);

struct MetricsParams {
    std::string url, text, reduce;
    Selector selector;
    Usec over{0};  // 0: the value itself
    Band band;
};

class MetricsRun final : public Run {
  public:
    MetricsRun(const CheckContext& context, Done done, const MetricsParams& params)
        : Run(context, std::move(done)), params_(params) {
        scrape(1);
    }

  private:
    void scrape(int attempt) {
        ++probes_;
        sys::HttpRequest request{.url = params_.url, .timeout = kTimeout, .max_body = kMaxPage};
        request.headers = {"Accept: text/plain;version=0.0.4"};
        exchange(std::move(request), [this, attempt](const Result<sys::HttpReply>& reply) {
            if (!reply && attempt < kAttempts) return after(kPause * attempt, [this, attempt] { scrape(attempt + 1); });
            read(reply);
        });
    }

    /// What cannot be measured says nothing about the version: never a failure.
    void give_up(std::string code, const std::string& why) {
        CheckOutcome outcome = inconclusive(std::move(code), fmt::format("{}: {}", params_.url, why));
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    void read(const Result<sys::HttpReply>& reply) {
        if (!reply) return give_up("unreachable", plain_line(reply.error().what));
        if (reply->status != 200) return give_up("status", fmt::format("HTTP {}", reply->status));
        auto values = select_samples(reply->body, params_.selector);
        if (!values) return give_up("malformed_reply", values.error().what);
        std::erase_if(*values, [](double value) { return std::isnan(value); });
        if (values->empty()) return give_up("no_such_metric", fmt::format("no value of {}", params_.text));
        const double value = params_.reduce == "sum"   ? std::accumulate(values->begin(), values->end(), 0.0)
                             : params_.reduce == "min" ? *std::ranges::min_element(*values)
                                                       : *std::ranges::max_element(*values);
        if (params_.over.count() == 0) return conclude(params_.text, value);
        if (!first_) {
            first_ = value;
            return after(params_.over, [this] { scrape(1); });
        }
        // A counter that fell was begun anew by a restart of its server.
        const double grown = value >= *first_ ? value - *first_ : value;
        conclude(fmt::format("the growth of {} a second", params_.text),
                 grown / std::chrono::duration<double>(params_.over).count());
    }

    void conclude(const std::string& what, double value) {
        CheckOutcome outcome = judge(params_.band, what, value);
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    const MetricsParams& params_;
    std::optional<double> first_;
    std::int64_t probes_{0};
};

class Metrics final : public Check {
  public:
    explicit Metrics(MetricsParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<MetricsRun>(context, std::move(done), params_);
    }

  private:
    MetricsParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    MetricsParams compiled;
    compiled.url = text_param(params, "url");
    compiled.text = text_param(params, "metric");
    compiled.reduce = text_param(params, "reduce");
    if (has_param(params, "over")) compiled.over = duration_param(params, "over");
    MG_TRY(compiled.selector, with_context(parse_selector(compiled.text), "metric"));
    MG_TRY(compiled.band, band_param(params, ""));
    return std::make_unique<Metrics>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_metrics{
    .name = "metrics",
    .summary = "A metric of a server of this device, or the growth of a counter, is within its limits.",
    .params = kParams,
    .make = make,
    .needs_server = false,
    .late = true,
};

}  // namespace modelguard::checks
