#pragma once
// What is under way for one model: at most one piece of work and the steady watch. Internal to the runner.

#include "supervisor/daemon/runner.hpp"

namespace modelguard::daemon {

struct Runner::Active {
    std::unique_ptr<Judging> judging;              // of core's Judge, or the present pass of the watch
    std::unique_ptr<rollback::Running> switching;  // Switch or RestartService
    sys::Process verifying;
    sys::Source turn;   // delivers an outcome on the next turn
    sys::Source pause;  // to the next pass of the watch, or to another try of a verification

    std::optional<core::Watch> watch;
    std::optional<core::VerdictKind> told;  // the verdict that core knows of this watch
    unsigned passes{0};
};

}  // namespace modelguard::daemon
