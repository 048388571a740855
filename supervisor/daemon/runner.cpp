#include "supervisor/daemon/runner.hpp"

#include <algorithm>
#include <set>

#include "supervisor/daemon/active.hpp"
#include "supervisor/daemon/garbage.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

namespace {

constexpr Usec kStorageRetry =
    std::chrono::seconds(1);  // a full disk is usually freed by a person, not by a millisecond

/// The step of its work within a phase is not worth a commit of its own, which would put a second fsync between the
/// decisive probe and the version that is brought back. Verifying and judging leave no trace, so that doing them twice
/// is harmless, and a switch begins with its verification again whichever step the ledger has (core's resume()).
bool differs_only_in_work(const core::State& before, core::State after) {
    if (before.models.size() != after.models.size()) return false;
    after.next_id = before.next_id;
    for (auto& [name, model] : after.models) {
        const auto was = before.models.find(name);
        if (was == before.models.end()) return false;
        // From or to no work at all is another matter: a wait is as much of the state as what is waited for.
        const bool both = model.work.kind != core::WorkKind::none && was->second.work.kind != core::WorkKind::none;
        if (both) model.work = was->second.work;
    }
    return before == after;
}

}  // namespace

Runner::Runner(RunnerParts parts, store::Loaded loaded)
    : parts_(std::move(parts)),
      state_(std::move(loaded.state)),
      timers_(parts_.loop, sys::boot_id(),
              [this](const std::string& model, core::Timer timer) { post(core::TimerExpired{model, timer}); }) {
    first_.decisions = std::move(loaded.decisions);
    first_.versions = std::move(loaded.adopted);
    timers_.load(loaded.timers);
    manifests_.load(loaded.manifests, parts_.device, loaded.notes);
    for (store::StoredVersion& version : loaded.versions)
        versions_[version.model][version.info.digest] = std::move(version.info);
    for (store::Operation& operation : loaded.open_operations)
        open_operations_[operation.seq] = std::move(operation);
}

Runner::~Runner() = default;

std::map<std::string, core::VersionId, std::less<>> Runner::links() const {
    std::map<std::string, core::VersionId, std::less<>> found;
    for (const auto& [name, model] : state_.models) {
        const auto manifest = manifests_.find_or_newest(name, model.manifest.rev);
        const rollback::SwitchKind* kind = manifest ? manifest->switch_kind : rollback::switches().front();
        const auto current = kind->current(parts_.versions.places().model_dir(name));
        // A link that names nothing of ours is no version that core knows, so that it is put right.
        found[name] = current ? *current : core::VersionId{"unknown"};
    }
    return found;
}

void Runner::start(bool boot_complete, std::vector<Manifest> manifests, std::vector<std::string> kept,
                   std::function<void(Result<void>)> ready) {
    look_at_os([this, boot_complete, manifests = std::move(manifests), kept = std::move(kept),
                ready = std::move(ready)](core::OsView view) mutable {
        // What an on-demand check measured is gone with the process that measured it.
        Extra extra = std::move(first_);
        for (auto& [seq, operation] : open_operations_) {
            if (operation.kind != "check") continue;
            operation.status = store::OperationStatus::failed;
            operation.code = "interrupted";
            operation.text = "the daemon was restarted meanwhile; ask again";
            extra.operations.push_back(operation);
        }
        std::erase_if(open_operations_, [](const auto& open) { return open.second.kind == "check"; });
        const std::string boot_id = sys::boot_id();
        const bool was_complete = state_.os.boot_complete && state_.os.boot_id == boot_id;
        const core::Started started{boot_id, boot_complete || was_complete, std::move(view), links()};
        // A disk that cannot be written keeps nobody from looking: this waits, as everything after it does.
        post(started, std::move(extra));
        apply(std::move(manifests), kept);
        ready({});
        keep_looking_at_os();
    });
}

// ---- event in, persist, act ----------------------------------------------------------------------------------------

