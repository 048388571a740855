#include "supervisor/sys/clock.hpp"

#include <array>
#include <cstdlib>
#include <ctime>

#include "supervisor/sys/files.hpp"

namespace modelguard::sys {

namespace {
std::int64_t read_clock_usec(clockid_t id) {
    timespec now{};
    MG_ASSERT(::clock_gettime(id, &now) == 0);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}
}  // namespace

Instant boottime_now() { return {read_clock_usec(CLOCK_BOOTTIME)}; }

std::int64_t wall_now_usec() { return read_clock_usec(CLOCK_REALTIME); }

std::string format_wall(std::int64_t wall_usec) {
    // Floor, not truncation: the second before 1970 is the earlier one.
    const std::time_t seconds = wall_usec / 1'000'000 - (wall_usec % 1'000'000 < 0 ? 1 : 0);
    std::tm utc{};
    std::array<char, 40> text{};
    if (!::gmtime_r(&seconds, &utc)) return "unknown";
    const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return {text.data(), length};
}

std::string boot_id() {
    if (const char* override_id = std::getenv("MODELGUARD_TEST_BOOT_ID"); override_id && *override_id)
        return override_id;
    constexpr std::size_t kUuidLength = 36;
    const Result<std::string> text = read_file("/proc/sys/kernel/random/boot_id", 64);
    if (!text || text->size() < kUuidLength) return "unknown";
    return text->substr(0, kUuidLength);
}

}  // namespace modelguard::sys
