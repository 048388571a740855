#pragma once
// The clocks and the boot id.

#include <cstdint>
#include <string>

#include "supervisor/base/time.hpp"

namespace modelguard::sys {

/// CLOCK_BOOTTIME: counts through suspend, never jumps.
Instant boottime_now();
/// CLOCK_REALTIME in microseconds since 1970; for display only.
std::int64_t wall_now_usec();
/// "2026-11-21T23:06:29Z" from wall_now_usec(); for display only.
std::string format_wall(std::int64_t wall_usec);
/// /proc/sys/kernel/random/boot_id, 36 characters; "unknown" where there is no /proc. MODELGUARD_TEST_BOOT_ID overrides
/// it under --root, so that tests can "reboot".
std::string boot_id();

}  // namespace modelguard::sys
