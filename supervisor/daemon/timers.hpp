#pragma once
// Core's timers on CLOCK_BOOTTIME: they survive a restart of the daemon, and over reboots what ran on each boot adds
// up. Not for pauses within a check or a retry of I/O: those are plain loop timers.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/store/ledger.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::daemon {

class Timers {
  public:
    Timers(sys::Loop& loop, std::string boot_id, std::function<void(const std::string& model, core::Timer)> expired);

    void load(const std::vector<store::StoredTimer>& stored);
    /// How a timer would stand if it were started now: a known one keeps what has elapsed. For the ledger, before
    /// start().
    store::StoredTimer planned(const std::string& model, core::Timer timer, Usec duration) const;
    /// All that run, with what has elapsed until now; written along with any commit, so that a power cut loses little.
    std::vector<store::StoredTimer> running() const;
    void start(const store::StoredTimer& timer);
    void stop(const std::string& model, core::Timer timer);
    /// -1 where it does not run.
    std::int64_t left_usec(const std::string& model, core::Timer timer) const;

  private:
    struct Armed {
        store::StoredTimer stored;
        sys::Source source;  // empty until started in this process
    };
    using Key = std::pair<std::string, core::Timer>;
    store::StoredTimer brought_up_to_now(const store::StoredTimer& stored) const;

    sys::Loop& loop_;
    std::string boot_id_;
    std::function<void(const std::string&, core::Timer)> expired_;
    std::map<Key, Armed> armed_;
};

}  // namespace modelguard::daemon
