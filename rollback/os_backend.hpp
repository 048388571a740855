#pragma once
// What an OS backend is: it reads the deployments and carries out one verb at a time. One file per backend, one line in
// os_backends.def. `none` is a device whose OS never changes.

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "supervisor/core/step.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::rollback {

class OsBackend {
  public:
    virtual ~OsBackend() = default;
    /// Another text once the deployments may have changed; cheap, and never blocks. Empty: they never change.
    virtual std::string stamp() const { return {}; }
    /// Reads the present view; `done` comes once, from the loop.
    virtual void observe(std::function<void(Result<core::OsView>)> done) = 0;
    /// Carries out one verb; `target` is a deployment id. unsupported where the backend cannot.
    virtual void perform(core::OsVerb verb, const std::string& target, std::function<void(Result<void>)> done) = 0;
};

struct OsBackendKind {
    std::string_view name;
    std::string_view summary;
    bool (*is_present)();  ///< does this host run it?
    Result<std::unique_ptr<OsBackend>> (*make)(sys::Loop& loop);
};

std::span<const OsBackendKind* const> os_backends();
const OsBackendKind* find_os_backend(std::string_view name);

}  // namespace modelguard::rollback
