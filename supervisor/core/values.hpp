#pragma once
// The values that core decides with: versions, phases, verdicts, the state of the device. Plain data, no I/O, no clock.
// Not for: how they are stored (store), shown (api) or obtained (checks, rollback).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/base/ids.hpp"
#include "supervisor/base/time.hpp"

namespace modelguard::core {

using VersionId = Digest;

/// Phases of a model (DESIGN.md section 5). Stored as words.
enum class Phase {
    empty,       ///< nothing served, nothing to try
    kept,        ///< a complete version waits, nothing served
    baselining,  ///< the LKG is re-hashed and measured before a candidate is tried
    preflight,   ///< the candidate is judged beside current
    switching,   ///< the candidate is becoming current
    trial,       ///< the candidate serves and is judged
    soaking,     ///< the quiet end of the trial
    steady,      ///< current is known-good and watched
    reverting,   ///< a version that worked is becoming current again
    verifying,   ///< that version serves and is judged
    degraded,    ///< what serves does not pass; still probing, still automatic
    held,        ///< automation stopped; an operator is needed
};

enum class VerdictKind { pass, fail, inconclusive };
enum class Subject { candidate, lkg, current };
enum class Where { preflight, in_place };
enum class OnInconclusive { keep_known_good, hold, accept };
enum class Origin { file, applied, git, command };

/// What one check found in one judging; the typed part of the evidence, enough to explain the verdict later.
struct CheckReport {
    std::string check;  ///< its name in the manifest
    std::string kind;   ///< its kind (`latency`)
    bool required{true};
    VerdictKind verdict{VerdictKind::inconclusive};
    std::string
        code;  ///< stable word: below_min, dropped, too_slow, not_finite, not_ready, exit_status, …; "ok" on pass
    std::string text;  ///< one line for people, with numbers and units
    std::optional<double> measured;
    std::optional<double> limit;
    std::optional<double> baseline;  ///< the same measurement on the LKG
    std::string unit;                ///< "share", "ms", …
    std::int64_t probes{0};
    Usec took{0};

    bool operator==(const CheckReport&) const = default;
};

/// The facts of a manifest that core needs; the rest stays with the daemon. `rev` names the text it came from.
struct ManifestFacts {
    std::string rev;  ///< digest over the canonical manifest without `version:`
    bool required{true};
    bool preflight{false};
    Usec deadline{std::chrono::minutes(10)};
    Usec soak{std::chrono::minutes(30)};
    OnInconclusive on_inconclusive{OnInconclusive::keep_known_good};

    bool operator==(const ManifestFacts&) const = default;
};

struct KnownGood {
    VersionId version;
    ManifestFacts manifest;             ///< under which it became known-good, and under which it is re-checked
    std::vector<std::string> os;        ///< identities of the OS deployments it passed on, the newest last
    bool fails_where_it_passed{false};  ///< on the last of these, with everything tried: no newer OS is to blame for it

    bool operator==(const KnownGood&) const = default;
};

struct Rejection {
    VersionId version;
    std::string manifest_rev;  ///< empty: the digest is rejected; else only this revision with this digest
    std::string code;          ///< why, as a word

    bool operator==(const Rejection&) const = default;
};

/// What somebody wants served and nobody has tried yet.
struct Wish {
    VersionId version;
    std::uint64_t seq{0};  ///< the order of wishes; also names the operation that asked
    Origin origin{Origin::command};

    bool operator==(const Wish&) const = default;
};

enum class TrialKind { version, manifest };
enum class Cause { candidate_failed, superseded, undecided, manual, pin, decay, restore, give_up };

struct Trial {
    std::uint64_t id{0};
    TrialKind kind{TrialKind::version};
    VersionId version;
    ManifestFacts manifest;
    std::uint64_t seq{0};
    Phase from{Phase::empty};  ///< the resting phase it began in
    bool has_baseline{false};
    bool baseline_passed{false};       ///< the LKG passed just before, so a failing preflight is the candidate's own
    bool soaked{false};                ///< the soak is over, boot-complete is awaited
    int boots{0};                      ///< boots seen while the trial was open
    std::optional<Cause> abort;        ///< decided while a switch was in flight; acted on when it ends
    std::vector<CheckReport> reports;  ///< of the verdict that ended or passed it

    bool operator==(const Trial&) const = default;
};

struct Revert {
    Cause cause{Cause::candidate_failed};
    VersionId target;             ///< empty: nothing to go back to, current is cleared
    ManifestFacts manifest;       ///< under which the target is judged
    std::vector<VersionId> left;  ///< versions that did not work, in the order they were left
    std::uint64_t seq{0};
    std::vector<std::uint64_t> joined;  ///< later rollback requests that this one answers
    std::string code;                   ///< why, as a word
    std::vector<CheckReport> reports;

    bool operator==(const Revert&) const = default;
};

/// The one thing a model waits for. Its action is derived from the phase and this, so that a restart can issue it
/// again.
enum class WorkKind { none, verify, judge, start_preflight, switch_version, restart_service, watch };
struct Work {
    WorkKind kind{WorkKind::none};
    std::uint64_t id{0};

    bool operator==(const Work&) const = default;
};

enum class Timer { deadline, soak, retry, calm, os_window, os_retry };

/// What has been used of each rung since the model was last calm. Survives reboots.
struct Used {
    int reprobes{0};
    int restarts{0};
    int waits{0};     ///< inconclusive verdicts waited out
    int switches{0};  ///< failed switches on the way back

