#pragma once
// What a check kind is: a descriptor (name, parameters, factory) and a Check made from a manifest's parameters.
// One file per kind in this folder, one line in kinds.def. Not for combining checks into a verdict: that is the
// daemon's judge.

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "checks/protocol/protocol.hpp"
#include "supervisor/base/params.hpp"
#include "supervisor/core/step.hpp"
#include "supervisor/sys/command.hpp"
#include "supervisor/sys/files.hpp"
#include "supervisor/sys/http.hpp"
#include "supervisor/sys/loop.hpp"
#include "supervisor/sys/podman.hpp"

namespace modelguard::checks {

/// One probe, as the metrics hear of it.
struct ProbeTold {
    Outcome outcome{Outcome::unreachable};
    std::optional<Usec> took{};  ///< of an inference that was answered
    std::optional<Streamed> streamed{};
};

/// Everything a check may use while it runs. Borrowed: outlives the Running object.
struct CheckContext {
    sys::Loop& loop;
    sys::HttpClient& http;
    Target target;          ///< server, model, protocol, expected version
    sys::Path version_dir;  ///< the judged version's tree: canary files are looked up here
    core::Subject subject{core::Subject::candidate};
    core::JudgePurpose purpose{core::JudgePurpose::trial};
    const std::string* baseline{nullptr};         ///< this check's `measurement` on the LKG, or nullptr
    Usec ready_within{std::chrono::seconds(60)};  ///< until then loading, missing and unreachable are neutral
    std::string podman_socket{sys::kPodmanSocket};
    /// Grows each time that the daemon has a version served or its service restarted: what happened to the service
    /// before says nothing about what is judged now.
    std::uint64_t era{0};
    sys::Path key_file;           ///< holds what the model server wants as a bearer token; empty: nothing
    sys::RunCommand run_command;  ///< the device's commands; empty: it lists none
    /// Told of each probe that a protocol classified, for the metrics; may be empty.
    std::function<void(const ProbeTold&)> on_probe;
};

struct CheckOutcome {
    core::VerdictKind verdict{core::VerdictKind::inconclusive};
    std::string code;  ///< as core::CheckReport::code
    std::string text;
    std::optional<double> measured, limit, baseline;
    std::string unit;
    std::int64_t probes{0};
    std::string measurement;  ///< opaque JSON: handed back as `baseline` when the candidate is judged
};

/// One check under way. Dropping it cancels: the callback is then never called.
class Running {
  public:
    virtual ~Running() = default;
};

/// A configured check; may run many times. What it may remember from pass to pass is what it has seen, in memory.
class Check {
  public:
    virtual ~Check() = default;
    /// Starts one pass. `done` is called exactly once, from the loop, never inside start().
    virtual std::unique_ptr<Running> start(const CheckContext& context,
                                           std::function<void(CheckOutcome)> done) const = 0;
};

struct CheckKind {
    std::string_view name;
    std::string_view summary;
    std::span<const ParamSpec> params;
    /// Parameters are already validated against `params`, with defaults filled in. invalid_config where they
    /// contradict.
    Result<std::unique_ptr<Check>> (*make)(const ParamMap& params);
    bool compares{false};     ///< compares with the LKG: gets a baseline
    bool needs_server{true};  ///< talks to the model server at `serve.endpoint`: only run once `ready` has passed
    bool alone{false};        ///< must not run beside other checks (latency)
    bool late{false};         ///< says something only once `ready` has passed, though it needs no endpoint
    /// The metric that its newest `measured` is told as; its name ends with the unit. Empty: none.
    std::string_view metric{};
};

/// All kinds, in the order of kinds.def.
std::span<const CheckKind* const> kinds();
const CheckKind* find_kind(std::string_view name);

}  // namespace modelguard::checks
