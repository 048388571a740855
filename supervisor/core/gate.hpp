#pragma once
// The boot gate: may this boot be called good? Pure, from the state of the device. What follows from the answer is not
// here: greenboot, systemd and whoever else watches the boot act on it (DESIGN.md section 10).

#include <functional>

#include "supervisor/core/values.hpp"

namespace modelguard::core {

enum class GateVerdict {
    pass,
    fail,     ///< the OS is to blame, or a required script says so
    pending,  ///< what a required model is worth on this boot, or a script comes to, is not known yet
};

/// A drop-in script of the device's, as far as it has come on this boot.
struct GateScript {
    std::string name;  ///< the file's
    bool is_required{false};
    bool has_ended{false};
    bool passed{false};
    std::string text;  ///< why not

    bool operator==(const GateScript&) const = default;
};

/// "required.d/10_disk.sh", as people know it.
std::string file_of(const GateScript& script);

struct GateFacts {
    bool red_boot_reboots{false};  ///< greenboot-rs: a failing gate reboots at once, even where no OS is on trial
    std::function<bool(const std::string& model)> is_judged;  ///< its checks have run since the boot
    std::vector<GateScript> scripts{};
};

/// What the gate says of one required model, or of one script.
struct GateReason {
    std::string model;   ///< empty: of a script
    std::string script;  ///< "required.d/10_disk.sh"
    GateVerdict verdict{GateVerdict::pending};
    bool is_warning{false};  ///< something is wrong, and another boot or OS would not help
    std::string text;        ///< one line for people; empty: nothing is wrong

    bool operator==(const GateReason&) const = default;
};

struct Gate {
    GateVerdict verdict{GateVerdict::pending};
    std::vector<GateReason> reasons;  ///< of each required and managed model, sorted by its name; then of each script
};

/// fail where one fails, else pending where one is, else pass. A model that is rolled back, on trial, degraded by its
/// environment or not installed keeps no boot from being good: another OS would not help it. A required script that
/// fails does, a wanted one is a warning.
Gate decide_gate(const State& state, const GateFacts& facts);

std::string_view to_word(GateVerdict);

}  // namespace modelguard::core
