#pragma once
// The part of spawn() that makes the child; process.cpp looks after it. Internal to sys.

#include <sys/types.h>

#include "supervisor/sys/process.hpp"

namespace modelguard::sys {

struct Child {
    pid_t pid{-1};
    Fd pidfd;
    Fd output;        ///< read ends, non-blocking
    Fd error_output;  ///< only with separate_stdout
};

/// Forks and execs; returns once the program runs or could not be started. Blocks for that long (under a millisecond).
/// Errors as spawn().
Result<Child> start_child(ProcessSpec& spec);

/// Leaves a killed child that would not die at once to the loop, which reaps it when it does.
void reap_later(Loop& loop, pid_t pid);

}  // namespace modelguard::sys
