#pragma once
// The runner: event in, step(), persist, then act. It owns the state and carries out core's actions with the real
// store, checks, switches and OS backend. Not for deciding anything (core) and not for talking to users (service).

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rollback/os_backend.hpp"
#include "supervisor/daemon/judge.hpp"
#include "supervisor/daemon/manifests.hpp"
#include "supervisor/daemon/metrics.hpp"
#include "supervisor/daemon/timers.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::daemon {

struct RunnerParts {
    sys::Loop& loop;
    sys::HttpClient& http;
    store::Ledger& ledger;
    store::VersionStore& versions;
    rollback::OsBackend& os;
    DeviceConfig device;
    core::Policy policy;
    sys::RunCommand run_command;       ///< the device's commands
    std::function<bool()> free_space;  ///< gives up what is set aside for a full disk; true if there was any
};

/// What the newest probing of a model found, for `status`.
struct LatestChecks {
    std::vector<core::CheckReport> reports;
    std::int64_t wall_usec{0};
};

class Runner {
  public:
    Runner(RunnerParts parts, store::Loaded loaded);
    ~Runner();
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    /// Reads the OS and the links, then lets core work out what is outstanding. `ready` comes once that is persisted.
    /// `boot_complete`: the boot is known to be good already; else complete_boot() says so when it is.
    void start(bool boot_complete, std::vector<Manifest> manifests, std::vector<std::string> kept,
               std::function<void(Result<void>)> ready);
    /// The manifests of models.d as they stand now: new ones and changed ones are applied, vanished ones told.
    /// `kept` names models whose file is there but wrong: they are left as they are.
    void apply(std::vector<Manifest> manifests, const std::vector<std::string>& kept);

    /// Carries out a request as an operation. The operation as it stands after its first step: it may have ended at
    /// once. io: it could not be persisted and nothing happened.
    Result<store::Operation> request(store::Operation operation,
                                     const std::function<core::Event(std::uint64_t seq)>& event,
                                     std::optional<store::StoredVersion> version = std::nullopt);
    /// Puts a manifest that was sent into force, or on trial where a version is served: the operation ends with that
    /// (`no`: rejected, superseded, could not be judged). conflict: a file of models.d describes the model.
    Result<store::Operation> apply(Manifest manifest, store::Operation operation);
    /// Takes the model out of the state, and what it has off the disk. conflict: a file of models.d describes it.
    Result<store::Operation> remove(store::Operation operation);
    /// Who describes the model: the file or name of the manifest that counts. nullptr where nobody does, or that is not
    /// known.
    const Manifests::Source* owner(const std::string& model) const;
    /// The boot is good: what passes from now on is known-good on this OS.
    void complete_boot() { post(core::BootCompleted{}); }
    /// Judges what serves now without consequence; the operation ends with the reports. conflict: not at rest.
    Result<store::Operation> begin_check(store::Operation operation);

    const core::State& state() const { return state_; }
    const core::Policy& policy() const { return parts_.policy; }
    const store::VersionInfo* version(const std::string& model, const Digest& digest) const;
    std::vector<const store::VersionInfo*> versions_of(const std::string& model) const;
    /// The units that the manifest in force names, sorted.
    std::vector<std::string> units_of(const std::string& model) const;
    const LatestChecks* latest(const std::string& model) const;
    /// The protocol of the manifest in force; empty where it names none or cannot be used.
    std::string protocol_of(const std::string& model) const;
    Metrics& metrics() { return metrics_; }
    /// Time left on a timer of the model, or -1 where none runs.
    std::int64_t timer_left_usec(const std::string& model, core::Timer timer) const;
    /// When the reboot of an OS rollback that waits for the device's window is due; 0: none waits.
    std::int64_t reboot_wall_usec() const { return reboot_wall_usec_; }
    store::Ledger& ledger() { return parts_.ledger; }
    const DeviceConfig& device() const { return parts_.device; }
    bool storage_failed() const { return storage_failed_; }
    /// Where the ledger could not be written, tries at once whether it can again; true if it can be read and written.
    bool ensure_storage();
    /// Forgets and removes the versions that nobody needs, but for the `spare` newest of each model (garbage.hpp);
    /// with none to spare what is in quarantine too. How many. Large ones are deleted after the return.
    std::size_t collect_garbage(std::size_t spare);

    /// Nothing is under way for any model or the device but the watching of what serves, and nothing waits.
    bool is_idle() const;
    /// What a scrub of a known-good version found: kept, and where it is damaged told to core. Where nothing could be
    /// found out the version has had its turn.
    void scrubbed(const std::string& model, const Digest& digest, const Result<store::VersionStore::Verified>& found);
    /// Moves damaged versions that nothing refers to out of versions/ and forgets them. Blocks as the store does.
    void quarantine_damaged();

