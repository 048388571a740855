#pragma once
// How often a service was restarted lately, as looks at its counter add up over passes: what `systemd_unit` and
// `container` share, with their parameters. Kept in memory only: after a start of the daemon counting begins anew.
// Not for judging it.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "supervisor/base/params.hpp"
#include "supervisor/base/time.hpp"

namespace modelguard::checks {

class RestartMemory {
  public:
    struct Look {
        std::uint64_t era{0};  ///< of CheckContext: another one begins at no restarts
        std::string instance;  ///< another one was made anew by somebody, its counter begins at 0
        std::uint64_t counter{0};
        Instant at;
    };
    /// Takes what was seen; the restarts within `window` before it. What happened before the first look of an era does
    /// not count, nor does what was before somebody started it (another instance, a counter that fell). A start of ours
    /// alone need not show in the counter: systemd keeps it where it was about to restart the unit itself.
    std::uint64_t count(const Look& look, Usec window);

  private:
    struct Step {
        Instant at;
        std::uint64_t restarts;
    };
    std::deque<Step> steps_;
    std::optional<Look> last_;
};

struct RestartLimits {
    std::uint64_t max_restarts{0};
    Usec within{0};
    Usec stable_for{0};
};
RestartLimits restart_limits(const ParamMap& params);

inline constexpr ParamSpec kMaxRestartsParam{.name = "max_restarts",
                                             .type = ParamType::integer,
                                             .unit = "restarts",
                                             .default_text = "0",
                                             .help = "Automatic restarts that are allowed in the time `within`.",
                                             .maximum = 1'000'000};
inline constexpr ParamSpec kRestartsWithinParam{.name = "within",
                                                .type = ParamType::duration,
                                                .unit = "seconds",
                                                .default_text = "10m",
                                                .help = "The time in which max_restarts are allowed.",
                                                .minimum = 1,
                                                .maximum = 86'400};
inline constexpr ParamSpec kStableForParam{
    .name = "stable_for",
    .type = ParamType::duration,
    .unit = "seconds",
    .default_text = "2s",
    .help = "So long it must have been running; a pass waits for the rest of it.",
    .maximum = 3600};

}  // namespace modelguard::checks
