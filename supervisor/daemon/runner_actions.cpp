// The runner's hands: each of core's actions with the real store, checks and switch.

#include <algorithm>

#include "supervisor/daemon/active.hpp"
#include "supervisor/daemon/device_limits.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::daemon {

namespace {
constexpr Usec kVerifyRetry = std::chrono::seconds(2);
constexpr Usec kLinkRetry = std::chrono::seconds(1);
/// In the steady state every pass asks `ready` with one inference; the whole set is run once in so many passes
/// (five minutes at the default period), since 10 models with hundreds of inferences each would load a small device.
constexpr unsigned kFullPassEvery = 30;
}  // namespace

Runner::Active& Runner::active(const std::string& model) {
    auto& slot = active_[model];
    if (!slot) slot = std::make_unique<Active>();
    return *slot;
}

void Runner::perform(const core::Action& action) {
    std::visit([this](const auto& what) { perform(what); }, action);
}

void Runner::remember(const std::string& model, const Digest& version_id, core::Subject subject,
                      const Judgement& judgement) {
    metrics_.judged(model, version_id, subject, judgement.verdict, judgement.reports);
    LatestChecks& latest = latest_[model];
    latest.wall_usec = sys::wall_now_usec();
    for (const core::CheckReport& report : judgement.reports) {
        const auto known = std::ranges::find(latest.reports, report.check, &core::CheckReport::check);
        if (known == latest.reports.end())
            latest.reports.push_back(report);
        else
            *known = report;
    }
}

// ---- versions ----------------------------------------------------------------------------------------------------

void Runner::perform(const core::Verify& action) { verify_again(action); }

void Runner::verify_again(const core::Verify& action) {
    const store::VersionInfo* info = version(action.model, action.version);
    const std::string stamps = info && action.depth == core::VerifyDepth::stamps ? info->stamps : std::string();
    Active& a = active(action.model);
    a.verifying = parts_.versions.verify(
        action.model, action.version, stamps, [this, action](Result<store::VersionStore::Verified> verified) {
            if (!verified) {
                // Not found out is not corrupt: it is asked again until there is an answer.
                note("version " + action.version.short_form() + " of " + action.model +
                     " could not be verified, again in " + format_duration(kVerifyRetry) + ": " +
                     verified.error().what);
                active(action.model).pause =
                    parts_.loop.add_timer(kVerifyRetry, [this, action] { verify_again(action); });
                return;
            }
            Extra extra;
            const store::VersionInfo* known = version(action.model, action.version);
            const bool by_stamps = verified->intact && action.depth == core::VerifyDepth::stamps;
            if (known && !(by_stamps && known->stamps == verified->stamps))
                extra.versions.push_back({action.model, hashed(*known, *verified)});
            later(action.model,
                  core::VersionVerified{action.model, action.work_id, action.version, verified->intact, verified->why},
                  std::move(extra));
        });
}

void Runner::perform(const core::MarkKnownGood& action) {
    marking_.erase(action.model);
    if (const auto marked = mark(action); !marked) {
        note("the known-good link of " + action.model +
             " could not be set, again until it can (the ledger has it): " + marked.error().what);
        mark_again(action);
    }
}

Result<void> Runner::mark(const core::MarkKnownGood& action) {
    const sys::Path link = parts_.versions.places().model_dir(action.model) / "known-good";
    if (action.version.empty()) return sys::remove_symlink(link);
    return sys::replace_symlink(link, "versions/" + action.version.dir_name());
}

void Runner::mark_again(const core::MarkKnownGood& action) {
    marking_[action.model] = parts_.loop.add_timer(kLinkRetry, [this, action] {
        if (!mark(action)) mark_again(action);
    });
}

/// What it has on the disk goes with one rename; where that fails it is made good at the next start.
void Runner::perform(const core::ForgetModel& action) {
    active_.erase(action.model);
    marking_.erase(action.model);
    latest_.erase(action.model);
    versions_.erase(action.model);
    eras_.erase(action.model);
    const auto manifest = manifests_.find_or_newest(action.model, {});
    manifests_.forget(action.model);
    if (const auto removed = parts_.versions.remove_model(action.model); !removed)
        note("what " + action.model +
             " has on the disk could not be removed, again at the next start: " + removed.error().what);
    tidy(action.model, manifest.get());
}

