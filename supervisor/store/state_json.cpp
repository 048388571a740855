// core::State as JSON text and back. The structured bindings name every member: one added to core and forgotten here
// does not compile. Rules for what a newer release wrote: DESIGN.md section 6.

#include <algorithm>

#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::store {

using core::to_word;
using nlohmann::json;

namespace {

template <class T, class ToJson>
json list_to_json(const std::vector<T>& items, ToJson to_json) {
    json array = json::array();
    for (const T& item : items)
        array.push_back(to_json(item));
    return array;
}

template <class T, class ToJson>
json optional_to_json(const std::optional<T>& item, ToJson to_json) {
    return item ? json(to_json(*item)) : json(nullptr);
}

json digest_to_json(const Digest& digest) { return digest.text; }
template <class Enum>
json word_to_json(Enum value) {
    return std::string(to_word(value));
}

template <class T, class FromJson>
void take_list(Fields& fields, std::string_view key, std::vector<T>& into, FromJson from_json) {
    if (const json* array = fields.find(key))
        for (const json& item : *array)
            into.push_back(from_json(item));
}
void take_digests(Fields& fields, std::string_view key, std::vector<Digest>& into) {
    take_list(fields, key, into, [](const json& item) { return Digest{item.get<std::string>()}; });
}

json manifest_to_json(const core::ManifestFacts& facts) {
    const auto& [rev, required, preflight, deadline, soak, on_inconclusive] = facts;
    return {{"rev", rev},
            {"required", required},
            {"preflight", preflight},
            {"deadline_usec", deadline.count()},
            {"soak_usec", soak.count()},
            {"on_inconclusive", to_word(on_inconclusive)}};
}

core::ManifestFacts manifest_from_json(const json& object, const std::string& where, std::vector<std::string>& notes) {
    core::ManifestFacts facts;
    Fields fields(object, where + ": manifest", notes);
    fields.take("rev", facts.rev);
    fields.take("required", facts.required);
    fields.take("preflight", facts.preflight);
    fields.take("deadline_usec", facts.deadline);
    fields.take("soak_usec", facts.soak);
    fields.take_word("on_inconclusive", facts.on_inconclusive);  // unknown: keep_known_good, the cautious one
    fields.note_unknown_keys();
    return facts;
}

json known_good_to_json(const core::KnownGood& good) {
    const auto& [version, manifest, os, fails_where_it_passed] = good;
    return {{"version", version.text},
            {"manifest", manifest_to_json(manifest)},
            {"os", os},
            {"fails_where_it_passed", fails_where_it_passed}};
}

json rejection_to_json(const core::Rejection& rejection) {
    const auto& [version, manifest_rev, code] = rejection;
    return {{"version", version.text}, {"manifest_rev", manifest_rev}, {"code", code}};
}

json wish_to_json(const core::Wish& wish) {
    const auto& [version, seq, origin] = wish;
    return {{"version", version.text}, {"seq", seq}, {"origin", to_word(origin)}};
}

json trial_to_json(const core::Trial& trial) {
    const auto& [id, kind, version, manifest, seq, from, has_baseline, baseline_passed, soaked, boots, abort, reports] =
        trial;
    return {{"id", id},
            {"kind", to_word(kind)},
            {"version", version.text},
            {"manifest", manifest_to_json(manifest)},
            {"seq", seq},
            {"from", to_word(from)},
            {"has_baseline", has_baseline},
            {"baseline_passed", baseline_passed},
            {"soaked", soaked},
            {"boots", boots},
            {"abort", optional_to_json(abort, word_to_json<core::Cause>)},
            {"reports", reports_to_json(reports)}};
}

/// `whole` becomes false where a word was not understood on which the trial's further course depends.
core::Trial trial_from_json(const json& object, const std::string& where, std::vector<std::string>& notes,
                            bool& whole) {
    core::Trial trial;
    Fields fields(object, where + ": trial", notes);
    fields.take("id", trial.id);
    whole &= fields.take_word("kind", trial.kind);
    fields.take("version", trial.version);
    if (const json* manifest = fields.find("manifest"))
        trial.manifest = manifest_from_json(*manifest, fields.where(), notes);
    fields.take("seq", trial.seq);
    whole &= fields.take_word("from", trial.from);
    fields.take("has_baseline", trial.has_baseline);
    fields.take("baseline_passed", trial.baseline_passed);
    fields.take("soaked", trial.soaked);
    fields.take("boots", trial.boots);
    whole &= fields.take_word("abort", trial.abort);
    if (const json* reports = fields.find("reports"))
        trial.reports = reports_from_json(*reports, fields.where(), notes);
    fields.note_unknown_keys();
    return trial;
}

json revert_to_json(const core::Revert& revert) {
    const auto& [cause, target, manifest, left, seq, joined, code, reports] = revert;
    return {{"cause", to_word(cause)},
            {"target", target.text},
            {"manifest", manifest_to_json(manifest)},
            {"left", list_to_json(left, digest_to_json)},
            {"seq", seq},
            {"joined", joined},
            {"code", code},
            {"reports", reports_to_json(reports)}};
}

core::Revert revert_from_json(const json& object, const std::string& where, std::vector<std::string>& notes) {
    core::Revert revert;
    revert.cause = core::Cause::restore;  // what an unknown cause is read as: go back, blame nobody
    Fields fields(object, where + ": revert", notes);
    fields.take_word("cause", revert.cause);
    fields.take("target", revert.target);
    if (const json* manifest = fields.find("manifest"))
        revert.manifest = manifest_from_json(*manifest, fields.where(), notes);
    take_digests(fields, "left", revert.left);
    fields.take("seq", revert.seq);
    take_list(fields, "joined", revert.joined, [](const json& item) { return whole_number<std::uint64_t>(item); });
    fields.take("code", revert.code);
    if (const json* reports = fields.find("reports"))
        revert.reports = reports_from_json(*reports, fields.where(), notes);
    fields.note_unknown_keys();
    return revert;
}

core::Used used_from_json(const json& object, const std::string& where, std::vector<std::string>& notes) {
    core::Used used;
    Fields fields(object, where + ": used", notes);
    fields.take("reprobes", used.reprobes);
    fields.take("restarts", used.restarts);
    fields.take("waits", used.waits);
    fields.take("switches", used.switches);
    fields.note_unknown_keys();
    return used;
}

/// A phase, or a word that steers one, is of a newer release: what was under way there cannot be carried on here.
void revert_to_known_good(core::ModelState& model, Fields& fields) {
    const core::KnownGood* good = core::lkg(model);
    const bool nothing_served = good == nullptr && model.current.empty();
    model.trial.reset();
    model.revert.reset();
    model.work = {};
    std::erase_if(model.timers, [](core::Timer timer) {
        return timer == core::Timer::deadline || timer == core::Timer::soak || timer == core::Timer::retry;
    });
    if (nothing_served) {
        model.phase = core::Phase::empty;
        fields.note("what was under way is not known to this release; nothing was served, so nothing is done");
        return;
    }
    core::Revert revert;
    revert.cause = core::Cause::restore;
    revert.code = "newer_release";
    if (good != nullptr) {
        revert.target = good->version;
        revert.manifest = good->manifest;
    } else {
        revert.manifest = model.manifest;
    }
    if (!model.current.empty() && model.current != revert.target) revert.left.push_back(model.current);
    fields.note("what was under way is not known to this release; " +
                (good ? "going back to known-good " + good->version.short_form()
                      : std::string("there is no known-good version, so nothing will be served")));
    model.phase = core::Phase::reverting;
    model.work.kind = revert.target.empty() ? core::WorkKind::switch_version : core::WorkKind::verify;
    model.revert = std::move(revert);
}

/// Phases whose handling needs the trial or the revert; a row that has one without the other cannot be carried on.
bool has_its_parts(const core::ModelState& model) {
    using enum core::Phase;
    switch (model.phase) {
        case baselining:
        case preflight:
        case switching:
        case trial:
        case soaking: return model.trial.has_value();
        case reverting:
        case verifying: return model.revert.has_value();
        case empty:
        case kept:
        case steady:
        case degraded:
        case held: return true;
    }
    return false;
}

core::ModelState model_from_json(const json& object, std::vector<std::string>& notes) {
    core::ModelState model;
    Fields fields(object, "state", notes);
    bool whole = fields.take_word("phase", model.phase);
    fields.take("managed", model.managed);
    if (const json* manifest = fields.find("manifest")) model.manifest = manifest_from_json(*manifest, "state", notes);
    if (const json* next = fields.find("next_manifest"))
        model.next_manifest = manifest_from_json(*next, "state: next", notes);
    fields.take("offered_rev", model.offered_rev);
    fields.take("current", model.current);
    if (const json* wish = fields.find("wish")) {
        Fields wish_fields(*wish, "state: wish", notes);
        model.wish.emplace();
        wish_fields.take("version", model.wish->version);
        wish_fields.take("seq", model.wish->seq);
        wish_fields.take_word("origin", model.wish->origin);  // unknown: command, it was asked for
        wish_fields.note_unknown_keys();
    }
    if (const json* trial = fields.find("trial")) model.trial = trial_from_json(*trial, "state", notes, whole);
    if (const json* revert = fields.find("revert")) model.revert = revert_from_json(*revert, "state", notes);
    take_list(fields, "known_good", model.known_good, [&](const json& item) {
        core::KnownGood good;
        Fields good_fields(item, "state: known_good", notes);
        good_fields.take("version", good.version);
        if (const json* manifest = good_fields.find("manifest"))
            good.manifest = manifest_from_json(*manifest, "state: known_good", notes);
        good_fields.take("os", good.os);
        good_fields.take("fails_where_it_passed", good.fails_where_it_passed);
        good_fields.note_unknown_keys();
        return good;
    });
    take_list(fields, "rejected", model.rejected, [&](const json& item) {
        core::Rejection rejection;
        Fields rejection_fields(item, "state: rejected", notes);
        rejection_fields.take("version", rejection.version);
        rejection_fields.take("manifest_rev", rejection.manifest_rev);
        rejection_fields.take("code", rejection.code);
        rejection_fields.note_unknown_keys();
        return rejection;
    });
    fields.take("pinned", model.pinned);
    fields.take("current_by_rollback", model.current_by_rollback);
    fields.take("passed_here", model.passed_here);
    fields.take("waits_for_os", model.waits_for_os);
    if (const json* used = fields.find("used")) model.used = used_from_json(*used, "state", notes);
    if (const json* work = fields.find("work")) {
        Fields work_fields(*work, "state: work", notes);
        whole &= work_fields.take_word("kind", model.work.kind);
        work_fields.take("id", model.work.id);
        work_fields.note_unknown_keys();
    }
    fields.take_words("timers", model.timers);
    fields.take("code", model.code);
    fields.take("why", model.why);
    fields.note_unknown_keys();
    if (whole && !has_its_parts(model)) {
        fields.note("phase '" + std::string(to_word(model.phase)) + "' without what belongs to it");
        whole = false;
    }
    if (!whole) revert_to_known_good(model, fields);
    return model;
}

json deployment_to_json(const core::Deployment& deployment) {
    const auto& [id, identity, bootable, os_pinned, newness] = deployment;
    return {{"id", id}, {"identity", identity}, {"bootable", bootable}, {"os_pinned", os_pinned}, {"newness", newness}};
}

json view_to_json(const core::OsView& view) {
    const auto& [deployments, booted, default_, staged, fell_back, boot_trial] = view;
    return {{"deployments", list_to_json(deployments, deployment_to_json)},
            {"booted", booted},
            {"default", default_},
            {"staged", staged},
            {"fell_back", fell_back},
            {"boot_trial", boot_trial}};
}

core::OsView view_from_json(const json& object, std::vector<std::string>& notes) {
    core::OsView view;
    Fields fields(object, "os: view", notes);
    take_list(fields, "deployments", view.deployments, [&](const json& item) {
        core::Deployment deployment;
        Fields deployment_fields(item, "os: deployment", notes);
        deployment_fields.take("id", deployment.id);
        deployment_fields.take("identity", deployment.identity);
        deployment_fields.take("bootable", deployment.bootable);
        deployment_fields.take("os_pinned", deployment.os_pinned);
        deployment_fields.take("newness", deployment.newness);
        deployment_fields.note_unknown_keys();
        return deployment;
    });
    fields.take("booted", view.booted);
    fields.take("default", view.default_);
    fields.take("staged", view.staged);
    fields.take("fell_back", view.fell_back);
    fields.take("boot_trial", view.boot_trial);
    fields.note_unknown_keys();
    return view;
}

json pending_to_json(const core::OsPending& pending) {
    const auto& [target, target_identity, from_identity, asked_by, seq, step, attempts] = pending;
    return {{"target", target},
            {"target_identity", target_identity},
            {"from_identity", from_identity},
            {"asked_by", asked_by},
            {"seq", seq},
            {"step", to_word(step)},
            {"attempts", attempts}};
}

/// nullopt where its step is of a newer release: an OS rollback is never carried on by guessing.
std::optional<core::OsPending> pending_from_json(const json& object, std::vector<std::string>& notes) {
    core::OsPending pending;
    Fields fields(object, "os: pending", notes);
    fields.take("target", pending.target);
    fields.take("target_identity", pending.target_identity);
    fields.take("from_identity", pending.from_identity);
    fields.take("asked_by", pending.asked_by);
    fields.take("seq", pending.seq);
    const bool whole = fields.take_word("step", pending.step);
    fields.take("attempts", pending.attempts);
    fields.note_unknown_keys();
    if (!whole) return std::nullopt;
    return pending;
}

core::OsState os_from_json(const json& object, std::vector<std::string>& notes) {
    core::OsState os;
    Fields fields(object, "os", notes);
    if (const json* view = fields.find("view")) os.view = view_from_json(*view, notes);
    fields.take("boot_id", os.boot_id);
    fields.take("boot_complete", os.boot_complete);
    fields.take("confirmed", os.confirmed);
    fields.take("rejected", os.rejected);
    fields.take("rolled_back_from", os.rolled_back_from);
    fields.take("rollbacks_in_window", os.rollbacks_in_window);
    if (const json* pending = fields.find("pending")) os.pending = pending_from_json(*pending, notes);
    fields.take_word("verb", os.verb);
    fields.take("work_id", os.work_id);
    fields.take_words("timers", os.timers);
    fields.note_unknown_keys();
    return os;
}

template <class T, class FromJson>
Result<T> parse_state(std::string_view text, const char* what, FromJson from_json) {
    try {
        return from_json(json::parse(text));
    } catch (const json::exception& error) {
        return fail(ErrorKind::malformed_reply, std::string(what) + ": " + error.what());
    }
}

}  // namespace

