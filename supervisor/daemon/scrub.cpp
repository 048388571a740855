#include "supervisor/daemon/scrub.hpp"

#include <algorithm>
#include <cmath>

namespace modelguard::daemon {

namespace {

constexpr Usec kAfterStart = std::chrono::minutes(5);  // a boot has better things to do
constexpr Usec kAgain = std::chrono::minutes(1);       // after it gave way
constexpr double kLongestDraw = 0.999;                 // seven times the mean: further out nothing would ever come

std::size_t known_good_count(const core::State& state) {
    std::size_t count = 0;
    for (const auto& [name, model] : state.models)
        count += model.known_good.size();
    return count;
}

}  // namespace

std::optional<ScrubTarget> next_to_scrub(
    const core::State& state,
    const std::function<const store::VersionInfo*(const std::string& model, const Digest&)>& version_info) {
    std::optional<ScrubTarget> oldest;
    std::uint64_t turn = 0;
    for (const auto& [name, model] : state.models)
        for (const core::KnownGood& good : model.known_good) {
            const store::VersionInfo* info = version_info(name, good.version);
            if (!info || (oldest && info->hash_turn >= turn)) continue;
            oldest = ScrubTarget{name, good.version};
            turn = info->hash_turn;
        }
    return oldest;
}

Usec scrub_interval(Usec period, std::size_t versions) {
    return period / static_cast<std::int64_t>(std::max<std::size_t>(1, versions));
}

Usec first_scrub_wait(Usec interval, double uniform) {
    const double drawn = -std::log1p(-std::min(uniform, kLongestDraw)) * static_cast<double>(interval.count());
    return std::max(Usec{static_cast<std::int64_t>(drawn)}, std::min(kAfterStart, interval));
}

Scrub::Scrub(sys::Loop& loop, Runner& runner, store::VersionStore& versions, Usec period,
             std::function<bool()> is_importing)
    : loop_(loop), runner_(runner), versions_(versions), period_(period), is_importing_(std::move(is_importing)) {}

Usec Scrub::interval() const { return scrub_interval(period_, known_good_count(runner_.state())); }

void Scrub::start() {
    if (period_ == Usec{0}) return;
    std::random_device source;
    wait(first_scrub_wait(interval(), std::uniform_real_distribution<double>()(source)));
}

void Scrub::wait(Usec delay) {
    timer_ = loop_.add_timer(delay, [this] { begin(); });
}

void Scrub::pause() {
    if (!child_) return;
    child_ = {};
    ++run_;
    wait(std::min(kAgain, interval()));
}

void Scrub::begin() {
    if (!runner_.is_idle() || is_importing_()) return wait(std::min(kAgain, interval()));
    const auto target = next_to_scrub(runner_.state(), [this](const std::string& model, const Digest& version) {
        return runner_.version(model, version);
    });
    if (!target) return wait(interval());
    child_ = versions_.scrub(target->model, target->version,
                             [this, target = *target, run = ++run_](Result<store::VersionStore::Verified> found) {
                                 if (run != run_) return;
                                 // From the next turn: what follows may end the child that this is called by.
                                 timer_ = loop_.defer([this, target, found = std::move(found)]() mutable {
                                     ended(target, std::move(found));
                                 });
                             });
}

void Scrub::ended(const ScrubTarget& target, Result<store::VersionStore::Verified> found) {
    child_ = {};
    wait(interval());
    runner_.scrubbed(target.model, target.version, found);
}

}  // namespace modelguard::daemon