void Runner::tidy(const std::string& model, const Manifest* manifest) {
    if (manifest == nullptr || manifest->switch_kind->tidy == nullptr) return;
    tidying_[model] = manifest->switch_kind->tidy(
        service_context(model, *manifest, {}), [this, model](const rollback::Outcome& outcome) {
            if (outcome.result != core::SwitchResult::done)
                note("what " + model + " keeps for versions that are gone stays for now: " + outcome.why);
            tidying_.erase(model);
        });
}

// ---- probing -----------------------------------------------------------------------------------------------------

std::optional<JudgingSpec> Runner::judging_spec(const std::string& model, const std::string& rev,
                                                const Digest& version_id) {
    auto manifest = manifests_.find(model, rev);
    if (!manifest) return std::nullopt;
    const store::VersionInfo* info = version(model, version_id);
    checks::CheckContext context{.loop = parts_.loop, .http = parts_.http};
    context.target = {manifest->endpoint, manifest->server_model, info ? info->served_version : std::string(),
                      manifest->protocol.get()};
    context.version_dir = parts_.versions.places().version_dir(model, version_id);
    context.ready_within = manifest->ready_within;
    context.key_file = manifest->key_file;
    context.podman_socket = parts_.device.podman_socket;
    context.era = eras_[model];
    context.run_command = parts_.run_command;
    return JudgingSpec{.manifest = std::move(manifest),
                       .context = std::move(context),
                       .on_probe = [this, model, version_id](const std::string& check, const checks::ProbeTold& probe) {
                           metrics_.probed(model, version_id, check, probe);
                       }};
}

void Runner::perform(const core::Judge& action) {
    Active& a = active(action.model);
    a = Active{};
    core::Verdict verdict{.model = action.model,
                          .work_id = action.work_id,
                          .trial_id = action.trial_id,
                          .subject = action.subject,
                          .where = action.where};
    auto spec = judging_spec(action.model, action.manifest_rev, action.version);
    if (!spec) {
        verdict.reports.push_back(
            {.check = "manifest",
             .kind = "manifest",
             .code = "unusable",
             .text = "manifest revision " + action.manifest_rev + " cannot be used by this release"});
        return later(action.model, std::move(verdict));
    }
    spec->context.subject = action.subject;
    spec->context.purpose = action.purpose;
    const bool baseline = action.purpose == core::JudgePurpose::baseline;
    if (baseline) {  // the LKG answers the candidate's items
        const auto& trial = state_.models.find(action.model)->second.trial;
        if (trial) spec->context.version_dir = parts_.versions.places().version_dir(action.model, trial->version);
    } else if (action.use_baseline) {
        if (auto kept = parts_.ledger.measurements(action.model, action.trial_id))
            for (const store::Measurement& measurement : *kept)
                spec->baselines[measurement.check] = measurement.measurement;
    }
    a.judging = std::make_unique<Judging>(
        std::move(*spec), room_,
        [this, baseline, version_id = action.version, verdict = std::move(verdict)](Judgement judgement) mutable {
            remember(verdict.model, version_id, verdict.subject, judgement);
            verdict.verdict = judgement.verdict;
            verdict.reports = std::move(judgement.reports);
            Extra extra;
            if (baseline)
                for (auto& [check, measurement] : judgement.measurements)
                    extra.measurements.push_back({verdict.model, verdict.trial_id, check, std::move(measurement)});
            active(verdict.model).judging.reset();
            post(std::move(verdict), std::move(extra));
        });
}

void Runner::perform(const core::Watch& action) {
    Active& a = active(action.model);
    a = Active{};
    a.watch = action;
    a.turn = parts_.loop.defer([this, model = action.model] { watch_pass(model); });
}

