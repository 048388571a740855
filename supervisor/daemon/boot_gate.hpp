#pragma once
// The boot gate's answer of this boot: decided by core, and kept once it is decided, so that all who ask hear the same,
// also after a restart of the daemon. Not for what the answer leads to: the CLI's `gate` and the units.

#include <optional>

#include "supervisor/api/values.hpp"
#include "supervisor/base/boot_watch.hpp"
#include "supervisor/daemon/gate_scripts.hpp"
#include "supervisor/daemon/runner.hpp"

namespace modelguard::daemon {

class BootGate {
  public:
    /// `file`: where the answer is kept, below /run. One of another boot, or one that cannot be read, counts for
    /// nothing. `greenboot` is what is installed on this host.
    BootGate(sys::Path file, Greenboot greenboot, std::vector<core::GateScript> scripts);

    /// Runs the scripts, unless the answer of this boot stands already. `ended` is called for each, from the loop; this
    /// object must stay where it is.
    void run_scripts(const Runner& runner, const sys::RunCommand& run,
                     std::function<void(const core::GateScript&)> ended);

    /// The answer that stands, or the one of now.
    api::Gate answer(const Runner& runner);

  private:
    bool is_decided(const core::State& state) const;

    sys::Path file_;
    Greenboot greenboot_;
    GateScripts scripts_;
    std::optional<api::Gate> decided_;
};

/// Which greenboot is installed below `root`.
Greenboot installed_greenboot(const sys::Path& root);

}  // namespace modelguard::daemon
