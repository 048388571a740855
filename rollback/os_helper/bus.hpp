#pragma once
// What the helper asks of others on the system bus: rpm-ostreed to read the order again, logind who forbids a reboot,
// logind or systemd to reboot. Each call blocks, for a minute at most. Not for the daemon, which never blocks.
// Source: org.projectatomic.rpmostree1.Sysroot; org.freedesktop.login1(5); org.freedesktop.systemd1(5).

#include <string>

#include "supervisor/base/result.hpp"

namespace modelguard::rollback::os_helper {

/// Done where rpm-ostreed does not run: it reads the deployments when it starts. unavailable: it runs and said no.
Result<void> reload_rpm_ostreed();
/// Who blocks a shutdown now, in one line; empty: nobody, or no logind runs that could be asked. unavailable where it
/// runs and does not answer.
Result<std::string> shutdown_inhibitor();
/// An orderly reboot, asked for and not waited for: of logind where it runs, else of systemd.
Result<void> request_reboot();

}  // namespace modelguard::rollback::os_helper
