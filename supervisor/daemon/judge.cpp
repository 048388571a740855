#include "supervisor/daemon/judge.hpp"

#include <algorithm>

#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

void QuietRoom::ask(const void* owner, std::function<void()> enter) {
    if (inside_ == nullptr) {
        inside_ = owner;
        return enter();
    }
    queue_.push_back({owner, std::move(enter)});
}

void QuietRoom::leave(const void* owner) {
    std::erase_if(queue_, [&](const Waiting& waiting) { return waiting.owner == owner; });
    if (inside_ != owner) return;
    inside_ = nullptr;
    if (queue_.empty()) return;
    Waiting next = std::move(queue_.front());
    queue_.pop_front();
    inside_ = next.owner;
    next.enter();
}

Judging::Judging(JudgingSpec spec, QuietRoom& room, std::function<void(Judgement)> done)
    : spec_(std::move(spec)), room_(room), done_(std::move(done)) {
    for (const bool late : {false, true})
        for (const ConfiguredCheck& check : spec_.manifest->checks) {
            if ((check.kind->needs_server || check.kind->late) != late) continue;
            if (spec_.light && (check.kind->compares || check.kind->alone)) continue;
            order_.push_back(&check);
        }
    turn_ = spec_.context.loop.defer([this] { next(); });
}

Judging::~Judging() {
    running_.reset();
    room_.leave(this);
}

void Judging::next() {
    if (index_ == order_.size()) return conclude();
    if (!order_[index_]->kind->alone) return run_current();
    room_.ask(this, [this] { turn_ = spec_.context.loop.defer([this] { run_current(); }); });
}

void Judging::run_current() {
    const ConfiguredCheck& check = *order_[index_];
    const auto baseline = spec_.baselines.find(check.name);
    spec_.context.baseline = nullptr;
    if (baseline != spec_.baselines.end()) {
        baseline_ = baseline->second;
        spec_.context.baseline = &baseline_;
    }
    told_probes_ = 0;
    spec_.context.on_probe = [this, &check](const checks::ProbeTold& probe) {
        ++told_probes_;
        if (spec_.on_probe) spec_.on_probe(check.name, probe);
    };
    began_ = sys::boottime_now();
    running_ =
        check.check->start(spec_.context, [this](checks::CheckOutcome outcome) { took_outcome(std::move(outcome)); });
}

void Judging::took_outcome(checks::CheckOutcome outcome) {
    const ConfiguredCheck& check = *order_[index_];
    if (check.kind->alone) room_.leave(this);
    tell_other_probes(check.name, outcome);
    core::CheckReport report{.check = check.name,
                             .kind = std::string(check.kind->name),
                             .required = check.required,
                             .verdict = outcome.verdict,
                             .code = std::move(outcome.code),
                             .text = std::move(outcome.text),
                             .measured = outcome.measured,
                             .limit = outcome.limit,
                             .baseline = outcome.baseline,
                             .unit = std::move(outcome.unit),
                             .probes = outcome.probes,
                             .took = sys::boottime_now() - began_};
    const bool ends = check.required && outcome.verdict != core::VerdictKind::pass;
    judgement_.reports.push_back(std::move(report));
    if (!outcome.measurement.empty() && check.kind->compares)
        judgement_.measurements[check.name] = std::move(outcome.measurement);
    // A baseline wants every measurement it can get; only a server that does not answer at all makes the rest
    // pointless.
    const bool baseline = spec_.context.purpose == core::JudgePurpose::baseline;
    if (ends && !(baseline && check.kind->compares)) return conclude();
    ++index_;
    turn_ = spec_.context.loop.defer([this] { next(); });
}

/// Of a kind without an inference protocol the outcome says what its last probe came to; those before it were repeated,
/// since nobody answered.
void Judging::tell_other_probes(const std::string& check, const checks::CheckOutcome& outcome) {
    if (!spec_.on_probe) return;
    for (; told_probes_ < outcome.probes; ++told_probes_) {
        const bool last = told_probes_ + 1 == outcome.probes;
        const bool answered = last && outcome.verdict != core::VerdictKind::inconclusive;
        const bool passed = outcome.verdict == core::VerdictKind::pass;
        spec_.on_probe(check, {.outcome = !answered ? checks::Outcome::unreachable
                                          : passed  ? checks::Outcome::ok
                                                    : checks::Outcome::broken});
    }
}

void Judging::conclude() {
    const auto any = [&](core::VerdictKind verdict) {
        return std::ranges::any_of(judgement_.reports,
                                   [&](const core::CheckReport& r) { return r.required && r.verdict == verdict; });
    };
    judgement_.verdict = any(core::VerdictKind::fail)           ? core::VerdictKind::fail
                         : any(core::VerdictKind::inconclusive) ? core::VerdictKind::inconclusive
                                                                : core::VerdictKind::pass;
    // On the next turn: the check that ended is still on the stack here, and the receiver usually drops this object.
    turn_ = spec_.context.loop.defer([this] {
        const auto done = std::move(done_);
        Judgement judgement = std::move(judgement_);
        done(std::move(judgement));
    });
}

}  // namespace modelguard::daemon
