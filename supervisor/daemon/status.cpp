#include "supervisor/daemon/status.hpp"

#include <algorithm>

#include "rollback/os_backend.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

namespace {

api::VersionRef version_ref(const Runner& runner, const std::string& model, const Digest& digest) {
    if (digest.empty()) return {};
    const store::VersionInfo* info = runner.version(model, digest);
    return {digest.text, info ? info->label : std::string()};
}

Digest candidate_of(const core::ModelState& s) {
    if (s.trial && s.trial->kind == core::TrialKind::version) return s.trial->version;
    if (s.wish) return s.wish->version;
    return {};
}

/// What an operator would type now; nothing where all is well or will be decided by itself.
std::string next_command(const DeviceFacts& device, const std::string& name, const core::ModelState& s) {
    switch (s.phase) {
        case core::Phase::empty:
            return device.cli + (s.code.empty() ? " deploy " + name + " BUNDLE" : " explain " + name);
        case core::Phase::degraded:
        case core::Phase::held: return device.cli + " explain " + name;
        case core::Phase::kept:
        case core::Phase::baselining:
        case core::Phase::preflight:
        case core::Phase::switching:
        case core::Phase::trial:
        case core::Phase::soaking:
        case core::Phase::steady:
        case core::Phase::reverting:
        case core::Phase::verifying: return {};
    }
    return {};
}

std::int64_t phase_left(const Runner& runner, const std::string& name, const core::ModelState& s) {
    if (s.phase == core::Phase::soaking) return runner.timer_left_usec(name, core::Timer::soak);
    if (s.phase == core::Phase::trial) return runner.timer_left_usec(name, core::Timer::deadline);
    return -1;
}

/// "9f2c51d0aa17" reads better as "version 2 (9f2c51d0aa17)" where the version has a label.
std::string with_labels(const Runner& runner, const std::string& model, std::string line) {
    for (const store::VersionInfo* info : runner.versions_of(model)) {
        if (info->label.empty()) continue;
        const std::string digest = info->digest.short_form();
        const std::string named = "version " + info->label + " (" + digest + ")";
        for (std::size_t at = line.find(digest); at != std::string::npos; at = line.find(digest, at + named.size()))
            line.replace(at, digest.size(), named);
    }
    return line;
}

bool begins_a_story(const core::Decision& decision) {
    if (decision.kind == core::DecisionKind::trial_started) return true;
    return decision.kind == core::DecisionKind::rolling_back && decision.blame == core::Blame::none &&
           (decision.code == "manual" || decision.code == "decayed" || decision.code == "link_moved" ||
            decision.code == "pin");
}

}  // namespace

namespace {
api::OsStatus os_status_of(const Runner& runner) {
    const core::OsState& os = runner.state().os;
    api::OsStatus status{.booted = os.view.booted,
                         .default_deployment = os.view.default_,
                         .staged = os.view.staged,
                         .rollback_target = {},
                         .why_no_target = {},
                         .boot_trial = os.view.boot_trial,
                         .rejected = {},
                         .pending_target = {},
                         .pending_step = {},
                         .reboot_wall_usec = runner.reboot_wall_usec()};
    if (const core::Deployment* target =
            core::os_rollback_target(runner.state(), runner.policy(), status.why_no_target))
        status.rollback_target = target->id;
    for (const std::string& identity : os.rejected) {
        const auto here = std::ranges::find(os.view.deployments, identity, &core::Deployment::identity);
        status.rejected.push_back(here == os.view.deployments.end() ? identity : here->id);
    }
    if (os.pending) {
        status.pending_target = os.pending->target;
        status.pending_step = core::to_word(os.pending->step);
    }
    return status;
}
}  // namespace

