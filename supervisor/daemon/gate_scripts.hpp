#pragma once
// The boot gate's drop-in scripts: those of checks/required.d and checks/wanted.d below the configuration, each run
// once a boot, beside each other. Not for what follows from their ends: core::decide_gate(); nor for how one is run:
// Commands.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/core/gate.hpp"
#include "supervisor/sys/command.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::daemon {

/// The scripts below `config`, in the order of their names, required ones first; none has ended yet. Executables, and
/// files that end in .sh. Left out: what editors and packages leave behind (.x, x~, x.rpmnew, …).
std::vector<core::GateScript> find_scripts(const sys::Path& config);

/// What to run for "required:FILE" or "wanted:FILE": the file, or bash with it where it ends in .sh. not_found:
/// there is no such script; denied: others than its owner, who is us or root, may write it.
Result<sys::Command> script_command(const sys::Path& config, std::string_view name, Usec timeout);

class GateScripts {
  public:
    /// None runs before start().
    explicit GateScripts(std::vector<core::GateScript> scripts) : scripts_(std::move(scripts)) {}

    /// Starts them all, some tens at a time; `ended` is called from the loop each time that one has ended.
    void start(const sys::RunCommand& run, std::function<void(const core::GateScript&)> ended);
    /// As they stand.
    const std::vector<core::GateScript>& scripts() const { return scripts_; }

  private:
    void fill();
    void end(std::size_t index, const Result<sys::ProcessEnd>& how);

    std::vector<core::GateScript> scripts_;
    std::map<std::size_t, std::unique_ptr<sys::CommandRun>> running_;
    std::size_t next_{0};
    sys::RunCommand run_;
    std::function<void(const core::GateScript&)> ended_;
};

}  // namespace modelguard::daemon
