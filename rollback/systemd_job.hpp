#pragma once
// One job of systemd's manager, asked for over the system bus and followed to its end. Nothing else of systemd.
// Source: org.freedesktop.systemd1(5), "The Manager Object": RestartUnit() and its like, signal JobRemoved.

#include <functional>
#include <memory>
#include <string>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::rollback {

/// Under way; dropping it stops following the job (the job itself goes on).
class SystemdJob {
  public:
    struct Impl;
    explicit SystemdJob(std::unique_ptr<Impl> impl);
    SystemdJob(SystemdJob&&) noexcept;
    SystemdJob& operator=(SystemdJob&&) noexcept;
    ~SystemdJob();

  private:
    std::unique_ptr<Impl> impl_;
};

/// Calls `method` ("RestartUnit") of the manager for `unit` with mode "replace". `done` comes once, from the loop: the
/// job's result ("done", "failed", "timeout", "dependency", "canceled", …) or an error: denied and not_found as the
/// manager says it, timed_out after `timeout`, unavailable where the bus goes away. Errors at once: unsupported where
/// there is no bus. The bus is sd-bus's system bus, DBUS_SYSTEM_BUS_ADDRESS overrides its address.
Result<SystemdJob> start_systemd_job(sys::Loop& loop, const std::string& method, const std::string& unit, Usec timeout,
                                     std::function<void(Result<std::string>)> done);

}  // namespace modelguard::rollback
