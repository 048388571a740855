// `latency`: a percentile over a fixed number of requests, one at a time on a kept connection, against a limit and
// against the LKG's on the same inputs.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "checks/evidence/summary.hpp"
#include "checks/run.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_latency;

namespace {

using std::chrono::seconds;

constexpr int kWarmUp = 5;  // lazy loading, caches and the connection itself
constexpr double kMaxErrorShare = 0.05;
constexpr int kHangsInARow = 3;
/// A request is given up at this many times the limit: it has exceeded it whatever comes.
constexpr int kGiveUpFactor = 10;
constexpr Usec kShortestTimeout = seconds(1);
constexpr Usec kLongestTimeout = seconds(60);
constexpr Usec kTimeoutWithoutLimit = seconds(10);
constexpr Usec kStreamTimeout = seconds(30);  // how many tokens come is the model's affair, so the limit does not tell

constexpr std::array<std::string_view, 3> kMeasures{"total", "first_token", "per_token"};
enum class Measure { total, first_token, per_token };  // in the order of kMeasures

constexpr std::array kParams{
    kCanaryParam,
    ParamSpec{.name = "of",
              .default_text = "total",
              .help =
                  "What is measured of a request: all of it, or of a streamed answer the time to its first token, or "
                  "the time per token after it.",
              .choices = kMeasures},
    ParamSpec{.name = "percentile",
              .type = ParamType::number,
              .unit = "percent",
              .default_text = "99",
              .help = "Which percentile (nearest rank) is judged.",
              .minimum = 1,
              .maximum = 99.9},
    ParamSpec{.name = "max",
              .type = ParamType::duration,
              .help = "The percentile must not be above this.",
              .minimum = 0.000001,
              .maximum = 3600},
    ParamSpec{.name = "max_ratio",
              .type = ParamType::number,
              .unit = "ratio",
              .help = "The percentile must not be above this many times the LKG's on the same inputs.",
              .minimum = 1,
              .maximum = 1000},
    ParamSpec{.name = "samples",
              .type = ParamType::integer,
              .unit = "requests",
              .default_text = "200",
              .help = "How many requests are measured, after a warm-up of 5.",
              .minimum = 20,
              .maximum = 10000},
    kInputParam,
    kOutputParam,
};

struct LatencyParams {
    InferParams infer;
    Measure of{Measure::total};
    double percentile{99};
    std::int64_t samples{200};
    std::optional<Usec> max;
    std::optional<double> max_ratio;
};

std::string_view name_of(Measure of) { return kMeasures[static_cast<std::size_t>(of)]; }

/// What the check measures of an answered request; nullopt: the answer does not tell.
std::optional<Usec> measure(Measure of, const Probe& probe) {
    // What exceeded its time exceeds every part of it.
    if (of == Measure::total || probe.timed_out) return probe.took;
    const auto& streamed = probe.answer.streamed;
    if (!streamed) return std::nullopt;
    if (of == Measure::first_token) return streamed->first;
    if (streamed->tokens < 2) return std::nullopt;
    return (streamed->last - streamed->first) / (streamed->tokens - 1);
}

double to_ms(Usec value) { return std::chrono::duration<double, std::milli>(value).count(); }

/// "12.4 ms" with three significant digits at least.
std::string format_ms(Usec value) {
    const double ms = to_ms(value);
    return ms < 10    ? fmt::format("{:.2f} ms", ms)
           : ms < 100 ? fmt::format("{:.1f} ms", ms)
                      : fmt::format("{:.0f} ms", ms);
}

/// The LKG's percentile, if it was measured on the same inputs with the same percentile.
std::optional<Usec> read_baseline(const std::string* measurement, const LatencyParams& params,
                                  const std::string& inputs) {
    if (measurement == nullptr) return std::nullopt;
    const auto value = nlohmann::json::parse(*measurement, nullptr, /*allow_exceptions=*/false);
    if (!value.is_object() || !value.contains("percentile_usec") || !value["percentile_usec"].is_number_integer())
        return std::nullopt;
    if (value.value("inputs", nlohmann::json()) != inputs ||
        value.value("percentile", nlohmann::json()) != params.percentile ||
        value.value("of", nlohmann::json(kMeasures[0])) != name_of(params.of))
        return std::nullopt;
    const auto usec = value["percentile_usec"].get<std::int64_t>();
    return usec > 0 ? std::optional(Usec{usec}) : std::nullopt;
}

class LatencyRun final : public InferRun {
  public:
    LatencyRun(const CheckContext& context, Done done, const LatencyParams& params)
        : InferRun(context, std::move(done), params.infer), params_(params) {
        load_items();
        if (finished()) return;
        inputs_ = inputs_fingerprint(items());
        baseline_ = read_baseline(context_.baseline, params_, inputs_);
        if (params_.max_ratio && baseline_) {
            const double limit = static_cast<double>(baseline_->count()) * *params_.max_ratio;
            ratio_limit_ = Usec{static_cast<std::int64_t>(limit)};
        }
        allowed_ = evidence::exceedances_allowed(params_.percentile, params_.samples);
        next();
    }

