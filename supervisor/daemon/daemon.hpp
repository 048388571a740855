#pragma once
// The daemon put together: places, ledger, store, runner, sockets, signals. Blocks in run() until it is told to stop.

#include <string>

#include "supervisor/base/result.hpp"

namespace modelguard::daemon {

struct DaemonOptions {
    std::string root;        ///< --root DIR; empty: the system's own places
    std::string self_exe;    ///< this executable, for child processes
    std::string os_backend;  ///< empty: the first present one
};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the manifests again. The error says what to do where it could not start.
Result<int> run_daemon(const DaemonOptions& options);

}  // namespace modelguard::daemon
