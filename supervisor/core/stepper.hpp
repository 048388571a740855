#pragma once
// The inside of step(): one object per step that holds the next state and collects actions and decisions.
// Split by the part of the road: step.cpp (what all share, start, answers), step_requests.cpp (what is asked for),
// step_trial.cpp (forward), step_way_back.cpp (back and the ladder), step_os.cpp (the OS). Not for use outside core.

#include "supervisor/core/step.hpp"

namespace modelguard::core {

/// "check: why" of the first required check that did not pass; empty where all did.
std::string first_reason(const std::vector<CheckReport>& reports);

class Stepper {
  public:
    Stepper(const State& state, const Policy& policy) : policy_(policy) { step_.state = state; }

    // step.cpp
    void on(const Started&);
    void on(const BootCompleted&);
    void on(const VersionVerified&);
    void on(const PreflightStarted&);
    void on(const SwitchDone&);
    void on(const ServiceRestarted&);
    void on(const Verdict&);
    void on(const TimerExpired&);
    // step_requests.cpp
    void on(const ManifestApplied&);
    void on(const ManifestGone&);
    void on(const RemoveRequested&);
    void on(const VersionWanted&);
    void on(const RollbackRequested&);
    void on(const PinRequested&);
    void on(const UnpinRequested&);
    void on(const UnrejectRequested&);
    // step_way_back.cpp
    void on(const VersionDamaged&);
    // step_os.cpp
    void on(const OsObserved&);
    void on(const OsRollbackRequested&);
    void on(const OsActionDone&);

    /// Adds the MarkKnownGood actions that follow from the step.
    void mark_known_good(const State& before, bool always);
    Step take() { return std::move(step_); }

  private:
    /// A model under its name, both in the next state.
    struct Model {
        const std::string& name;
        ModelState& s;
    };

    // ---- common (step.cpp)
    State& state() { return step_.state; }
    OsState& os() { return step_.state.os; }
    std::optional<Model> find(const std::string& name);
    template <class Answer>
    std::optional<Model> awaiting(const Answer& answer, WorkKind kind);
    void act(Action action) { step_.actions.push_back(std::move(action)); }
    Decision& tell(const Model& model, DecisionKind kind, const VersionId& version);
    void refuse(const std::string& model, std::uint64_t seq, const VersionId& version, std::string code,
                std::string text);
    void begin_work(const Model& model, WorkKind kind);
    Action action_for(const Model& model) const;
    void stop_work(const Model& model);
    void start_timer(const Model& model, Timer timer, Usec duration);
    void stop_timer(const Model& model, Timer timer);
    void stop_timers(const Model& model);
    Usec duration_of(const Model& model, Timer timer) const;
    /// Uses one wait and comes back after `retry_delay`; false where the budget is used up.
    bool wait_and_retry(const Model& model);
    void retry_expired(const Model& model);
    void resume(const Model& model, bool new_boot, const VersionId& link);
    void reject(const Model& model, const VersionId& version, std::string manifest_rev, std::string code);
    void drop_corrupt(const Model& model, const VersionId& version, const std::string& why);
    void refuse_corrupt_wish(const Model& model, const VersionId& version);
    const ManifestFacts& manifest_of_current(const ModelState& model) const;
    bool os_changed_since_pass(const ModelState& model, const VersionId& version) const;
    bool blames_os(const Model& model);
    void note_pass_here(const Model& model);
    void rest(const Model& model, Phase phase);
    void settle(const Model& model, Phase phase, std::string code, std::string why);
    void after_rest(const Model& model);
    bool is_settled_without_trial(const Model& model, const Wish& wish);
    void current_is_corrupt(const Model& model);
    void drop_wish(const Model& model, std::string code);
    void offer_manifest(const Model& model, const ManifestFacts& facts);

    // ---- forward (step_trial.cpp)
    void begin_trial(const Model& model);
    void begin_manifest_trial(const Model& model, const ManifestFacts& facts);
    void go_preflight(const Model& model);
    void go_switching(const Model& model);
    void candidate_verified(const Model& model, const VersionVerified& event);
    void go_trial(const Model& model);
    void baseline_verdict(const Model& model, const Verdict& verdict);
    void preflight_verdict(const Model& model, const Verdict& verdict);
    void trial_verdict(const Model& model, const Verdict& verdict);
    void soaking_verdict(const Model& model, const Verdict& verdict);
    void trial_passed(const Model& model);
    void trial_failed(const Model& model, const std::vector<CheckReport>& reports, std::string code);
    void trial_undecided(const Model& model, const std::vector<CheckReport>& reports, std::string code);
    void soak_over(const Model& model);
    void accept(const Model& model);
    /// close_…: without giving what waits its turn, for a way back that begins at once.
    void close_manifest_trial(const Model& model, DecisionKind kind, const std::vector<CheckReport>& reports);
    void end_manifest_trial(const Model& model, DecisionKind kind, const std::vector<CheckReport>& reports);
    /// Ends a trial that has not touched current.
    void end_before_switch(const Model& model, DecisionKind kind, Blame blame, std::string code,
                           const std::vector<CheckReport>& reports);
    void close_before_switch(const Model& model, DecisionKind kind, Blame blame, std::string code,
                             const std::vector<CheckReport>& reports);
    void abort_trial(const Model& model, Cause cause, std::string code);
    void switched_forward(const Model& model, const SwitchDone& done);
    void aborted_switch_ended(const Model& model);

    // ---- back (step_way_back.cpp)
    void prepare_revert(const Model& model, Cause cause, const VersionId& target, std::uint64_t seq, std::string code,
                        const std::vector<CheckReport>& reports);
    void launch_revert(const Model& model);
    void begin_revert(const Model& model, Cause cause, std::string code, const std::vector<CheckReport>& reports);
    bool next_target(const Model& model);
    void switched_back(const Model& model, const SwitchDone& done);
    void cleared(const Model& model);
    void way_back_verdict(const Model& model, const Verdict& verdict);
    void way_back_works(const Model& model);
    void way_back_fails(const Model& model, const std::vector<CheckReport>& reports);
    void end_candidate_of_revert(const Model& model, Blame blame, const std::string& code);
    void tell_joined(const Model& model, DecisionKind kind);
    void current_fails(const Model& model, const Verdict& verdict);
    void climb(const Model& model, const std::vector<CheckReport>& reports);
    void ladder_verdict(const Model& model, const Verdict& verdict);
    void watched(const Model& model, const Verdict& verdict);
    void recover(const Model& model);
    void hold(const Model& model, Blame blame, std::string code, std::string why,
              const std::vector<CheckReport>& reports);

    // ---- the OS (step_os.cpp)
    bool request_os_rollback(const Model& model, const std::vector<CheckReport>& reports, std::string& why_not);
    void reject_os(const std::string& identity);
    void reject_os_that_was_left(const std::string& left);
    void begin_os_rollback(const Deployment& target, const std::string& asked_by, std::uint64_t seq);
    void issue_os_verb(OsVerb verb, const std::string& target);
    void issue_os_step();
    void resume_os(bool new_boot);
    void give_up_os_rollback(const std::string& why);
    void tend_os();
    void start_os_timer(Timer timer, Usec duration);
    void stop_os_timer(Timer timer);
    void os_timer_expired(Timer timer);
    Decision& tell_os(DecisionKind kind, std::string code, std::string text);

    const Policy& policy_;
    Step step_;
};

}  // namespace modelguard::core
