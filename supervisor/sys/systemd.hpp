#pragma once
// systemd's manager over the system bus: one job followed to its end, and what a unit is doing. Nothing else of
// systemd, and not for the service manager that started us (Loop::notify()).
// Source: org.freedesktop.systemd1(5): RestartUnit() and its like, signal JobRemoved; the objects of units.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/files.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::sys {

/// A unit's properties, in systemd's words. What a unit of its type does not have is empty or 0.
struct UnitState {
    std::string load_state;     ///< "loaded", "not-found", "bad-setting", "error", "masked"
    std::string active_state;   ///< "active", "reloading", "inactive", "failed", "activating", "deactivating"
    std::string sub_state;      ///< "running", "exited", "auto-restart", …
    std::string result;         ///< of its last end: "success", "exit-code", "signal", "oom-kill", "start-limit-hit", …
    std::uint32_t restarts{0};  ///< NRestarts: by systemd itself, since the unit was last started by anybody
    std::int32_t exit_code{0};  ///< how the main process ended, as si_code: CLD_EXITED, CLD_KILLED, …
    std::int32_t exit_status{0};         ///< its exit status or signal
    std::uint64_t active_since_usec{0};  ///< CLOCK_MONOTONIC; 0: never
    bool has_job{false};                 ///< about to be started or stopped
};

/// A connection to the manager with one request under way at a time. Dropping it cancels what is under way: `done` is
/// then never called (a job itself goes on).
class Systemd {
  public:
    /// The bus is sd-bus's system bus; DBUS_SYSTEM_BUS_ADDRESS overrides its address. unsupported where there is none.
    static Result<std::unique_ptr<Systemd>> connect(Loop& loop);
    ~Systemd();
    Systemd(const Systemd&) = delete;
    Systemd& operator=(const Systemd&) = delete;

    /// Calls `method` ("RestartUnit") for `unit` with mode "replace". `done` comes once, from the loop: the job's
    /// result ("done", "failed", "timeout", "dependency", "canceled", …) or an error: denied and not_found as the
    /// manager says it, timed_out after `timeout`, unavailable where the bus goes away.
    void run_job(const std::string& method, const std::string& unit, Usec timeout,
                 std::function<void(Result<std::string>)> done);
    /// Reads the unit's state; a unit that does not exist is one with load_state "not-found". `done` and errors as
    /// above, and malformed_reply.
    void read_unit(const std::string& unit, Usec timeout, std::function<void(Result<UnitState>)> done);

    struct Impl;

  private:
    explicit Systemd(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Is a unit file of this name installed below `root`, and not masked?
bool has_unit_file(const Path& root, const char* name);

}  // namespace modelguard::sys