void Runner::post(core::Event event, Extra extra) {
    queue_.emplace_back(std::move(event), std::move(extra));
    pump();
}

void Runner::pump() {
    if (pumping_ || storage_failed_) return;
    pumping_ = true;
    while (!queue_.empty()) {
        const auto [event, extra] = queue_.front();
        if (const auto done = process(event, extra); !done) {
            storage_trouble(done.error());
            break;
        }
        queue_.pop_front();
    }
    pumping_ = false;
}

/// Nothing is acted on that is not durable: events wait, and the ledger is opened anew until it takes them.
void Runner::storage_trouble(const Error& error) {
    // Every request looks whether it can be written again, and so comes by here: it is said once.
    if (!storage_told_) note("the ledger cannot be written, decisions wait until it can: " + error.what);
    storage_failed_ = storage_told_ = true;
    storage_retry_ = parts_.loop.add_timer(kStorageRetry, [this] { ensure_storage(); });
}

bool Runner::ensure_storage() {
    if (!storage_failed_) return true;
    if (const auto reopened = parts_.ledger.reopen(); !reopened) {
        storage_trouble(reopened.error());
        return false;
    }
    storage_failed_ = false;
    pump();
    if (!storage_failed_ && std::exchange(storage_told_, false)) note("the ledger can be written again");
    return !storage_failed_;
}

/// A full disk must not keep a version from going back: what is set aside for that is given up, once, and it is tried
/// again.
Result<std::vector<std::int64_t>> Runner::commit(const store::Changes& changes) {
    auto numbers = parts_.ledger.commit(changes);
    if (numbers || !parts_.free_space || !parts_.free_space()) return numbers;
    note("no space for the ledger; the reserve is given up: " + numbers.error().what);
    MG_CHECK(parts_.ledger.reopen());
    return parts_.ledger.commit(changes);
}

Result<void> Runner::process(const core::Event& event, const Extra& extra) {
    core::Step next = core::step(state_, event, parts_.policy);

    store::Changes changes;
    changes.operations = extra.operations;
    changes.versions = extra.versions;
    changes.manifests = extra.manifests;
    changes.measurements = extra.measurements;
    std::set<std::pair<std::string, core::Timer>> stopped;
    std::vector<store::StoredTimer> started;
    for (const core::Action& action : next.actions) {
        if (const auto* forget = std::get_if<core::ForgetModel>(&action))
            for (const store::VersionInfo* version : versions_of(forget->model))
                changes.forgotten_versions.emplace_back(forget->model, version->digest);
        if (const auto* stop = std::get_if<core::StopTimer>(&action)) {
            stopped.insert({stop->model, stop->timer});
        } else if (const auto* start = std::get_if<core::StartTimer>(&action)) {
            const bool fresh = stopped.erase({start->model, start->timer}) > 0;
            if (fresh) timers_.stop(start->model, start->timer);
            started.push_back(timers_.planned(start->model, start->timer, start->duration));
        }
    }
    const bool told = !next.decisions.empty() || !extra.empty();
    const bool changed = told || !differs_only_in_work(state_, next.state);
    if (changed) {
        changes.state = &next.state;
        const std::int64_t wall = sys::wall_now_usec();
        const auto tell = [&](const core::Decision& decision) {
            changes.history.push_back({0, wall, next.state.os.boot_id, decision});
        };
        std::ranges::for_each(extra.decisions, tell);
        std::ranges::for_each(next.decisions, tell);
        conclude_operations(next.decisions, changes);
        for (store::StoredTimer& timer : timers_.running())
            if (!stopped.contains({timer.model, timer.timer})) changes.timers.push_back(std::move(timer));
        changes.timers.insert(changes.timers.end(), started.begin(), started.end());
        changes.stopped_timers.assign(stopped.begin(), stopped.end());
        MG_TRY(const std::vector<std::int64_t> numbers, commit(changes));
        for (std::size_t i = 0; i < numbers.size() && i < changes.history.size(); ++i)
            changes.history[i].number = numbers[i];
        state_ = std::move(next.state);
        for (const store::StoredVersion& version : changes.versions)
            versions_[version.model][version.info.digest] = version.info;
        for (const store::Operation& operation : changes.operations) {
            if (operation.status == store::OperationStatus::running)
                open_operations_[operation.seq] = operation;
            else
                open_operations_.erase(operation.seq);
        }
    } else {
        state_ = std::move(next.state);
    }
    for (const auto& [model, timer] : stopped)
        timers_.stop(model, timer);
    for (const store::StoredTimer& timer : started)
        timers_.start(timer);
    for (const core::Action& action : next.actions)
        perform(action);
    // Telling comes last: between a verdict and the version it brings back there is nothing but the commit.
    for (const store::HistoryEntry& entry : changes.history) {
        metrics_.decided(entry.decision, sys::boottime_now());
        if (on_decision) on_decision(entry);
    }
    if (changed && on_commit) on_commit(!changes.history.empty());
    return {};
}

