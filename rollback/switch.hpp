#pragma once
// What a switch is: how a version becomes current, and back, with the same code. And what a `then` is: how the model's
// service is told afterwards. One file per switch and per then; one line each in switches.def and thens.def.
// Not for deciding when: that is core. Not for waiting until the model answers: that is the judge.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "supervisor/base/params.hpp"
#include "supervisor/core/step.hpp"
#include "supervisor/sys/command.hpp"
#include "supervisor/sys/files.hpp"
#include "supervisor/sys/http.hpp"
#include "supervisor/sys/loop.hpp"
#include "supervisor/sys/podman.hpp"

namespace modelguard::rollback {

struct ServiceContext {
    sys::Loop& loop;
    sys::HttpClient& http;
    std::string model;
    std::string server_model;
    std::string endpoint;
    sys::Path model_dir;          ///< …/models/<model>: `current` and `versions/` are in it
    sys::RunCommand run_command;  ///< the device's commands
    std::string podman_socket{sys::kPodmanSocket};
    std::function<std::string(std::string_view reference)> refuse_image;  ///< why the device does not allow an image
    std::vector<std::string>
        environment;  ///< for commands: MODELGUARD_MODEL, MODELGUARD_VERSION, MODELGUARD_VERSION_DIR
    Usec timeout{std::chrono::seconds(60)};
};

struct Outcome {
    core::SwitchResult result{core::SwitchResult::failed};
    bool link_moved{false};
    std::string why;
};

/// Under way. Dropping it cancels what can be cancelled; the callback is then never called.
class Running {
  public:
    virtual ~Running() = default;
};

enum class ThenVerb { version_changed, restart };
/// How a service is told. `done` is called exactly once, from the loop, never inside start().
struct ThenKind {
    std::string_view name;
    std::string_view summary;
    std::span<const ParamSpec> params;
    std::unique_ptr<Running> (*start)(const ServiceContext&, const ParamMap& params, ThenVerb verb,
                                      std::function<void(Outcome)> done);
    bool needs_endpoint{false};  ///< talks to the model server itself
};

struct SwitchRequest {
    ServiceContext service;
    core::VersionId from;
    core::VersionId to;             ///< empty: no current afterwards
    const ThenKind* then{nullptr};  ///< nullptr: nobody is told
    ParamMap then_params;
};

struct SwitchKind {
    std::string_view name;
    std::string_view summary;
    std::span<const ParamSpec> params;
    /// Idempotent: where `to` is current already, only the service is told again.
    std::unique_ptr<Running> (*start)(const SwitchRequest&, std::function<void(Outcome)> done);
    /// Where `current` points now; empty: nowhere.
    Result<core::VersionId> (*current)(const sys::Path& model_dir);
    /// Lets go of what it keeps outside of the store for versions that have gone from the store. What fails now is done
    /// the next time. nullptr: it keeps nothing there.
    std::unique_ptr<Running> (*tidy)(const ServiceContext&, std::function<void(Outcome)> done){nullptr};
};

std::span<const SwitchKind* const> switches();
const SwitchKind* find_switch(std::string_view name);
std::span<const ThenKind* const> thens();
const ThenKind* find_then(std::string_view name);

}  // namespace modelguard::rollback
