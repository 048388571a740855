#pragma once
// What the probes of one pass add up to: pure numbers in, pure numbers out. The seam behind which sequential evidence
// comes. Not for obtaining probes (the check kinds) nor for wording (their reports).

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace modelguard::checks::evidence {

/// The arithmetic mean; 0 for no values.
double mean(std::span<const double> values);

/// The rank (1…count) that the nearest-rank percentile takes: ceil(percentile/100 × count). `percentile` in (0, 100],
/// count ≥ 1.
std::int64_t nearest_rank(double percentile, std::int64_t count);

/// The nearest-rank percentile: always one of the values, never interpolated, so that "p99 ≤ 50 ms" counts requests.
/// `values` in any order, at least one.
std::int64_t percentile_of(std::span<const std::int64_t> values, double percentile);

/// How many of `count` values may exceed a limit with their percentile still within it: one more and it cannot recover.
std::int64_t exceedances_allowed(double percentile, std::int64_t count);

using Scores = std::map<std::string, double, std::less<>>;  ///< item id → score in [0,1]

double mean_score(const Scores& scores);

/// Candidate against LKG on the items that both answered.
struct PairedDrop {
    std::int64_t pairs{0};
    double candidate{0};  ///< mean over the pairs
    double baseline{0};
    double drop() const { return baseline - candidate; }
};
PairedDrop paired_drop(const Scores& candidate, const Scores& baseline);

/// Scores are sums of shares: a difference below this is rounding, not a regression.
inline constexpr double kRounding = 1e-9;

}  // namespace modelguard::checks::evidence
