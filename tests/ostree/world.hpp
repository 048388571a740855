#pragma once
// A real sysroot that is thrown away, and processes for which one of its deployments is booted: no VM, no reboot. Needs
// root, the program `ostree` and the right to mount.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/sys/files.hpp"

namespace modelguard::ostree_test {

/// What this host cannot do; the tests are skipped by name.
struct Missing {
    std::string what;
};

/// A deployment as libostree has it on the disk.
struct Entry {
    std::string id;
    bool booted{false}, staged{false}, pinned{false};

    bool operator==(const Entry&) const = default;
};

class World {
  public:
    /// A mount namespace for this process, a tmpfs in it, and in there a sysroot for each number of deployments,
    /// 1 to `most`, the newest first (v4, v3, v2, v1).
    explicit World(std::size_t most);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// To be called in there by its name.
    void bring(const sys::Path& program);
    /// Runs `inside` in a process whose root is the deployment of `version` in the sysroot of `deployments`; /run is
    /// new. Its exit status.
    int boot(std::size_t deployments, std::string_view version, const std::function<int()>& inside);
    /// The id of the deployment of "v3".
    std::string id(std::string_view version) const;
    /// The commit of "v3" or of a base ("v3-base").
    std::string commit(std::string_view version) const;

  private:
    sys::Path place_;
    std::map<std::string, std::string, std::less<>> commits_;
};

// Inside: all by libostree, in this process.

std::vector<Entry> entries();
/// The deployments in this order, and nothing staged.
void set_order(const std::vector<std::string>& ids);
void set_pinned(const std::string& id, bool pinned);
/// Stages a commit, "v9" is newer than all; the id.
std::string stage(std::string_view version = "v9");
/// Holds libostree's lock as long as it lives.
std::shared_ptr<void> hold_lock();
/// When libostree last wrote anything.
std::int64_t last_write_nsec();

/// A program and its exit status; its errors are thrown away. Fails the test run where it cannot be started.
int run(const std::vector<std::string>& command);
/// The first line of /run/modelguard-os/error; empty where there is none.
std::string told_error();

}  // namespace modelguard::ostree_test
