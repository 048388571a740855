#pragma once
// A device for scenarios: a State that events are put to, with the answers that core waits for given in one word.
// Not for enumerating: that is tests/model.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/step.hpp"

namespace modelguard::core {

inline VersionId version(const std::string& name) { return VersionId{name}; }

inline CheckReport report(VerdictKind verdict) {
    return {.check = "accuracy",
            .kind = "accuracy",
            .verdict = verdict,
            .code = verdict == VerdictKind::fail ? "below_min" : "timed_out",
            .text = "0.31 right, at least 0.90 wanted"};
}

class Device {
  public:
    State state;
    Policy policy;
    Step last;
    std::vector<Decision> history;
    std::uint64_t next_seq{1};
    OsView os;
    int boots{1};

    /// A booted device that has its manifest and serves nothing.
    explicit Device(const ManifestFacts& facts = {.rev = "r1"}) {
        os.deployments = {{.id = "os1.0", .identity = "os1", .newness = 1}};
        os.booted = os.default_ = "os1.0";
        happens(Started{.boot_id = "boot-1", .boot_complete = true, .os = os, .links = {}});
        happens(ManifestApplied{"m", facts});
    }

    Device& happens(const Event& event) {
        last = step(state, event, policy);
        state = last.state;
        history.insert(history.end(), last.decisions.begin(), last.decisions.end());
        return *this;
    }

    ModelState& m(const std::string& name = "m") { return state.models.at(name); }
    Phase phase() { return m().phase; }
    std::string current() { return m().current.text; }
    std::string lkg_name() { return lkg(m()) ? lkg(m())->version.text : ""; }
    bool is_rejected(const std::string& name) { return find_rejection(m(), version(name), "") != nullptr; }

    // ---- what is asked
    std::uint64_t deploy(const std::string& name) {
        happens(VersionWanted{"m", version(name), next_seq, Origin::command});
        return next_seq++;
    }
    std::uint64_t rollback(const std::string& to = "") {
        happens(RollbackRequested{"m", m().current, version(to), next_seq});
        return next_seq++;
    }
    std::uint64_t pin(const std::string& name) {
        happens(PinRequested{"m", version(name), next_seq});
        return next_seq++;
    }

    // ---- the answers
    Device& verdict(VerdictKind kind, const std::string& name = "m") {
        return happens(
            Verdict{.model = name,
                    .work_id = m(name).work.id,
                    .where = m(name).phase == Phase::preflight ? Where::preflight : Where::in_place,
                    .verdict = kind,
                    .reports = kind == VerdictKind::pass ? std::vector<CheckReport>{} : std::vector{report(kind)}});
    }
    Device& passes() { return verdict(VerdictKind::pass); }
    Device& fails() { return verdict(VerdictKind::fail); }
    Device& silent() { return verdict(VerdictKind::inconclusive); }
    Device& verified(bool intact = true) {
        const auto* asked = action<Verify>();
        return happens(
            VersionVerified{"m", m().work.id, asked ? asked->version : version(""), intact, intact ? "" : "bad hash"});
    }
    /// The candidate is found intact before it is switched to.
    Device& switched(SwitchResult result = SwitchResult::done, bool moved = true) {
        if (m().phase == Phase::switching && m().work.kind == WorkKind::verify) verified();
        return happens(SwitchDone{"m", m().work.id, {}, result, moved, result == SwitchResult::done ? "" : "HTTP 400"});
    }
    Device& restarted(bool ok = true) { return happens(ServiceRestarted{"m", m().work.id, ok, ""}); }
    Device& preflight_started(bool ok = true) {
        return happens(PreflightStarted{"m", m().work.id, ok, ok ? "" : "no port"});
    }
    Device& expires(Timer timer) { return happens(TimerExpired{"m", timer}); }
    Device& os_done(bool ok = true) {
        return happens(OsActionDone{*state.os.verb, state.os.work_id, ok, ok ? "" : "locked"});
    }

    /// The daemon starts again on this boot; the link is where core last knew it, or at `link`.
    Device& restarts_daemon(std::optional<std::string> link = {}) {
        return happens(Started{.boot_id = "boot-" + std::to_string(boots),
                               .boot_complete = state.os.boot_complete,
                               .os = os,
                               .links = {{"m", version(link ? *link : current())}}});
    }
    /// A new boot, not complete yet.
    Device& reboots(const std::string& into = "", bool fell_back = false) {
        if (!into.empty()) os.booted = into;
        os.fell_back = fell_back;
        return happens(Started{.boot_id = "boot-" + std::to_string(++boots),
                               .boot_complete = false,
                               .os = os,
                               .links = {{"m", m().current}}});
    }
    /// An update is booted: os2, with the old one as the way back.
    Device& updates_os() {
        os.deployments.push_back({.id = "os2.0", .identity = "os2", .newness = 2});
        os.default_ = "os2.0";
        return reboots("os2.0");
    }

    // ---- shortcuts: the whole way
    /// Deploys and answers everything well until the version is known-good.
    Device& install(const std::string& name) {
        deploy(name);
        return goes_well();
    }
    Device& goes_well() {
        for (int i = 0; i < 30 && !is_at_rest(phase()); ++i)
            answer_well();
        return *this;
    }
    void answer_well() {
        switch (m().work.kind) {
            case WorkKind::verify: verified(); return;
            case WorkKind::judge: passes(); return;
            case WorkKind::start_preflight: preflight_started(); return;
            case WorkKind::switch_version: switched(); return;
            case WorkKind::restart_service: restarted(); return;
            case WorkKind::watch:
                if (phase() == Phase::soaking) expires(Timer::soak);
                return;
            case WorkKind::none: expires(Timer::retry); return;
        }
    }
    /// From a deploy up to the first judging of the candidate in place.
    Device& reaches_trial(const std::string& name) {
        deploy(name);
        for (int i = 0; i < 30 && phase() != Phase::trial; ++i)
            answer_well();
        return *this;
    }
    /// What serves fails, and goes on failing until core stops probing and restarting and lays the blame.
    Device& fails_through_the_rungs() {
        if (m().work.kind == WorkKind::watch) fails();
        while (m().work.kind == WorkKind::judge || m().work.kind == WorkKind::restart_service)
            m().work.kind == WorkKind::judge ? fails() : restarted();
        return *this;
    }
    /// From `reverting`: the target is verified, switched to and waits for its verdict.
    Device& reaches_verifying() {
        if (m().work.kind == WorkKind::verify) verified();
        return switched();
    }

    // ---- what came of the last event
    template <class T>
    const T* action() const {
        for (auto it = last.actions.rbegin(); it != last.actions.rend(); ++it)
            if (const auto* found = std::get_if<T>(&*it)) return found;
        return nullptr;
    }
    const Decision* told(DecisionKind kind) const {
        const auto found = std::ranges::find(last.decisions, kind, &Decision::kind);
        return found == last.decisions.end() ? nullptr : &*found;
    }
    bool ever_told(DecisionKind kind) const {
        return std::ranges::find(history, kind, &Decision::kind) != history.end();
    }
    /// The decision that ended request `seq`; nullptr while it is open.
    const Decision* answer_to(std::uint64_t seq) const {
        const auto found = std::ranges::find(history, seq, &Decision::seq);
        return found == history.end() ? nullptr : &*found;
    }
    bool ran_os_action() const { return action<OrderOs>() || action<Reboot>() || action<DropStaged>(); }
};

}  // namespace modelguard::core
