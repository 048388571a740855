#include "supervisor/store/reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace modelguard::store {

Result<void> Reserve::hold() {
    struct stat now{};
    if (::stat(file_.c_str(), &now) == 0 && now.st_size == static_cast<off_t>(kReserveBytes)) return {};
    MG_TRY(const std::uint64_t free, sys::free_bytes(file_.parent_path()));
    if (free < 4 * kReserveBytes)
        return fail_errno("reserve of " + std::to_string(kReserveBytes >> 20) + " MiB with " +
                              std::to_string(free >> 20) + " MiB free",
                          ENOSPC);
    const sys::Fd fd(::open(file_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
    const int error = fd ? ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kReserveBytes)) : errno;
    if (error == 0) return {};
    ::unlink(file_.c_str());
    return fail_errno("reserve " + file_.string(), error);
}

bool Reserve::give_up() { return ::unlink(file_.c_str()) == 0; }

}  // namespace modelguard::store