api::Status make_status(const Runner& runner, const DeviceFacts& device) {
    const core::State& state = runner.state();
    api::Status status;
    status.version = MODELGUARD_VERSION;
    status.boot_id = state.os.boot_id;
    status.wall_usec = sys::wall_now_usec();
    status.boottime_usec = sys::boottime_now().boottime_usec;
    status.boot_complete = state.os.boot_complete;
    status.os_backend = device.os_backend;
    status.os_booted = device.os_backend == "none" ? std::string() : state.os.view.booted;
    if (device.os_backend != "none") status.os = os_status_of(runner);
    status.notes = device.notes;
    if (runner.storage_failed())
        status.notes.emplace_back(
            "the ledger cannot be written: nothing is decided until it can (is the disk full or read-only?)");
    status.healthy = true;
    for (const auto& [name, s] : state.models) {
        api::ModelStatus& model = status.models.emplace_back();
        model.model = name;
        model.required = s.manifest.required;
        model.managed = s.managed;
        model.healthy = core::is_healthy(s);
        model.phase = core::to_word(s.phase);
        model.current = version_ref(runner, name, s.current);
        model.candidate = version_ref(runner, name, candidate_of(s));
        if (const core::KnownGood* good = core::lkg(s)) model.known_good = version_ref(runner, name, good->version);
        model.pinned = version_ref(runner, name, s.pinned);
        model.code = s.code;
        model.why = s.why;
        if (s.revert && model.why.empty()) model.why = s.revert->code;
        if (const LatestChecks* latest = runner.latest(name)) {
            model.checks = latest->reports;
            model.checked_wall_usec = latest->wall_usec;
        }
        model.phase_left_usec = phase_left(runner, name, s);
        model.rejected_count = std::ssize(s.rejected);
        model.units = runner.units_of(name);
        model.next_command = next_command(device, name, s);
        if (model.required && model.managed && !model.healthy) status.healthy = false;
    }
    return status;
}

MetricFacts make_metric_facts(const Runner& runner, const DeviceFacts& device) {
    const auto version = [&](const std::string& model, const Digest& digest) -> MetricFacts::Version {
        return {digest.short_form(), version_ref(runner, model, digest).label};
    };
    MetricFacts facts;
    for (const auto& [name, s] : runner.state().models) {
        MetricFacts::Model& model = facts.models.emplace_back();
        model.name = name;
        model.phase = core::to_word(s.phase);
        model.available = core::is_healthy(s);
        model.protocol = runner.protocol_of(name);
        model.current = version(name, s.current);
        if (const core::KnownGood* good = core::lkg(s)) {
            model.known_good = version(name, good->version);
            if (device.os_backend != "none" && !good->os.empty()) model.known_good_os = good->os.back();
        }
        for (const store::VersionInfo* info : runner.versions_of(name))
            model.versions.push_back(info->digest.short_form());
    }
    return facts;
}

api::Versions make_versions(const Runner& runner, const std::string& model) {
    const core::ModelState& s = runner.state().models.find(model)->second;
    const core::KnownGood* lkg = core::lkg(s);
    api::Versions versions{.model = model, .items = {}};
    for (const store::VersionInfo* info : runner.versions_of(model)) {
        api::VersionItem& item = versions.items.emplace_back();
        item.digest = info->digest.text;
        item.label = info->label;
        item.served_version = info->served_version;
        item.bytes = info->bytes;
        item.files = info->files;
        item.imported_wall_usec = info->imported_wall_usec;
        item.verified_wall_usec = info->verified_wall_usec;
        item.damage = info->damage;
        item.current = info->digest == s.current;
        item.known_good = core::find_known_good(s, info->digest) != nullptr;
        item.lkg = lkg && lkg->version == info->digest;
        item.pinned = info->digest == s.pinned;
        if (const core::Rejection* rejection = core::find_rejection(s, info->digest, ""))
            item.rejected = rejection->code;
    }
    return versions;
}

api::OperationDoc make_operation(const Runner& runner, const store::Operation& operation) {
    api::OperationDoc doc;
    doc.id = operation.seq;
    doc.kind = operation.kind;
    doc.model = operation.model;
    doc.digest = operation.version.text;
    doc.label = version_ref(runner, operation.model, operation.version).label;
    doc.status = store::to_word(operation.status);
    doc.code = operation.code;
    doc.text = operation.text;
    if (const auto model = runner.state().models.find(operation.model); model != runner.state().models.end())
        doc.phase = core::to_word(model->second.phase);
    if (!operation.result.empty())
        if (const auto carrier = store::decision_from_json(operation.result)) doc.checks = carrier->reports;
    return doc;
}