  private:
    /// The larger limit counts: a request that has exceeded only one is still measured for the other.
    Usec timeout() const {
        if (params_.of != Measure::total) return kStreamTimeout;
        if (!params_.max && !ratio_limit_) return kTimeoutWithoutLimit;
        const Usec limit = std::max(params_.max.value_or(Usec{0}), ratio_limit_.value_or(Usec{0}));
        return std::clamp<Usec>(limit * kGiveUpFactor, kShortestTimeout, std::max(kLongestTimeout, limit));
    }

    void next() {
        if (static_cast<std::int64_t>(took_usec_.size()) == params_.samples) return conclude();
        const CanaryItem& item = items()[at_++ % items().size()];
        probe(item, timeout(), [this, &item](const Probe& probe) { on_answer(item, probe); });
    }

    void on_answer(const CanaryItem& item, const Probe& probe) {
        if (probe.answer.outcome == Outcome::wrong_version)
            return end(failed("wrong_version", fmt::format("{}: {}", item_where(item), probe.answer.detail)));
        // A NaN took its time like any number; that it is wrong is `accuracy`'s and `ready`'s to say.
        const bool answered = probe.answer.outcome == Outcome::ok || probe.answer.not_finite;
        if (!answered && !probe.timed_out) {
            ++errors_;
            if (static_cast<double>(errors_) > kMaxErrorShare * static_cast<double>(params_.samples))
                return end(failed(
                    "errors",
                    fmt::format("{} of {} answers are errors (at most {:.0f}% of {}), the last at {}: {}", errors_, at_,
                                kMaxErrorShare * 100, params_.samples, item_where(item), probe.answer.detail)));
            return next();
        }
        if (warmed_up_ < kWarmUp) {
            // A hung model would cost a timeout for each warm-up request: one is enough to know.
            warmed_up_ = probe.timed_out ? kWarmUp : warmed_up_ + 1;
            return next();
        }
        const std::optional<Usec> took = measure(params_.of, probe);
        if (!took)
            return end(inconclusive(
                "not_measured",
                fmt::format("{}: {}", item_where(item),
                            probe.answer.streamed ? "one token came; of: per_token needs two at least"
                                                  : "the answer did not come as a stream; of: first_token and "
                                                    "per_token need protocol: {openai: {stream: true}}")));
        took_usec_.push_back(took->count());
        timeouts_ += probe.timed_out ? 1 : 0;
        hangs_in_a_row_ = probe.timed_out ? hangs_in_a_row_ + 1 : 0;
        over_max_ += params_.max && (probe.timed_out || *took > *params_.max) ? 1 : 0;
        over_ratio_ += ratio_limit_ && (probe.timed_out || *took > *ratio_limit_) ? 1 : 0;
        if (over_max_ > allowed_ || over_ratio_ > allowed_) return conclude();
        // A hung model must not cost a timeout for each request that the percentile forgives.
        if (hangs_in_a_row_ >= kHangsInARow)
            return end(failed("errors", fmt::format("{} requests in a row had no answer within {}", hangs_in_a_row_,
                                                    format_age(timeout()))));
        next();
    }

    bool complete() const { return static_cast<std::int64_t>(took_usec_.size()) == params_.samples; }
    Usec measured() const { return Usec{evidence::percentile_of(took_usec_, params_.percentile)}; }

