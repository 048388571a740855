#pragma once
// A command of the device: what to run, and the one way to run it by name that checks and thens are given. Not for
// finding it, nor for how it is kept apart from us: that is daemon/commands.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/sys/process.hpp"

namespace modelguard::sys {

struct Command {
    std::vector<std::string> argv;
    std::string user;  ///< empty: the daemon's
    Usec timeout{std::chrono::seconds(30)};
};

/// Under way. Dropping it ends the command and its children; the callback is then never called.
class CommandRun {
  public:
    virtual ~CommandRun() = default;
};

/// How it ended, or why it could not be run.
using CommandDone = std::function<void(const Result<ProcessEnd>&)>;

/// Runs the device's command `name` with these "NAME=value" besides a minimal environment. `done` comes once, from the
/// loop. not_found: the device lists no such command; other errors come here or by `done`.
using RunCommand = std::function<Result<std::unique_ptr<CommandRun>>(
    std::string_view name, std::vector<std::string> environment, CommandDone done)>;

/// Runs it as a child of this process, in a process group of its own. Errors as spawn(), but unavailable where there is
/// no such program.
Result<std::unique_ptr<CommandRun>> run_as_child(Loop& loop, const Command& command,
                                                 std::vector<std::string> environment, CommandDone done);

}  // namespace modelguard::sys
