#include "supervisor/daemon/metrics.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace modelguard::daemon {

namespace {
// From a probe over loopback to the longest that a check waits.
constexpr std::array kProbeBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0};
// From a link that is replaced to a large model that is loaded again.
constexpr std::array kRollbackBounds{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0};
// From a bad version that shows at once to a soak over a week.
constexpr std::array kTrialBounds{1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800., 3600.0, 7200.0, 21600., 86400.0, 604800.0};

constexpr MetricFamily kBuildInfo{"modelguard_build_info", MetricType::info, "The release of modelguardd that runs."};
constexpr MetricFamily kModelInfo{"modelguard_model_info", MetricType::info, "The version that is current."};
constexpr MetricFamily kKnownGoodInfo{"modelguard_known_good_info", MetricType::info,
                                      "The last known-good version, and the newest OS deployment it passed on."};
constexpr MetricFamily kAvailable{"modelguard_model_available", MetricType::gauge,
                                  "1 where the model is healthy, as `status` and the boot gate see it, else 0."};
constexpr MetricFamily kPhase{"modelguard_model_phase", MetricType::gauge, "1 for the phase the model is in, else 0."};
constexpr MetricFamily kProbes{"modelguard_probes_total", MetricType::counter,
                               "Probes of the checks, by what each came to."};
constexpr MetricFamily kProbeDuration{"modelguard_probe_duration_seconds", MetricType::histogram,
                                      "Time from the request of an inference to the end of its answer.", "seconds"};
constexpr MetricFamily kFirstToken{"modelguard_time_to_first_token_seconds", MetricType::histogram,
                                   "Of an answer that came as a stream: time from the request to its first token.",
                                   "seconds"};
constexpr MetricFamily kLaterTokens{"modelguard_time_per_output_token_seconds", MetricType::histogram,
                                    "Of an answer that came as a stream: mean time between its tokens.", "seconds"};
constexpr MetricFamily kVerdicts{"modelguard_verdicts_total", MetricType::counter,
                                 "Verdicts of judgings, passes of the steady watch included; reason is the code of the "
                                 "first required check that did not pass."};
constexpr MetricFamily kTrialDuration{"modelguard_trial_duration_seconds", MetricType::histogram,
                                      "Time from the beginning of a trial to its decision, the soak included.",
                                      "seconds"};
constexpr MetricFamily kRollbacks{"modelguard_rollbacks_total", MetricType::counter,
                                  "Ways back that ended with a version, or an OS deployment, that works."};
constexpr MetricFamily kRollbackDuration{
    "modelguard_rollback_duration_seconds", MetricType::histogram,
    "Time from the decision to go back until the version gone back to serves and passes.", "seconds"};

constexpr std::array kPhases{core::Phase::empty,     core::Phase::kept,      core::Phase::baselining,
                             core::Phase::preflight, core::Phase::switching, core::Phase::trial,
                             core::Phase::soaking,   core::Phase::steady,    core::Phase::reverting,
                             core::Phase::verifying, core::Phase::degraded,  core::Phase::held};
constexpr std::string_view kJoined = "joined";  // a second request that has the answer of the first

double seconds(Usec time) { return std::chrono::duration<double>(time).count(); }

void add(std::map<std::vector<std::string>, Histogram>& histograms, const std::vector<std::string>& key,
         std::span<const double> bounds, Usec time) {
    histograms.try_emplace(key, bounds).first->second.add(seconds(time));
}

/// The unit that a metric's name ends with.
std::string_view unit_of(std::string_view name) { return name.substr(name.rfind('_') + 1); }
}  // namespace

void Metrics::probed(const std::string& model, const Digest& version, const std::string& check,
                     const checks::ProbeTold& probe) {
    ++probes_[{model, version.short_form(), check, std::string(checks::to_word(probe.outcome))}];
    const Key key{model, version.short_form()};
    if (probe.took) add(probe_durations_, key, kProbeBounds, *probe.took);
    if (!probe.streamed) return;
    const checks::Streamed& streamed = *probe.streamed;
    add(first_tokens_, key, kProbeBounds, streamed.first);
    if (streamed.tokens > 1)
        add(later_tokens_, key, kProbeBounds, (streamed.last - streamed.first) / (streamed.tokens - 1));
}