void Runner::watch_pass(const std::string& model) {
    Active& a = active(model);
    const core::Watch& watch = *a.watch;
    auto spec = judging_spec(model, watch.manifest_rev, watch.version);
    if (!spec) return;  // said once when the manifest was loaded; nothing can be asked
    const Usec period = spec->manifest->period;
    spec->context.subject = watch.subject;
    spec->context.purpose = core::JudgePurpose::recheck;
    // What is degraded or held has recovered only if everything passes again.
    const core::Phase phase = state_.models.find(model)->second.phase;
    const bool is_well = phase == core::Phase::steady || phase == core::Phase::soaking;
    spec->light = is_well && ++a.passes % kFullPassEvery != 0;
    const Instant scheduled = sys::boottime_now();
    a.judging =
        std::make_unique<Judging>(std::move(*spec), room_, [this, model, period, scheduled](Judgement judgement) {
            Active& now = active(model);
            remember(model, now.watch->version, now.watch->subject, judgement);
            now.judging.reset();
            const Usec left = std::max(Usec{0}, scheduled + period - sys::boottime_now());
            now.pause = parts_.loop.add_timer(left, [this, model] { watch_pass(model); });
            if (now.told == judgement.verdict) return;
            now.told = judgement.verdict;
            post(core::Verdict{.model = model,
                               .work_id = now.watch->work_id,
                               .subject = now.watch->subject,
                               .verdict = judgement.verdict,
                               .reports = std::move(judgement.reports)});
        });
}

void Runner::perform(const core::StopProbing& action) { active(action.model) = Active{}; }

void Runner::perform(const core::StartPreflight& action) {
    later(action.model, core::PreflightStarted{action.model, action.work_id, false, "this release has no preflight"});
}

void Runner::perform(const core::StopPreflight&) {}  // none was started

// ---- switching ---------------------------------------------------------------------------------------------------

rollback::ServiceContext Runner::service_context(const std::string& model, const Manifest& manifest,
                                                 const Digest& version_id) {
    rollback::ServiceContext context{.loop = parts_.loop,
                                     .http = parts_.http,
                                     .model = model,
                                     .server_model = manifest.server_model,
                                     .endpoint = manifest.endpoint};
    context.model_dir = parts_.versions.places().model_dir(model);
    context.timeout = manifest.ready_within;
    context.podman_socket = parts_.device.podman_socket;
    context.refuse_image = [this, model](std::string_view reference) {
        return refuse_image(reference, model, parts_.device);
    };
    context.run_command = parts_.run_command;
    context.environment = {
        "MODELGUARD_MODEL=" + model, "MODELGUARD_VERSION=" + version_id.text,
        "MODELGUARD_VERSION_DIR=" + parts_.versions.places().version_dir(model, version_id).string()};
    return context;
}

void Runner::perform(const core::Switch& action) {
    Active& a = active(action.model);
    a = Active{};
    ++eras_[action.model];
    const auto manifest = manifests_.find_or_newest(action.model, action.manifest_rev);
    if (!manifest)
        return later(action.model, core::SwitchDone{action.model, action.work_id, action.to, core::SwitchResult::failed,
                                                    false, "no manifest of this model can be used by this release"});
    rollback::SwitchRequest request{.service = service_context(action.model, *manifest, action.to),
                                    .from = action.from,
                                    .to = action.to,
                                    .then = manifest->then,
                                    .then_params = manifest->then_params};
    a.switching = manifest->switch_kind->start(request, [this, action](rollback::Outcome outcome) {
        later(action.model, core::SwitchDone{action.model, action.work_id, action.to, outcome.result,
                                             outcome.link_moved, std::move(outcome.why)});
    });
}

void Runner::perform(const core::RestartService& action) {
    Active& a = active(action.model);
    a = Active{};
    ++eras_[action.model];
    const auto manifest = manifests_.find_or_newest(action.model, action.manifest_rev);
    if (!manifest || !manifest->then)
        return later(action.model, core::ServiceRestarted{action.model, action.work_id, false,
                                                          "its manifest names no way to restart it"});
    const core::VersionId& current = state_.models.find(action.model)->second.current;
    a.switching = manifest->then->start(
        service_context(action.model, *manifest, current), manifest->then_params, rollback::ThenVerb::restart,
        [this, action](const rollback::Outcome& outcome) {
            const bool ok = outcome.result == core::SwitchResult::done;
            later(action.model, core::ServiceRestarted{action.model, action.work_id, ok, outcome.why});
        });
}

// ---- timers ------------------------------------------------------------------------------------------------------

void Runner::perform(const core::StartTimer&) {}  // planned with the commit, started by process()
void Runner::perform(const core::StopTimer&) {}

}  // namespace modelguard::daemon