    /// Called after each commit; `decided`: there was a decision in it.
    std::function<void(bool decided)> on_commit;
    /// Called for each decision once it is durable.
    std::function<void(const store::HistoryEntry&)> on_decision;
    std::function<void(const std::string&)> on_note;  ///< something for the log

  private:
    struct Active;  // what is under way for one model
    struct Extra {
        std::vector<store::Operation> operations;
        std::vector<store::StoredVersion> versions;
        std::vector<store::StoredManifest> manifests;
        std::vector<store::Measurement> measurements;
        std::vector<core::Decision> decisions;  ///< told before those of the step
        bool empty() const {
            return operations.empty() && versions.empty() && manifests.empty() && measurements.empty() &&
                   decisions.empty();
        }
    };

    void post(core::Event event, Extra extra = {});
    void pump();
    Result<void> process(const core::Event& event, const Extra& extra);
    Result<store::Operation> request(store::Operation operation,
                                     const std::function<core::Event(std::uint64_t seq)>& event, Extra extra);
    void conclude_operations(const std::vector<core::Decision>& decisions, store::Changes& changes);
    void conclude_applies(const std::vector<core::Decision>& decisions, store::Changes& changes);
    template <class Which, class End>
    void conclude(store::Changes& changes, Which is_ended, End end);
    Extra stored(const Manifest& manifest) const;
    Result<void> refuse_if_a_file_describes(const std::string& model, const std::string& advice) const;
    void storage_trouble(const Error& error);
    Result<std::vector<std::int64_t>> commit(const store::Changes& changes);
    void note(const std::string& text);

    void perform(const core::Action& action);
    void perform(const core::Verify&);
    void perform(const core::Judge&);
    void perform(const core::Watch&);
    void perform(const core::StopProbing&);
    void perform(const core::StartPreflight&);
    void perform(const core::StopPreflight&);
    void perform(const core::Switch&);
    void perform(const core::RestartService&);
    void perform(const core::MarkKnownGood&);
    void perform(const core::ForgetModel&);
    void perform(const core::StartTimer&);
    void perform(const core::StopTimer&);
    void perform(const core::DropStaged&);
    void perform(const core::OrderOs&);
    void perform(const core::ConfirmOsDefault&);
    void perform(const core::Reboot&);
    void look_first(int looks_left, std::function<void(core::OsView)> seen);
    void look_at_os(std::function<void(core::OsView)> seen);
    void keep_looking_at_os();
    void perform_os(core::OsVerb verb, std::uint64_t work_id, const std::string& target);
    void perform_os(core::OsVerb verb, std::uint64_t work_id, const std::string& target, int tries_left);

    Active& active(const std::string& model);
    /// Posts from the loop's next turn, so that what reports an outcome may be dropped by what follows from it.
    void later(const std::string& model, core::Event event, Extra extra = {});
    std::optional<JudgingSpec> judging_spec(const std::string& model, const std::string& rev, const Digest& version);
    rollback::ServiceContext service_context(const std::string& model, const Manifest& manifest, const Digest& version);
    void watch_pass(const std::string& model);
    void remember(const std::string& model, const Digest& version, core::Subject subject, const Judgement& judgement);
    void verify_again(const core::Verify& action);
    Result<void> mark(const core::MarkKnownGood& action);
    void mark_again(const core::MarkKnownGood& action);
    /// What the switch keeps for versions that have gone from the store goes too, beside everything else.
    void tidy(const std::string& model, const Manifest* manifest);
    std::uint64_t next_hash_turn() const;
    store::VersionInfo hashed(store::VersionInfo info, const store::VersionStore::Verified& found) const;
    std::size_t empty_quarantine();
    std::map<std::string, core::VersionId, std::less<>> links() const;

    RunnerParts parts_;
    core::State state_;
    Extra first_;  // what the first commit carries besides
    Manifests manifests_;
    Timers timers_;
    QuietRoom room_;
    std::map<std::string, std::map<Digest, store::VersionInfo>, std::less<>> versions_;
    std::map<std::uint64_t, store::Operation> open_operations_;
    std::map<std::string, std::unique_ptr<Active>, std::less<>> active_;
    std::map<std::string, sys::Source, std::less<>> marking_;  // another try of setting the known-good link
    std::map<std::string, std::unique_ptr<rollback::Running>, std::less<>> tidying_;
    std::map<std::string, std::uint64_t, std::less<>> eras_;  // as checks::CheckContext::era
    std::map<std::string, LatestChecks, std::less<>> latest_;
    Metrics metrics_;
    std::deque<std::pair<core::Event, Extra>> queue_;
    bool pumping_{false};
    bool storage_failed_{false};
    bool storage_told_{false};
    sys::Source storage_retry_;
    std::string os_stamp_;
    bool is_os_known_{false};
    sys::Source os_look_, os_again_, reboot_wait_;
    std::int64_t reboot_wall_usec_{0};
    std::map<std::uint64_t, std::unique_ptr<Judging>> on_demand_;
};

}  // namespace modelguard::daemon
