#pragma once
// The slow scrub: known-good versions are read and hashed again one at a time, the one whose full hash is oldest first,
// so that what a disk has lost is known before the version is needed. Only while nothing else is under way; it gives
// way to everything. Not for what follows from damage: core decides that.

#include <functional>
#include <random>

#include "supervisor/daemon/runner.hpp"

namespace modelguard::daemon {

struct ScrubTarget {
    std::string model;
    Digest version;
};
/// The known-good version whose full hash is oldest; nullopt where there is none. `version_info` is nullptr for what is
/// not on the disk.
std::optional<ScrubTarget> next_to_scrub(
    const core::State& state,
    const std::function<const store::VersionInfo*(const std::string& model, const Digest&)>& version_info);

/// Between two scrubs: each of `versions` has its turn once in `period`.
Usec scrub_interval(Usec period, std::size_t versions);
/// From a start to the first scrub. Drawn at random without memory, so that a device that is switched off every evening
/// comes to its scrubs as often as one that never is, and no clock has to be kept over reboots; `uniform` in [0, 1).
Usec first_scrub_wait(Usec interval, double uniform);

class Scrub {
  public:
    /// `period` 0: never. `is_importing`: a bundle is being taken in. Borrows all of them.
    Scrub(sys::Loop& loop, Runner& runner, store::VersionStore& versions, Usec period,
          std::function<bool()> is_importing);

    void start();
    /// Gives up what is being read, at once; it begins again once nothing is under way.
    void pause();

  private:
    void wait(Usec delay);
    void begin();
    void ended(const ScrubTarget& target, Result<store::VersionStore::Verified> found);
    Usec interval() const;

    sys::Loop& loop_;
    Runner& runner_;
    store::VersionStore& versions_;
    Usec period_;
    std::function<bool()> is_importing_;
    sys::Process child_;
    std::uint64_t run_{0};  // an answer to an earlier one is dropped
    sys::Source timer_;     // to the next one, or that delivers what this one found
};

}  // namespace modelguard::daemon
