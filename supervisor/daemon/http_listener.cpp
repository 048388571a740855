#include "supervisor/daemon/http_listener.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace modelguard::daemon {
namespace {

// Bursts of clients (a dashboard, `status` in a loop on every shell) wait here while the connection limit is reached.
constexpr int kBacklog = 128;

Result<sys::Fd> unix_socket() {
    sys::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("socket", errno);
    return fd;
}

/// The address by way of the open directory: sun_path ends at 107 bytes, `--root DIR` does not.
Result<sockaddr_un> address_in(int directory, const std::string& name) {
    const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid_config, "socket name '" + name + "' is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

const sockaddr* as_sockaddr(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

/// Makes way for a new socket file, or says why not.
Result<void> clear_stale(int directory, const std::string& name, const sockaddr_un& address, const std::string& path) {
    struct stat info{};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno("stat " + path, errno);
    }
    if (!S_ISSOCK(info.st_mode)) return fail(ErrorKind::conflict, path + " exists and is not a socket");
    MG_TRY(const sys::Fd probe, unix_socket());
    // Non-blocking: a full backlog reads as EAGAIN, and somebody who is too busy to accept is there all the same.
    if (::connect(probe.get(), as_sockaddr(address), sizeof address) == 0 || errno == EAGAIN)
        return fail(ErrorKind::conflict, "another daemon answers on " + path);
    if (errno == ENOENT) return {};
    if (errno != ECONNREFUSED) return fail_errno("connect " + path, errno);
    if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) return fail_errno("unlink " + path, errno);
    return {};
}

}  // namespace

void HttpListener::remove_name() {
    if (!directory) return;
    struct stat info{};
    const bool is_ours = ::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                         info.st_dev == device && info.st_ino == inode;
    if (is_ours) ::unlinkat(directory.get(), name.c_str(), 0);
    directory.reset();
}

Result<HttpListener> listen_on_path(const std::string& path, unsigned mode) {
    const std::filesystem::path whole(path);
    HttpListener listener;
    listener.name = whole.filename().string();
    if (listener.name.empty()) return fail(ErrorKind::invalid_config, "socket path '" + path + "' names no file");
    const std::string parent = whole.has_parent_path() ? whole.parent_path().string() : ".";
    listener.directory = sys::Fd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!listener.directory) return fail_errno("open " + parent, errno);
    MG_TRY(const sockaddr_un address, address_in(listener.directory.get(), listener.name));
    MG_CHECK(clear_stale(listener.directory.get(), listener.name, address, path));

    MG_TRY(listener.socket, unix_socket());
    // Before bind: the file is made with this mode less the umask, so it is at no moment more open than asked.
    if (::fchmod(listener.socket.get(), static_cast<mode_t>(mode)) != 0) return fail_errno("fchmod " + path, errno);
    if (::bind(listener.socket.get(), as_sockaddr(address), sizeof address) != 0) {
        if (errno == EADDRINUSE) return fail(ErrorKind::conflict, "another daemon has just made " + path);
        return fail_errno("bind " + path, errno);
    }
    struct stat info{};
    if (::fstatat(listener.directory.get(), listener.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno("stat " + path, errno);
    listener.device = info.st_dev;
    listener.inode = info.st_ino;
    if (::fchmodat(listener.directory.get(), listener.name.c_str(), static_cast<mode_t>(mode), 0) != 0 ||
        ::listen(listener.socket.get(), kBacklog) != 0) {
        const int reason = errno;
        listener.remove_name();
        return fail_errno("listen on " + path, reason);
    }
    return listener;
}

Result<HttpListener> adopt_listener(sys::Fd socket) {
    int domain = 0;
    int listens = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
        return fail_errno("adopted socket", errno);
    size = sizeof listens;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0)
        return fail_errno("adopted socket", errno);
    if (domain != AF_UNIX || listens == 0)
        return fail(ErrorKind::invalid_config, "the adopted descriptor is not a listening unix socket");
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0)
        return fail_errno("adopted socket", errno);
    HttpListener listener;
    listener.socket = std::move(socket);
    return listener;
}

}  // namespace modelguard::daemon