std::size_t Runner::collect_garbage(std::size_t spare) {
    if (storage_failed_ || pumping_ || !queue_.empty()) return 0;
    store::Changes changes;
    for (const auto& [name, model] : state_.models) {
        const auto linked = linked_versions(parts_.versions.places().model_dir(name));
        if (!linked) return 0;
        for (const Digest& digest : garbage_of(model, versions_of(name), *linked, spare))
            changes.forgotten_versions.emplace_back(name, digest);
    }
    const std::size_t quarantined = spare == 0 ? empty_quarantine() : 0;
    if (changes.forgotten_versions.empty()) return quarantined;
    if (const auto kept = commit(changes); !kept) {
        storage_trouble(kept.error());
        return 0;
    }
    for (const auto& [name, digest] : changes.forgotten_versions) {
        versions_[name].erase(digest);
        const auto removed = parts_.versions.remove(name, digest);
        note("version " + digest.short_form() + " of " + name + " is needed by nobody and " +
             (removed ? "was removed" : "could not be removed: " + removed.error().what));
    }
    for (const auto& [name, model] : state_.models)
        if (std::ranges::find(changes.forgotten_versions, name, &std::pair<std::string, Digest>::first) !=
            changes.forgotten_versions.end())
            tidy(name, manifests_.find_or_newest(name, model.manifest.rev).get());
    if (on_commit) on_commit(false);
    return changes.forgotten_versions.size() + quarantined;
}

void Runner::later(const std::string& model, core::Event event, Extra extra) {
    active(model).turn = parts_.loop.defer([this, event = std::move(event), extra = std::move(extra)]() mutable {
        post(std::move(event), std::move(extra));
    });
}

// ---- requests ----------------------------------------------------------------------------------------------------

Result<store::Operation> Runner::request(store::Operation operation,
                                         const std::function<core::Event(std::uint64_t)>& event,
                                         std::optional<store::StoredVersion> version) {
    Extra extra;
    if (version) {  // it was hashed on its way in
        version->info.verified_wall_usec = sys::wall_now_usec();
        version->info.hash_turn = next_hash_turn();
        extra.versions.push_back(std::move(*version));
    }
    return request(std::move(operation), event, std::move(extra));
}

Result<store::Operation> Runner::request(store::Operation operation,
                                         const std::function<core::Event(std::uint64_t)>& event, Extra extra) {
    if (!ensure_storage() || pumping_ || !queue_.empty())
        return fail(ErrorKind::unavailable,
                    "the ledger cannot be written at the moment (is the disk full?); try again");
    operation.seq = state_.next_id;
    operation.begun_wall_usec = sys::wall_now_usec();
    extra.operations.push_back(operation);
    pumping_ = true;  // what follows from it waits its turn
    ++state_.next_id;
    const auto done = process(event(operation.seq), extra);
    pumping_ = false;
    if (!done) {
        storage_trouble(done.error());
        return std::unexpected(done.error());
    }
    pump();
    MG_TRY(auto stored, parts_.ledger.operation(operation.seq));
    return stored ? *stored : operation;
}

