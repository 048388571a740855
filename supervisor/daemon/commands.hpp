#pragma once
// How what root has put on this device is run: the commands of modelguard.yaml and the gate's drop-in scripts. On a
// host with systemd as modelguard-check@NAME.service, which may become another user and takes its whole process tree
// along; under --root as a child. Not for what their ends mean: checks, thens and the gate.

#include <memory>

#include "supervisor/daemon/manifest.hpp"
#include "supervisor/store/versions.hpp"
#include "supervisor/sys/command.hpp"

namespace modelguard::daemon {

class Commands {
  public:
    /// `device` is borrowed. Units are used where `places` are those of the system and their template is installed.
    Commands(sys::Loop& loop, const store::Places& places, const DeviceConfig& device);
    ~Commands();
    Commands(const Commands&) = delete;
    Commands& operator=(const Commands&) = delete;

    /// See sys::RunCommand. Where units are used one of a name runs at a time, the next ones wait; whoever asks must be
    /// gone before this is.
    Result<std::unique_ptr<sys::CommandRun>> run(std::string_view name, std::vector<std::string> environment,
                                                 sys::CommandDone done);
    /// The same to hand on.
    sys::RunCommand runner();

  private:
    class Units;
    sys::Loop& loop_;
    sys::Path config_;
    const DeviceConfig& device_;
    std::unique_ptr<Units> units_;  ///< nullptr: children
};

/// The inside of modelguard-check@INSTANCE.service: runs the command or script as its user (a command's: modelguard
/// unless told otherwise; a script's: root), prints its output and leaves what it came to where the daemon reads it.
/// Blocks until then. Exit status: 0 it was run, whatever it came to, or could not be run and that was left; 2 no such
/// instance; 6 nothing could be left.
int run_command_unit(const std::string& instance);

}  // namespace modelguard::daemon
