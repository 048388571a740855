#include "checks/restarts.hpp"

#include <numeric>

namespace modelguard::checks {

namespace {
/// More are added to the newest: a window of a day with a restart a second must not fill the memory.
constexpr std::size_t kMostSteps = 256;
}  // namespace

std::uint64_t RestartMemory::count(const Look& look, Usec window) {
    const bool begun_anew = last_ && (look.instance != last_->instance || look.counter < last_->counter);
    const bool same_era = last_ && look.era == last_->era;
    const std::uint64_t before = begun_anew ? 0 : same_era ? last_->counter : look.counter;
    if (begun_anew || !same_era) steps_.clear();
    last_ = look;
    if (const std::uint64_t restarts = look.counter - before; restarts > 0) {
        if (steps_.size() < kMostSteps)
            steps_.push_back({look.at, restarts});
        else
            steps_.back() = {look.at, steps_.back().restarts + restarts};
    }
    while (!steps_.empty() && look.at - steps_.front().at > window)
        steps_.pop_front();
    return std::accumulate(steps_.begin(), steps_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Step& step) { return sum + step.restarts; });
}

RestartLimits restart_limits(const ParamMap& params) {
    return {.max_restarts = static_cast<std::uint64_t>(integer_param(params, "max_restarts")),
            .within = duration_param(params, "within"),
            .stable_for = duration_param(params, "stable_for")};
}

}  // namespace modelguard::checks
