#pragma once
// What travels on the sockets and into state.bak: plain values and their JSON. This is the one place that knows the
// JSON. Every document has a `schema` "modelguard.<thing>/1"; fields are only added. Not for core's own state.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core/step.hpp"

namespace modelguard::api {

struct VersionRef {
    std::string digest;  ///< empty: none
    std::string label;
};

struct ModelStatus {
    std::string model;
    bool required{true};
    bool managed{true};
    bool healthy{false};
    std::string phase;
    VersionRef current, candidate, known_good, pinned;
    std::string code, why;                  ///< empty where all is well
    std::vector<core::CheckReport> checks;  ///< newest result of each check
    std::int64_t checked_wall_usec{0};      ///< when, 0: never
    std::int64_t phase_left_usec{-1};       ///< soak or deadline left, -1: no timer
    std::int64_t rejected_count{0};
    std::vector<std::string> units;  ///< of the service manager, that the manifest names
    std::string next_command;        ///< what an operator would type now; empty: nothing
};

/// The OS of a device whose OS modelguard may roll back; deployments by their ids.
struct OsStatus {
    std::string booted;
    std::string default_deployment;  ///< what boots next, a staged one aside
    std::string staged;              ///< empty: none
    std::string rollback_target;     ///< where an OS rollback would go now; empty: nowhere
    std::string why_no_target;
    std::string boot_trial;             ///< who watches this boot and rolls the OS back if it fails; empty: nobody
    std::vector<std::string> rejected;  ///< deployments, present or not, that are the same OS as one that failed
    std::string pending_target;         ///< of an OS rollback that is under way; empty: none is
    std::string pending_step;           ///< "dropping", "ordering", "rebooting"
    std::int64_t reboot_wall_usec{
        0};  ///< when its reboot is due, which waits for the device's window; 0: does not wait
    bool operator==(const OsStatus&) const = default;
};

struct Status {
    std::string version;  ///< of modelguardd
    std::string boot_id;
    std::int64_t wall_usec{0};  ///< when this was written
    std::int64_t boottime_usec{0};
    bool healthy{false};
    bool boot_complete{false};
    std::string os_backend;
    std::string os_booted;           ///< deployment id, empty with backend none
    std::optional<OsStatus> os;      ///< none with backend none
    std::vector<std::string> notes;  ///< what the operator should know about the device
    std::vector<ModelStatus> models;
};

struct HistoryItem {
    std::int64_t number{0};
    std::int64_t wall_usec{0};
    core::Decision decision;
    std::string label;  ///< of decision.version
    std::string
        kind_word;  ///< the kind as received; a newer release may say one that DecisionKind lacks (then `resumed`)
};
struct History {
    std::vector<HistoryItem> items;
};  ///< newest first

struct Explanation {
    std::string model;
    std::vector<HistoryItem> items;  ///< oldest first: the story
    std::vector<std::string> lines;  ///< the same for people
};

struct VersionItem {
    std::string digest, label, served_version;
    std::uint64_t bytes{0}, files{0};
    std::int64_t imported_wall_usec{0};
    std::int64_t verified_wall_usec{0};  ///< when it was last read whole and found right, 0: not known
    std::string damage;                  ///< what was found wrong then; empty: nothing
    bool current{false}, known_good{false}, lkg{false}, pinned{false};
    std::string rejected;  ///< why, as a word; empty: not rejected
};
struct Versions {
    std::string model;
    std::vector<VersionItem> items;
};

struct OperationDoc {
    std::uint64_t id{0};
    std::string kind, model, digest, label;
    std::string status;  ///< running, done, no, failed
    std::string code, text;
    std::string phase;                      ///< of the model now
    std::vector<core::CheckReport> checks;  ///< of a `check`
};

struct Problem {  ///< application/problem+json
    int http_status{500};
    std::string kind;  ///< ErrorKind's word
    std::string title;
    std::string file, key;
    int line{0};
};

struct Finding {
    std::string severity;
    std::string file, key, text;
    int line{0};
};  ///< severity: error, warning, note
struct Validation {
    bool valid{false};
    std::string model;
    std::vector<Finding> findings;
};

/// A key that a kind takes; `choices` of a text, a range of a number (of a duration in seconds).
struct KindField {
    std::string name, type, unit, default_text, help;
    bool required{false};
    std::optional<double> minimum{}, maximum{};
    std::vector<std::string> choices{};

    bool operator==(const KindField&) const = default;
};
struct KindDoc {
    std::string category, name, summary;
    struct Param : KindField {
        std::vector<KindField> fields{};  ///< of an object
    };
    std::vector<Param> params;
};
struct Kinds {
    std::vector<KindDoc> kinds;
};

/// The boot gate's answer, the same for the whole boot once it is not "pending".
struct Gate {
    struct Reason {
        std::string model;    ///< empty: of a script
        std::string script;   ///< "required.d/10_disk.sh"; empty: of a model
        std::string verdict;  ///< "pass", "fail", "pending"
        bool warning{false};  ///< something is wrong, and another OS would not help
        std::string text;     ///< empty: nothing is wrong
    };
    std::string boot_id;
    std::string verdict;
    std::string greenboot;   ///< "none", "greenboot", "greenboot-rs": what is installed here
    std::string boot_trial;  ///< who watches this boot and rolls the OS back; empty: nobody
    bool boot_complete{false};
    std::vector<Reason> reasons;  ///< one of each required model, then of each drop-in script
};

std::string to_json(const Status&);
std::string to_json(const History&);
std::string to_json(const Explanation&);
std::string to_json(const Versions&);
std::string to_json(const OperationDoc&);
std::string to_json(const Problem&);
std::string to_json(const Validation&);
std::string to_json(const Kinds&);
std::string to_json(const Gate&);
/// malformed_reply names what is missing; unknown fields are left alone.
Result<Status> status_from_json(std::string_view json);
Result<History> history_from_json(std::string_view json);
Result<Explanation> explanation_from_json(std::string_view json);
Result<Versions> versions_from_json(std::string_view json);
Result<OperationDoc> operation_from_json(std::string_view json);
Result<Problem> problem_from_json(std::string_view json);
Result<Validation> validation_from_json(std::string_view json);
Result<Kinds> kinds_from_json(std::string_view json);
Result<Gate> gate_from_json(std::string_view json);

/// The body of POST …/rollback.
struct RollbackBody {
    std::string seen_current, to;
};
std::string to_json(const RollbackBody&);
Result<RollbackBody> rollback_body_from_json(std::string_view json);

int http_status(ErrorKind kind);

}  // namespace modelguard::api
