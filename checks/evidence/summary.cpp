#include "checks/evidence/summary.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "supervisor/base/result.hpp"

namespace modelguard::checks::evidence {

double mean(std::span<const double> values) {
    if (values.empty()) return 0;
    double sum = 0;
    for (const double value : values)
        sum += value;
    return sum / static_cast<double>(values.size());
}

std::int64_t nearest_rank(double percentile, std::int64_t count) {
    MG_ASSERT(count >= 1 && percentile > 0 && percentile <= 100);
    // 99.9/100 × 1000 is 999.0000000000001 in binary: without the slack the rank would be one too high.
    const double exact = percentile * static_cast<double>(count) / 100.0;
    const auto rank = static_cast<std::int64_t>(std::ceil(exact - 1e-6));
    return std::clamp<std::int64_t>(rank, 1, count);
}

std::int64_t percentile_of(std::span<const std::int64_t> values, double percentile) {
    MG_ASSERT(!values.empty());
    std::vector<std::int64_t> ordered(values.begin(), values.end());
    const auto nth = ordered.begin() + (nearest_rank(percentile, static_cast<std::int64_t>(ordered.size())) - 1);
    std::nth_element(ordered.begin(), nth, ordered.end());
    return *nth;
}

std::int64_t exceedances_allowed(double percentile, std::int64_t count) {
    return count - nearest_rank(percentile, count);
}

double mean_score(const Scores& scores) {
    if (scores.empty()) return 0;
    double sum = 0;
    for (const auto& [id, score] : scores)
        sum += score;
    return sum / static_cast<double>(scores.size());
}

PairedDrop paired_drop(const Scores& candidate, const Scores& baseline) {
    PairedDrop paired;
    for (const auto& [id, score] : candidate) {
        const auto other = baseline.find(id);
        if (other == baseline.end()) continue;
        ++paired.pairs;
        paired.candidate += score;
        paired.baseline += other->second;
    }
    if (paired.pairs == 0) return paired;
    paired.candidate /= static_cast<double>(paired.pairs);
    paired.baseline /= static_cast<double>(paired.pairs);
    return paired;
}

}  // namespace modelguard::checks::evidence