Result<store::Operation> Runner::begin_check(store::Operation operation) {
    const auto model = state_.models.find(operation.model);
    MG_ASSERT(model != state_.models.end());
    const core::ModelState& s = model->second;
    if (s.current.empty())
        return fail(ErrorKind::conflict, "nothing is served, so there is nothing to check; deploy a version first");
    if (!core::is_at_rest(s.phase))
        return fail(ErrorKind::conflict, "the model is in phase " + std::string(core::to_word(s.phase)) +
                                             ", its checks run already; see status");
    if (!ensure_storage()) return fail(ErrorKind::unavailable, "the ledger cannot be written at the moment; try again");
    const core::KnownGood* good = core::find_known_good(s, s.current);
    auto spec = judging_spec(operation.model, good ? good->manifest.rev : s.manifest.rev, s.current);
    if (!spec) return fail(ErrorKind::unsupported, "its manifest cannot be used by this release; see the log");
    spec->context.subject = core::Subject::current;
    spec->context.purpose = core::JudgePurpose::recheck;
    operation.seq = state_.next_id;
    operation.version = s.current;
    operation.begun_wall_usec = sys::wall_now_usec();
    core::State next = state_;
    ++next.next_id;
    store::Changes changes;
    changes.state = &next;
    changes.operations = {operation};
    if (auto kept = commit(changes); !kept) {
        storage_trouble(kept.error());
        return std::unexpected(kept.error());
    }
    state_ = std::move(next);
    open_operations_[operation.seq] = operation;
    on_demand_[operation.seq] =
        std::make_unique<Judging>(std::move(*spec), room_, [this, operation](const Judgement& judgement) mutable {
            remember(operation.model, operation.version, core::Subject::current, judgement);
            operation.status = judgement.verdict == core::VerdictKind::pass ? store::OperationStatus::done
                                                                            : store::OperationStatus::no;
            operation.code = std::string(core::to_word(judgement.verdict));
            operation.ended_wall_usec = sys::wall_now_usec();
            core::Decision carrier;
            carrier.reports = judgement.reports;
            operation.result = store::decision_to_json(carrier);
            on_demand_.erase(operation.seq);
            store::Changes ended;
            ended.operations = {operation};
            open_operations_.erase(operation.seq);
            if (const auto kept = commit(ended); !kept) storage_trouble(kept.error());
            if (on_commit) on_commit(false);
        });
    return operation;
}

// ---- reading -----------------------------------------------------------------------------------------------------

const store::VersionInfo* Runner::version(const std::string& model, const Digest& digest) const {
    const auto of_model = versions_.find(model);
    if (of_model == versions_.end()) return nullptr;
    const auto found = of_model->second.find(digest);
    return found == of_model->second.end() ? nullptr : &found->second;
}

std::vector<const store::VersionInfo*> Runner::versions_of(const std::string& model) const {
    std::vector<const store::VersionInfo*> found;
    if (const auto of_model = versions_.find(model); of_model != versions_.end())
        for (const auto& [digest, info] : of_model->second)
            found.push_back(&info);
    std::ranges::sort(found, std::greater{}, &store::VersionInfo::imported_wall_usec);
    return found;
}

const LatestChecks* Runner::latest(const std::string& model) const {
    const auto found = latest_.find(model);
    return found == latest_.end() ? nullptr : &found->second;
}

std::string Runner::protocol_of(const std::string& model) const {
    const auto manifest = manifests_.find(model, state_.models.find(model)->second.manifest.rev);
    return manifest ? manifest->protocol_name : std::string();
}

std::int64_t Runner::timer_left_usec(const std::string& model, core::Timer timer) const {
    return timers_.left_usec(model, timer);
}

void Runner::note(const std::string& text) {
    if (on_note) on_note(text);
}

}  // namespace modelguard::daemon
