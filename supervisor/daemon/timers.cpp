#include "supervisor/daemon/timers.hpp"

#include <algorithm>

#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

Timers::Timers(sys::Loop& loop, std::string boot_id, std::function<void(const std::string&, core::Timer)> expired)
    : loop_(loop), boot_id_(std::move(boot_id)), expired_(std::move(expired)) {}

/// `elapsed` up to now where the timer ran on this boot; what an earlier boot had after its last commit is not known.
store::StoredTimer Timers::brought_up_to_now(const store::StoredTimer& stored) const {
    store::StoredTimer timer = stored;
    const Instant now = sys::boottime_now();
    if (timer.boot_id == boot_id_) timer.elapsed += std::max(Usec{0}, now - timer.since);
    timer.boot_id = boot_id_;
    timer.since = now;
    return timer;
}

void Timers::load(const std::vector<store::StoredTimer>& stored) {
    for (const store::StoredTimer& timer : stored)
        armed_[{timer.model, timer.timer}].stored = timer;
}

store::StoredTimer Timers::planned(const std::string& model, core::Timer timer, Usec duration) const {
    const auto known = armed_.find({model, timer});
    if (known != armed_.end()) return brought_up_to_now(known->second.stored);
    return store::StoredTimer{model, timer, duration, Usec{0}, boot_id_, sys::boottime_now()};
}

std::vector<store::StoredTimer> Timers::running() const {
    std::vector<store::StoredTimer> timers;
    for (const auto& [key, armed] : armed_)
        timers.push_back(brought_up_to_now(armed.stored));
    return timers;
}

void Timers::start(const store::StoredTimer& timer) {
    Armed& armed = armed_[{timer.model, timer.timer}];
    armed.stored = timer;
    const Usec left = std::max(Usec{0}, timer.duration - timer.elapsed);
    armed.source = loop_.add_timer(left, [this, model = timer.model, name = timer.timer] { expired_(model, name); });
}

void Timers::stop(const std::string& model, core::Timer timer) { armed_.erase({model, timer}); }

std::int64_t Timers::left_usec(const std::string& model, core::Timer timer) const {
    const auto found = armed_.find({model, timer});
    if (found == armed_.end()) return -1;
    const store::StoredTimer now = brought_up_to_now(found->second.stored);
    return std::max<std::int64_t>(0, (now.duration - now.elapsed).count());
}

}  // namespace modelguard::daemon