std::string model_state_to_json(const core::ModelState& state) {
    const auto& [phase, managed, manifest, next_manifest, offered_rev, current, wish, trial, revert, known_good,
                 rejected, pinned, current_by_rollback, passed_here, waits_for_os, used, work, timers, code, why] =
        state;
    const auto& [reprobes, restarts, waits, switches] = used;
    return dump_json(
        {{"phase", to_word(phase)},
         {"managed", managed},
         {"manifest", manifest_to_json(manifest)},
         {"next_manifest", optional_to_json(next_manifest, manifest_to_json)},
         {"offered_rev", offered_rev},
         {"current", current.text},
         {"wish", optional_to_json(wish, wish_to_json)},
         {"trial", optional_to_json(trial, trial_to_json)},
         {"revert", optional_to_json(revert, revert_to_json)},
         {"known_good", list_to_json(known_good, known_good_to_json)},
         {"rejected", list_to_json(rejected, rejection_to_json)},
         {"pinned", pinned.text},
         {"current_by_rollback", current_by_rollback},
         {"passed_here", passed_here},
         {"waits_for_os", waits_for_os},
         {"used", {{"reprobes", reprobes}, {"restarts", restarts}, {"waits", waits}, {"switches", switches}}},
         {"work", {{"kind", to_word(work.kind)}, {"id", work.id}}},
         {"timers", list_to_json(timers, word_to_json<core::Timer>)},
         {"code", code},
         {"why", why}});
}

Result<core::ModelState> model_state_from_json(std::string_view text, std::vector<std::string>& notes) {
    return parse_state<core::ModelState>(text, "state",
                                         [&](const json& object) { return model_from_json(object, notes); });
}

std::string os_state_to_json(const core::OsState& state) {
    const auto& [view, boot_id, boot_complete, confirmed, rejected, rolled_back_from, rollbacks_in_window, pending,
                 verb, work_id, timers] = state;
    return dump_json({{"view", view_to_json(view)},
                      {"boot_id", boot_id},
                      {"boot_complete", boot_complete},
                      {"confirmed", confirmed},
                      {"rejected", rejected},
                      {"rolled_back_from", rolled_back_from},
                      {"rollbacks_in_window", rollbacks_in_window},
                      {"pending", optional_to_json(pending, pending_to_json)},
                      {"verb", optional_to_json(verb, word_to_json<core::OsVerb>)},
                      {"work_id", work_id},
                      {"timers", list_to_json(timers, word_to_json<core::Timer>)}});
}

Result<core::OsState> os_state_from_json(std::string_view text, std::vector<std::string>& notes) {
    return parse_state<core::OsState>(text, "os", [&](const json& object) { return os_from_json(object, notes); });
}

}  // namespace modelguard::store