    /// Either limit is exceeded by the percentile exactly where more than `allowed_` requests exceed it.
    void conclude() {
        const bool slow = over_max_ > allowed_;
        const bool slower = over_ratio_ > allowed_;
        end({.verdict = slow || slower ? core::VerdictKind::fail : core::VerdictKind::pass,
             .code = slow     ? "too_slow"
                     : slower ? "slower_than_baseline"
                              : "ok",
             .text = text(slow, slower)});
    }

    std::string text(bool slow, bool slower) const {
        std::vector<std::string> notes;
        if (params_.max) notes.push_back(fmt::format("{}max {}", slow ? "> " : "", format_ms(*params_.max)));
        if (baseline_) notes.push_back("LKG " + format_ms(*baseline_));
        if (params_.max_ratio && baseline_)
            notes.push_back(fmt::format("ratio {:.2f} {} {:.2f}", to_ms(measured()) / to_ms(*baseline_),
                                        slower ? ">" : "<=", *params_.max_ratio));
        if (params_.max_ratio && !baseline_ && context_.baseline != nullptr)
            notes.emplace_back("the LKG was measured on other inputs, so no comparison");
        if (timeouts_ > 0)
            notes.push_back(fmt::format("{} without an answer within {}", timeouts_, format_age(timeout())));
        if (errors_ > 0) notes.push_back(fmt::format("{} errors", errors_));
        std::string count = fmt::format("{} requests", took_usec_.size());
        if (!complete())
            count = fmt::format("the first {} of {} requests, stopped there", took_usec_.size(), params_.samples);
        const std::string joined =
            notes.empty() ? "nothing to compare with" : fmt::format("{}", fmt::join(notes, ", "));
        std::string what;
        if (params_.of == Measure::first_token) what = " to the first token";
        if (params_.of == Measure::per_token)
            what = fmt::format(" per token ({:.1f} tokens/s)", 1000 / std::max(0.001, to_ms(measured())));
        return fmt::format("p{:g} {}{} on {} ({})", params_.percentile, format_ms(measured()), what, count, joined);
    }

    void end(CheckOutcome outcome) {
        if (!took_usec_.empty()) {
            outcome.measured = to_ms(measured());
            outcome.measurement = nlohmann::json{
                {"of", name_of(params_.of)},
                {"percentile", params_.percentile},
                {"percentile_usec", measured().count()},
                {"samples", took_usec_.size()},
                {"inputs", inputs_}}.dump();
        }
        const std::optional<Usec> limit = params_.max ? params_.max : ratio_limit_;
        if (limit) outcome.limit = to_ms(*limit);
        if (baseline_) outcome.baseline = to_ms(*baseline_);
        outcome.unit = "ms";
        outcome.probes = probes();
        finish(std::move(outcome));
    }

    const LatencyParams& params_;
    std::string inputs_;
    std::optional<Usec> baseline_;
    std::optional<Usec> ratio_limit_;
    std::int64_t allowed_{0};
    std::size_t at_{0};
    int warmed_up_{0};
    std::vector<std::int64_t> took_usec_;
    std::int64_t over_max_{0};
    std::int64_t over_ratio_{0};
    std::int64_t timeouts_{0};
    int hangs_in_a_row_{0};
    std::int64_t errors_{0};
};

class Latency final : public Check {
  public:
    explicit Latency(LatencyParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<LatencyRun>(context, std::move(done), params_);
    }

  private:
    LatencyParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    LatencyParams compiled;
    MG_TRY(compiled.infer, infer_params(params));
    if (has_param(params, "of"))
        compiled.of = static_cast<Measure>(std::ranges::find(kMeasures, text_param(params, "of")) - kMeasures.begin());
    if (has_param(params, "percentile")) compiled.percentile = number_param(params, "percentile");
    if (has_param(params, "samples")) compiled.samples = integer_param(params, "samples");
    if (has_param(params, "max")) compiled.max = duration_param(params, "max");
    if (has_param(params, "max_ratio")) compiled.max_ratio = number_param(params, "max_ratio");
    if (!compiled.max && !compiled.max_ratio)
        return fail(ErrorKind::invalid_config, "latency needs max or max_ratio, as in max: 50ms");
    return std::make_unique<Latency>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_latency{
    .name = "latency",
    .summary = "A percentile of the time an inference takes, against a limit and against the LKG on the same inputs.",
    .params = kParams,
    .make = make,
    .compares = true,
    .alone = true,
};

}  // namespace modelguard::checks
