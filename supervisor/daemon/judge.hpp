#pragma once
// One judging: the checks of a manifest, run in order against one version, become one verdict. This is the seam behind
// which sequential evidence comes later. Not for what follows from a verdict: core.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/daemon/manifest.hpp"

namespace modelguard::daemon {

/// Checks that measure time take turns over the whole device: two at once would measure each other.
class QuietRoom {
  public:
    /// Calls `enter` when it is this owner's turn: now, or from leave() of another.
    void ask(const void* owner, std::function<void()> enter);
    /// Gives the room up, or the place in the queue. Fine for an owner that has neither.
    void leave(const void* owner);

  private:
    struct Waiting {
        const void* owner;
        std::function<void()> enter;
    };
    const void* inside_{nullptr};
    std::deque<Waiting> queue_;
};

struct JudgingSpec {
    std::shared_ptr<const Manifest> manifest;
    checks::CheckContext context;                  ///< without a baseline: that comes from `baselines`
    bool light{false};                             ///< only checks that do not infer in numbers: for the steady state
    std::map<std::string, std::string> baselines;  ///< measurement on the LKG by check
    std::function<void(const std::string& check, const checks::ProbeTold& probe)> on_probe{};
};

struct Judgement {
    core::VerdictKind verdict{core::VerdictKind::inconclusive};
    std::vector<core::CheckReport> reports;
    std::map<std::string, std::string> measurements;  ///< by check, of those that compare
};

/// Checks that say something before the server is up come first, then the rest in the manifest's order; a required
/// check that does not pass ends it (a baseline goes on where it can). Dropping it cancels.
class Judging {
  public:
    Judging(JudgingSpec spec, QuietRoom& room, std::function<void(Judgement)> done);
    ~Judging();
    Judging(const Judging&) = delete;
    Judging& operator=(const Judging&) = delete;

  private:
    void next();
    void run_current();
    void took_outcome(checks::CheckOutcome outcome);
    void tell_other_probes(const std::string& check, const checks::CheckOutcome& outcome);
    void conclude();

    JudgingSpec spec_;
    QuietRoom& room_;
    std::function<void(Judgement)> done_;
    std::vector<const ConfiguredCheck*> order_;
    std::size_t index_{0};
    std::string baseline_;
    std::int64_t told_probes_{0};  // of the present check
    Instant began_;
    Judgement judgement_;
    std::unique_ptr<checks::Running> running_;
    sys::Source turn_;
};

}  // namespace modelguard::daemon