void Metrics::judged(const std::string& model, const Digest& version, core::Subject subject, core::VerdictKind verdict,
                     const std::vector<core::CheckReport>& reports) {
    std::string reason = "ok";
    for (const core::CheckReport& report : reports) {
        const checks::CheckKind* kind = checks::find_kind(report.kind);
        if (report.measured && kind && !kind->metric.empty())
            measured_[kind->metric][{model, version.short_form(), report.check}] = *report.measured;
        if (reason == "ok" && report.required && report.verdict != core::VerdictKind::pass) reason = report.code;
    }
    ++verdicts_[{model, std::string(core::to_word(subject)), std::string(core::to_word(verdict)), reason}];
}

void Metrics::decided(const core::Decision& decision, Instant now) {
    const std::string& model = decision.model;
    const auto end = [&](std::map<std::string, Instant>& began, std::map<Key, Histogram>& durations,
                         std::span<const double> bounds) {
        if (const auto since = began.extract(model)) add(durations, {model}, bounds, now - since.mapped());
    };
    switch (decision.kind) {
        case core::DecisionKind::trial_started: trials_began_[model] = now; break;
        case core::DecisionKind::rolling_back:
            end(trials_began_, trial_durations_, kTrialBounds);
            rollbacks_began_[model] = now;
            break;
        case core::DecisionKind::accepted:
        case core::DecisionKind::rejected:
        case core::DecisionKind::undecided:
        case core::DecisionKind::manifest_accepted:
        case core::DecisionKind::manifest_rejected:
        case core::DecisionKind::manifest_undecided: end(trials_began_, trial_durations_, kTrialBounds); break;
        case core::DecisionKind::rolled_back:
            if (decision.code == kJoined) break;
            ++rollbacks_[{model, "model", decision.code}];
            end(rollbacks_began_, rollback_durations_, kRollbackBounds);
            break;
        case core::DecisionKind::os_rolled_back: ++rollbacks_[{"", "os", decision.code}]; break;
        case core::DecisionKind::degraded:
        case core::DecisionKind::held:
        case core::DecisionKind::cleared:
        case core::DecisionKind::removed:
            trials_began_.erase(model);
            rollbacks_began_.erase(model);
            break;
        case core::DecisionKind::kept:
        case core::DecisionKind::baseline_measured:
        case core::DecisionKind::preflight_passed:
        case core::DecisionKind::switched:
        case core::DecisionKind::trial_passed:
        case core::DecisionKind::superseded:  // of a wish that was not tried too; a trial goes back or is begun anew
        case core::DecisionKind::refused:
        case core::DecisionKind::recovered:
        case core::DecisionKind::restarted:
        case core::DecisionKind::corrupt:
        case core::DecisionKind::pinned:
        case core::DecisionKind::unpinned:
        case core::DecisionKind::unrejected:
        case core::DecisionKind::unmanaged:
        case core::DecisionKind::resumed:
        case core::DecisionKind::staged_dropped:
        case core::DecisionKind::os_rollback_ordered:
        case core::DecisionKind::os_rollback_failed:
        case core::DecisionKind::os_default_confirmed:
        case core::DecisionKind::rebuilt: break;
    }
}

