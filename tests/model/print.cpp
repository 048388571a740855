#include "tests/model/print.hpp"

#include <sstream>

namespace modelguard::model {

using namespace core;

namespace {

std::string name(const VersionId& version) { return version.empty() ? "-" : version.short_form(); }
std::string text(std::string_view word) { return std::string(word); }

std::string describe_os(const OsView& os) {
    std::string line;
    for (const Deployment& d : os.deployments) {
        line += (line.empty() ? "" : " ") + d.id;
        if (d.id == os.booted) line += "(booted)";
        if (d.id == os.default_) line += "(default)";
        if (d.id == os.staged) line += "(staged)";
    }
    return line + (os.fell_back ? " fell back" : "");
}

std::string_view word(SwitchResult result) {
    switch (result) {
        case SwitchResult::done: return "done";
        case SwitchResult::refused: return "refused";
        case SwitchResult::failed: return "failed";
    }
    return "";
}

}  // namespace

std::string describe(const Event& event) {
    std::ostringstream out;
    std::visit(overloaded{
                   [&](const Started& e) {
                       out << "Started boot=" << e.boot_id << (e.boot_complete ? " complete" : "")
                           << " os: " << describe_os(e.os);
                       for (const auto& [model, link] : e.links)
                           out << " link " << model << "=" << name(link);
                   },
                   [&](const OsObserved& e) { out << "OsObserved " << describe_os(e.os); },
                   [&](const BootCompleted&) { out << "BootCompleted"; },
                   [&](const ManifestApplied& e) { out << "ManifestApplied " << e.model << " " << e.facts.rev; },
                   [&](const ManifestGone& e) { out << "ManifestGone " << e.model; },
                   [&](const RemoveRequested& e) { out << "RemoveRequested " << e.model << " #" << e.seq; },
                   [&](const VersionWanted& e) {
                       out << "VersionWanted " << e.model << " " << name(e.version) << " #" << e.seq;
                   },
                   [&](const RollbackRequested& e) {
                       out << "RollbackRequested " << e.model << " seen=" << name(e.seen_current)
                           << " to=" << name(e.to) << " #" << e.seq;
                   },
                   [&](const PinRequested& e) {
                       out << "PinRequested " << e.model << " " << name(e.version) << " #" << e.seq;
                   },
                   [&](const UnpinRequested& e) { out << "UnpinRequested " << e.model << " #" << e.seq; },
                   [&](const UnrejectRequested& e) {
                       out << "UnrejectRequested " << e.model << " " << name(e.version) << " #" << e.seq;
                   },
                   [&](const OsRollbackRequested& e) { out << "OsRollbackRequested #" << e.seq; },
                   [&](const VersionVerified& e) {
                       out << "VersionVerified " << e.model << " " << name(e.version)
                           << (e.intact ? " intact" : " CORRUPT") << " w" << e.work_id;
                   },
                   [&](const VersionDamaged& e) { out << "VersionDamaged " << e.model << " " << name(e.version); },
                   [&](const PreflightStarted& e) {
                       out << "PreflightStarted " << e.model << (e.ok ? " ok" : " FAILED") << " w" << e.work_id;
                   },
                   [&](const SwitchDone& e) {
                       out << "SwitchDone " << e.model << " " << name(e.version) << " " << word(e.result)
                           << (e.link_moved ? " link moved" : "") << " w" << e.work_id;
                   },
                   [&](const ServiceRestarted& e) {
                       out << "ServiceRestarted " << e.model << (e.ok ? " ok" : " FAILED") << " w" << e.work_id;
                   },
                   [&](const core::Verdict& e) {
                       out << "Verdict " << e.model << " " << to_word(e.subject) << " " << to_word(e.where) << " "
                           << to_word(e.verdict) << " w" << e.work_id;
                   },
                   [&](const TimerExpired& e) {
                       out << "TimerExpired " << (e.model.empty() ? "device" : e.model) << " " << to_word(e.timer);
                   },
                   [&](const OsActionDone& e) {
                       out << "OsActionDone " << to_word(e.verb) << (e.ok ? " ok" : " FAILED") << " w" << e.work_id;
                   },
               },
               event);
    return out.str();
}

std::string describe(const Action& action) {
    std::ostringstream out;
    std::visit(overloaded{
                   [&](const Verify& a) {
                       out << "Verify " << name(a.version) << (a.depth == VerifyDepth::full ? " full" : " stamps");
                   },
                   [&](const Judge& a) {
                       out << "Judge " << to_word(a.purpose) << " " << to_word(a.subject) << " " << name(a.version)
                           << " by " << a.manifest_rev;
                   },
                   [&](const Watch& a) {
                       out << "Watch " << to_word(a.subject) << " " << name(a.version) << " by " << a.manifest_rev;
                   },
                   [&](const StopProbing&) { out << "StopProbing"; },
                   [&](const StartPreflight& a) { out << "StartPreflight " << name(a.version); },
                   [&](const StopPreflight&) { out << "StopPreflight"; },
                   [&](const Switch& a) {
                       out << "Switch " << name(a.from) << "→" << name(a.to) << " by " << a.manifest_rev
                           << (a.way_back ? " (way back)" : "");
                   },
                   [&](const RestartService&) { out << "RestartService"; },
                   [&](const MarkKnownGood& a) { out << "MarkKnownGood " << name(a.version); },
                   [&](const ForgetModel&) { out << "ForgetModel"; },
                   [&](const StartTimer& a) { out << "StartTimer " << to_word(a.timer); },
                   [&](const StopTimer& a) { out << "StopTimer " << to_word(a.timer); },
                   [&](const DropStaged& a) { out << "DropStaged " << a.deployment; },
                   [&](const OrderOs& a) { out << "OrderOs " << a.target; },
                   [&](const ConfirmOsDefault& a) { out << "ConfirmOsDefault " << a.target; },
                   [&](const Reboot& a) { out << "Reboot " << a.target; },
               },
               action);
    if (work_id(action) != 0) out << " w" << work_id(action);
    return model_of(action).empty() ? out.str() : model_of(action) + ": " + out.str();
}

std::string describe(const Decision& decision) {
    std::string line = text(to_word(decision.kind)) + " " + name(decision.version);
    if (!decision.model.empty()) line = decision.model + ": " + line;
    if (decision.seq != 0) line += " #" + std::to_string(decision.seq);
    if (decision.blame != Blame::none) line += " blame=" + text(to_word(decision.blame));
    if (!decision.code.empty()) line += " (" + decision.code + ")";
    return line;
}

std::string describe(const Node& node) {
    std::ostringstream out;
    for (const auto& [model, s] : node.state.models) {
        const Outside& outside = node.world.models.at(model);
        out << "      " << model << ": " << to_word(s.phase) << " current=" << name(s.current)
            << " link=" << name(outside.link);
        if (s.work.kind != WorkKind::none) out << " waits for " << to_word(s.work.kind) << " w" << s.work.id;
        if (s.trial)
            out << " trial=" << name(s.trial->version) << "/" << s.trial->manifest.rev << " boots=" << s.trial->boots
                << (s.trial->abort ? " abort=" + text(to_word(*s.trial->abort)) : "");
        if (s.revert) {
            out << " revert→" << name(s.revert->target) << " cause=" << to_word(s.revert->cause) << " left=";
            for (const VersionId& version : s.revert->left)
                out << name(version) << ",";
        }
        if (s.wish) out << " wish=" << name(s.wish->version);
        out << " known-good=";
        for (const KnownGood& good : s.known_good)
            out << name(good.version) << "@" << (good.os.empty() ? "?" : good.os.back()) << ",";
        if (!s.rejected.empty()) out << " rejected=";
        for (const Rejection& rejection : s.rejected)
            out << name(rejection.version) << (rejection.manifest_rev.empty() ? "" : "/" + rejection.manifest_rev)
                << ",";
        if (!s.pinned.empty()) out << " pinned=" << name(s.pinned);
        if (!s.managed) out << " unmanaged";
        if (s.waits_for_os) out << " waits-for-os";
        out << " used=" << s.used.reprobes << "," << s.used.restarts << "," << s.used.waits << "," << s.used.switches;
        if (!s.timers.empty()) out << " timers=";
        for (const Timer timer : s.timers)
            out << to_word(timer) << ",";
        if (!s.code.empty()) out << " code=" << s.code;
        out << "\n";
    }
    out << "      os: " << describe_os(node.world.os) << (node.state.os.boot_complete ? " boot-complete" : "");
    if (const auto& pending = node.state.os.pending)
        out << " pending→" << pending->target << " " << to_word(pending->step) << " attempts=" << pending->attempts;
    if (node.state.os.verb) out << " waits for " << to_word(*node.state.os.verb);
    out << "\n";
    return out.str();
}

}  // namespace modelguard::model