    bool operator==(const Used&) const = default;
};

struct ModelState {
    Phase phase{Phase::empty};
    bool managed{true};                          ///< false: its manifest vanished; served, not supervised
    ManifestFacts manifest;                      ///< in force
    std::optional<ManifestFacts> next_manifest;  ///< arrived while busy
    std::string offered_rev;                     ///< the newest revision offered, accepted or not
    VersionId current;
    std::optional<Wish> wish;
    std::optional<Trial> trial;
    std::optional<Revert> revert;
    std::vector<KnownGood> known_good;  ///< the LKG last
    std::vector<Rejection> rejected;
    VersionId pinned;
    bool current_by_rollback{false};  ///< a manual rollback made it current
    bool passed_here{false};          ///< current passed on this boot; known-good here once the boot is complete
    bool waits_for_os{false};         ///< an OS rollback that this model asked for is under way
    Used used;
    Work work;
    std::vector<Timer> timers;  ///< armed
    std::string code;           ///< why it is degraded, held or empty, as a word
    std::string why;            ///< the same in one line for people

    bool operator==(const ModelState&) const = default;
};

/// A bootable tree. `id` is `osname-checksum.serial`; `identity` is equal for the same OS staged again.
struct Deployment {
    std::string id;
    std::string identity;
    bool bootable{true};
    bool os_pinned{false};
    std::int64_t newness{0};  ///< larger is newer

    bool operator==(const Deployment&) const = default;
};

struct OsView {
    std::vector<Deployment> deployments;
    std::string booted;      ///< ids
    std::string default_;    ///< what boots next, staged ones aside
    std::string staged;      ///< empty: none
    bool fell_back{false};   ///< the boot loader or greenboot took this tree although another was the default
    std::string boot_trial;  ///< who watches this boot (`greenboot`, `greenboot-rs`), empty: nobody

    bool operator==(const OsView&) const = default;
    const Deployment* find(std::string_view id) const;
    const Deployment* booted_deployment() const { return find(booted); }
};

enum class OsStep { dropping, ordering, rebooting };
struct OsPending {
    std::string target;  ///< id
    std::string target_identity;
    std::string from_identity;
    std::string asked_by;  ///< the model, empty: an operator
    std::uint64_t seq{0};
    OsStep step{OsStep::ordering};
    int attempts{0};

    bool operator==(const OsPending&) const = default;
};

enum class OsVerb { drop_staged, order_os, confirm_os_default, reboot };

struct OsState {
    OsView view;
    std::string boot_id;
    bool boot_complete{false};
    bool confirmed{false};                      ///< the default was ordered on this boot
    std::vector<std::string> rejected;          ///< identities
    std::vector<std::string> rolled_back_from;  ///< deployment ids: one rollback per staging
    int rollbacks_in_window{0};
    std::optional<OsPending> pending;
    std::optional<OsVerb> verb;  ///< outstanding
    std::uint64_t work_id{0};
    std::vector<Timer> timers;

    bool operator==(const OsState&) const = default;
    std::string booted_identity() const;
};

struct State {
    std::map<std::string, ModelState, std::less<>> models;
    OsState os;
    std::uint64_t next_id{1};

    bool operator==(const State&) const = default;
};

/// Budgets and waits that no manifest sets. Each survives a reboot, because what was used of it is in State.
struct Policy {
    int reprobes{2};        ///< one flaky pass must not restart a service; two more cost seconds
    int restarts{1};        ///< a second restart within the calm time has not helped anyone yet
    int waits{5};           ///< inconclusive verdicts waited out, `retry_delay` apart
    int switches{2};        ///< a reload that failed twice will fail a third time
    int boots_in_trial{3};  ///< greenboot's own default of boot attempts
    int os_rollbacks_per_window{2};
    int os_attempts{3};  ///< per step of one OS rollback
    bool drop_rejected_staged{true};
    Usec retry_delay{std::chrono::seconds(5)};
    Usec calm{std::chrono::hours(1)};
    Usec os_window{std::chrono::hours(24)};
    std::size_t known_good_kept{8};  ///< entries in State; the store keeps at least LKG and the one before
    std::size_t rejections_kept{256};
    std::size_t os_identities_kept{4};
};

/// The LKG: the newest known-good, or nullptr.
const KnownGood* lkg(const ModelState& model);
const KnownGood* find_known_good(const ModelState& model, const VersionId& version);
/// True if the digest is rejected, or the digest with this manifest revision.
const Rejection* find_rejection(const ModelState& model, const VersionId& version, std::string_view manifest_rev);
/// At rest: no switch, judging of a candidate or way back is under way.
bool is_at_rest(Phase phase);
/// Healthy as the boot gate and exit codes see it (a running trial with a healthy model is healthy).
bool is_healthy(const ModelState& model);
/// It blames the OS, and whoever watches this boot is left to roll that back.
bool is_standing_back(const ModelState& model);

// The stable words of JSON, ledger, metrics and documents. from_word() is nullopt for a word of a newer release.
std::string_view to_word(Phase);
std::string_view to_word(VerdictKind);
std::string_view to_word(Subject);
std::string_view to_word(Where);
std::string_view to_word(OnInconclusive);
std::string_view to_word(Origin);
std::string_view to_word(TrialKind);
std::string_view to_word(Cause);
std::string_view to_word(WorkKind);
std::string_view to_word(Timer);
std::string_view to_word(OsStep);
std::string_view to_word(OsVerb);
template <class Enum>
std::optional<Enum> from_word(std::string_view word);

}  // namespace modelguard::core
