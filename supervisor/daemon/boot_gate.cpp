#include "supervisor/daemon/boot_gate.hpp"

#include <fstream>

#include "supervisor/core/gate.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::daemon {

namespace {
constexpr std::size_t kMostBytes = 1u << 20;
constexpr unsigned kMode = 0644;

std::string_view name_of(Greenboot greenboot) {
    switch (greenboot) {
        case Greenboot::none: return "none";
        case Greenboot::bash: return "greenboot";
        case Greenboot::rs: return "greenboot-rs";
    }
    return "";
}
}  // namespace

BootGate::BootGate(sys::Path file, Greenboot greenboot, std::vector<core::GateScript> scripts)
    : file_(std::move(file)), greenboot_(greenboot), scripts_(std::move(scripts)) {
    const auto text = sys::read_file(file_, kMostBytes);
    if (!text) return;
    if (auto kept = api::gate_from_json(*text)) decided_ = std::move(*kept);
}

bool BootGate::is_decided(const core::State& state) const { return decided_ && decided_->boot_id == state.os.boot_id; }

void BootGate::run_scripts(const Runner& runner, const sys::RunCommand& run,
                           std::function<void(const core::GateScript&)> ended) {
    if (!is_decided(runner.state())) scripts_.start(run, std::move(ended));
}

api::Gate BootGate::answer(const Runner& runner) {
    const core::State& state = runner.state();
    if (is_decided(state)) {
        decided_->boot_complete = state.os.boot_complete;
        return *decided_;
    }
    const core::Gate now =
        core::decide_gate(state, {.red_boot_reboots = greenboot_ == Greenboot::rs,
                                  .is_judged = [&](const auto& model) { return runner.latest(model) != nullptr; },
                                  .scripts = scripts_.scripts()});
    api::Gate gate{.boot_id = state.os.boot_id,
                   .verdict = std::string(core::to_word(now.verdict)),
                   .greenboot = std::string(name_of(greenboot_)),
                   .boot_trial = state.os.view.boot_trial,
                   .boot_complete = state.os.boot_complete,
                   .reasons = {}};
    for (const core::GateReason& reason : now.reasons)
        gate.reasons.push_back(
            {reason.model, reason.script, std::string(core::to_word(reason.verdict)), reason.is_warning, reason.text});
    if (now.verdict == core::GateVerdict::pending || runner.storage_failed()) return gate;
    decided_ = gate;
    // Where it cannot be written a restarted daemon decides anew.
    std::ignore = sys::replace_file(file_, api::to_json(gate) + "\n", kMode);
    return gate;
}

Greenboot installed_greenboot(const sys::Path& root) {
    std::ifstream program(root / kGreenbootProgram, std::ios::binary);
    char first[4]{};
    program.read(first, sizeof first);
    return greenboot_of(std::string_view(first, static_cast<std::size_t>(program.gcount())));
}

}  // namespace modelguard::daemon