void Metrics::forget_absent(const MetricFacts& facts) {
    std::set<std::string> models{""};
    std::set<std::pair<std::string, std::string>> versions;
    for (const MetricFacts::Model& model : facts.models) {
        models.insert(model.name);
        for (const std::string& version : model.versions)
            versions.emplace(model.name, version);
    }
    const auto of_model = [&](auto& counts) {
        std::erase_if(counts, [&](const auto& each) { return !models.contains(each.first[0]); });
    };
    const auto of_version = [&](auto& counts) {
        std::erase_if(counts, [&](const auto& each) { return !versions.contains({each.first[0], each.first[1]}); });
    };
    of_version(probes_);
    of_version(probe_durations_);
    of_version(first_tokens_);
    of_version(later_tokens_);
    for (auto& [metric, values] : measured_)
        of_version(values);
    of_model(verdicts_);
    of_model(rollbacks_);
    of_model(trial_durations_);
    of_model(rollback_durations_);
}

void Metrics::write_facts(const MetricFacts& facts, MetricsText& text) const {
    text.begin(kBuildInfo);
    text.sample({{"version", MODELGUARD_VERSION}}, 1);
    text.begin(kModelInfo);
    for (const auto& model : facts.models)
        if (!model.current.digest.empty())
            text.sample({{"model", model.name},
                         {"version", model.current.digest},
                         {"label", model.current.label},
                         {"protocol", model.protocol}},
                        1);
    text.begin(kKnownGoodInfo);
    for (const auto& model : facts.models)
        if (!model.known_good.digest.empty())
            text.sample({{"model", model.name},
                         {"version", model.known_good.digest},
                         {"label", model.known_good.label},
                         {"os_deployment", model.known_good_os}},
                        1);
    text.begin(kAvailable);
    for (const auto& model : facts.models)
        text.sample({{"model", model.name}}, model.available ? 1 : 0);
    text.begin(kPhase);
    for (const auto& model : facts.models)
        for (const core::Phase phase : kPhases) {
            const std::string_view word = core::to_word(phase);
            text.sample({{"model", model.name}, {"phase", word}}, word == model.phase ? 1 : 0);
        }
}

void Metrics::write_counts(MetricsText& text) const {
    text.begin(kProbes);
    for (const auto& [key, count] : probes_)
        text.sample({{"model", key[0]}, {"version", key[1]}, {"check", key[2]}, {"outcome", key[3]}},
                    static_cast<double>(count));
    text.begin(kProbeDuration);
    for (const auto& [key, values] : probe_durations_)
        text.sample({{"model", key[0]}, {"version", key[1]}}, values);
    text.begin(kFirstToken);
    for (const auto& [key, values] : first_tokens_)
        text.sample({{"model", key[0]}, {"version", key[1]}}, values);
    text.begin(kLaterTokens);
    for (const auto& [key, values] : later_tokens_)
        text.sample({{"model", key[0]}, {"version", key[1]}}, values);
    for (const checks::CheckKind* kind : checks::kinds()) {
        const auto measured = measured_.find(kind->metric);
        if (measured == measured_.end()) continue;
        text.begin(
            {kind->metric, MetricType::gauge, "What a check of this kind measured last.", unit_of(kind->metric)});
        for (const auto& [key, value] : measured->second)
            text.sample({{"model", key[0]}, {"version", key[1]}, {"check", key[2]}}, value);
    }
    text.begin(kVerdicts);
    for (const auto& [key, count] : verdicts_)
        text.sample({{"model", key[0]}, {"subject", key[1]}, {"verdict", key[2]}, {"reason", key[3]}},
                    static_cast<double>(count));
    text.begin(kTrialDuration);
    for (const auto& [key, values] : trial_durations_)
        text.sample({{"model", key[0]}}, values);
    text.begin(kRollbacks);
    for (const auto& [key, count] : rollbacks_)
        text.sample({{"scope", key[1]}, {"model", key[0]}, {"reason", key[2]}}, static_cast<double>(count));
    text.begin(kRollbackDuration);
    for (const auto& [key, values] : rollback_durations_)
        text.sample({{"model", key[0]}}, values);
}

std::string Metrics::page(const MetricFacts& facts, MetricsFormat format) {
    forget_absent(facts);
    MetricsText text(format);
    write_facts(facts, text);
    write_counts(text);
    return text.take();
}

}  // namespace modelguard::daemon
