#pragma once
// What the daemon may not read itself, written down for it: the deployments, who watches this boot, and whether the
// boot loader took another tree than it was told to. Read by rollback/os_ostree.cpp.

#include <string>

#include "rollback/os_helper/sysroot.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::rollback::os_helper {

struct Places {
    std::string sysroot{"/"};
    sys::Path run{"/run/modelguard-os"};
};

/// Keeps which deployment was booted and which was the default when this boot was first looked at; later looks leave
/// it. To be called before anything is ordered.
Result<void> remember_first_look(const Places& places, const std::vector<Tree>& trees);
/// Replaces view.json in the run directory.
Result<void> write_view(const Places& places, const Sysroot& sysroot);

}  // namespace modelguard::rollback::os_helper
