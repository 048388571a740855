#pragma once
// Child processes: own process group, deadline, output cap; what blocks runs here. Not for shells: argv only.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::sys {

struct ProcessSpec {
    std::vector<std::string> argv;  ///< argv[0] is a path or is looked up in PATH
    std::vector<std::string>
        environment;        ///< "NAME=value", added to a minimal one (PATH, LANG); NOTIFY_SOCKET is never passed on
    std::string directory;  ///< working directory; empty: "/"
    std::string user;       ///< run as this user (needs root); empty: as we are
    Fd input;               ///< stdin; none: /dev/null
    Usec timeout{std::chrono::seconds(60)};  ///< then the whole group gets SIGKILL
    std::size_t output_cap{64u << 10};       ///< stdout and stderr together; the rest is read and dropped
    bool separate_stdout{false};             ///< true: stdout in `output`, stderr in `error_output` (same cap each)
};

struct ProcessEnd {
    int exit_status{-1};  ///< -1 where a signal ended it
    int signal{0};
    bool timed_out{false};
    bool truncated{false};
    Usec timeout{0};  ///< the deadline it had
    std::string output;
    std::string error_output;
    bool ok() const { return exit_status == 0 && !timed_out; }
    /// "exit status 3", "killed by signal 9", "no end within 60s".
    std::string describe() const;
    /// The same with the last line of its output, one plain line: scripts say why they fail in what they print last.
    std::string why() const;
};

/// A running child. Dropping it kills the whole group and reaps it; the callback is then never called.
class Process {
  public:
    struct Impl;
    Process();
    explicit Process(std::unique_ptr<Impl> impl);
    Process(Process&&) noexcept;
    Process& operator=(Process&&) noexcept;
    ~Process();
    explicit operator bool() const { return impl_ != nullptr; }
    int pid() const;

  private:
    std::unique_ptr<Impl> impl_;
};

/// Starts a child; `done` comes once, from the loop, when it has ended and its output is read (a grandchild that holds
/// the pipe open is not waited for: 100 ms after the end the pipe is closed). The group is killed then too. Errors:
/// not_found, denied, io from fork/exec itself.
Result<Process> spawn(Loop& loop, ProcessSpec spec, std::function<void(ProcessEnd)> done);

}  // namespace modelguard::sys
