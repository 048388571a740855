#pragma once
// The exit codes of `modelguard` (DESIGN.md section 9). Scripts rely on them: never renumber.

namespace modelguard::cli {

enum ExitCode : int {
    kDone = 0,           ///< healthy, or done
    kNo = 1,             ///< unhealthy, or carried out and the answer is no
    kUsage = 2,          ///< the command line
    kNotFound = 3,       ///< no such model, version or deployment
    kUnreachable = 4,    ///< no daemon
    kDenied = 5,         ///< the right is missing
    kFailed = 6,         ///< could not be carried out
    kInterrupted = 130,  ///< 128 + SIGINT, as shells have it
};

}  // namespace modelguard::cli
