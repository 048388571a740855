#include "supervisor/store/reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace modelguard::store {

bool Reserve::hold() {
    struct stat now{};
    if (::stat(file_.c_str(), &now) == 0 && now.st_size == static_cast<off_t>(kReserveBytes)) return true;
    const auto free = sys::free_bytes(file_.parent_path());
    if (!free || *free < 4 * kReserveBytes) return false;
    const sys::Fd fd(::open(file_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd && ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kReserveBytes)) == 0) return true;
    ::unlink(file_.c_str());
    return false;
}

bool Reserve::give_up() { return ::unlink(file_.c_str()) == 0; }

}  // namespace modelguard::store