api::HistoryItem make_history_item(const Runner& runner, const store::HistoryEntry& entry) {
    return {entry.number, entry.wall_usec, entry.decision,
            version_ref(runner, entry.decision.model, entry.decision.version).label};
}

api::Explanation make_explanation(const Runner& runner, const std::string& model,
                                  const std::vector<store::HistoryEntry>& newest_first, std::int64_t number) {
    api::Explanation explanation{.model = model, .items = {}, .lines = {}};
    auto at = newest_first.begin();
    if (number > 0) {
        at = std::ranges::find(newest_first, number, &store::HistoryEntry::number);
        // A decision in the middle is explained with the whole of its story.
        while (at != newest_first.begin() && at != newest_first.end() && !begins_a_story(std::prev(at)->decision))
            --at;
        // That a version is kept for its trial belongs to the story of that trial.
        while (at != newest_first.begin() && at != newest_first.end() && at->number != number &&
               at->decision.kind == core::DecisionKind::kept)
            ++at;
    }
    for (; at != newest_first.end(); ++at) {
        explanation.items.push_back(make_history_item(runner, *at));
        if (begins_a_story(at->decision)) break;
    }
    std::ranges::reverse(explanation.items);
    for (const api::HistoryItem& item : explanation.items) {
        bool first = true;
        for (const std::string& line : core::explain(item.decision)) {
            const std::string prefix = first ? sys::format_wall(item.wall_usec) + "  " : std::string("    ");
            explanation.lines.push_back(prefix + with_labels(runner, model, line));
            first = false;
        }
    }
    return explanation;
}

api::Validation make_validation(std::string_view text, const std::string& file, const DeviceConfig& device) {
    std::vector<Finding> findings;
    const auto manifest = parse_manifest(text, file, device, findings);
    api::Validation validation;
    validation.valid = manifest.has_value();
    if (manifest) validation.model = manifest->model;
    for (const Finding& finding : findings) {
        const char* severity = finding.severity == Finding::Severity::error     ? "error"
                               : finding.severity == Finding::Severity::warning ? "warning"
                                                                                : "note";
        validation.findings.push_back({severity, finding.file, finding.key, finding.text, finding.line});
    }
    return validation;
}

namespace {
api::KindField make_kind_field(const ParamSpec& spec) {
    api::KindField field;
    field.name = spec.name;
    field.type = to_string(spec.type);
    field.unit = spec.unit;
    field.default_text = spec.default_text;
    field.help = spec.help;
    field.required = spec.required;
    if (spec.minimum < spec.maximum) {
        field.minimum = spec.minimum;
        field.maximum = spec.maximum;
    }
    field.choices.assign(spec.choices.begin(), spec.choices.end());
    return field;
}
}  // namespace

api::Kinds make_kinds() {
    api::Kinds kinds;
    const auto add = [&](const char* category, std::string_view name, std::string_view summary,
                         std::span<const ParamSpec> params) {
        api::KindDoc& kind = kinds.kinds.emplace_back();
        kind.category = category;
        kind.name = name;
        kind.summary = summary;
        for (const ParamSpec& param : params) {
            api::KindDoc::Param& taken = kind.params.emplace_back(make_kind_field(param));
            for (const ParamSpec& each : param.fields)
                taken.fields.push_back(make_kind_field(each));
        }
    };
    for (const auto* kind : checks::kinds())
        add("check", kind->name, kind->summary, kind->params);
    for (const auto* kind : checks::protocols())
        add("protocol", kind->name, kind->summary, kind->params);
    for (const auto* kind : rollback::switches())
        add("switch", kind->name, kind->summary, kind->params);
    for (const auto* kind : rollback::thens())
        add("then", kind->name, kind->summary, kind->params);
    for (const auto* kind : rollback::os_backends())
        add("os_backend", kind->name, kind->summary, {});
    return kinds;
}

}  // namespace modelguard::daemon
