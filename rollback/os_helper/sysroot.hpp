#pragma once
// The deployments of a sysroot, read and reordered through libostree; nothing of libostree leaves this header. Not for
// what is ordered (order.hpp) and not for new deployments: those are the updater's.
// Source: libostree's ostree-sysroot.h; `ostree admin set-default` does the same with the same calls.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rollback/os_helper/order.hpp"
#include "supervisor/base/result.hpp"
#include "supervisor/base/time.hpp"

namespace modelguard::rollback::os_helper {

/// What the commit and the origin file of a deployment say.
struct TreeFacts {
    std::string identity;         ///< equal for the same OS, staged again or not
    std::int64_t newness_sec{0};  ///< the commit's time
};

class Sysroot {
  public:
    /// Loads the sysroot at `path`, "/" for this host's. The caller has a mount namespace of its own where
    /// `own_namespace`: libostree may then make /sysroot and /boot writable. io where it cannot be read; unsupported
    /// where none of its deployments is booted.
    static Result<Sysroot> load(const std::string& path, bool own_namespace);
    Sysroot(Sysroot&&) noexcept;
    Sysroot& operator=(Sysroot&&) noexcept;
    ~Sysroot();

    /// In boot order: the first one that is not staged is the default.
    const std::vector<Tree>& trees() const;
    /// Where its commit cannot be read it is an OS like no other, and old: that one damaged tree hides no other.
    TreeFacts facts(std::size_t index) const;
    /// Takes libostree's lock and reads again what changed meanwhile. Blocks for `patience` at most, then unavailable.
    Result<void> lock(Usec patience);
    /// Under the lock: the deployments at these indices of trees(), in this order, and no others; the old or the new
    /// order is on disk whole. trees() is stale afterwards. Blocks on the disk.
    Result<void> write(const std::vector<std::size_t>& order);
    void unlock();

  private:
    struct Impl;
    explicit Sysroot(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace modelguard::rollback::os_helper
