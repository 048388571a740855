#pragma once
// Listening unix sockets: made by path or adopted. Not for connecting, and not for TCP.

#include <sys/types.h>

#include <string>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::daemon {

/// A listening socket, non-blocking and close-on-exec, and the name it has to remove.
struct HttpListener {
    sys::Fd socket;
    sys::Fd directory;  ///< of the socket file; none where the socket was adopted
    std::string name;   ///< in `directory`
    dev_t device{0};    ///< of the socket file, to know it again
    ino_t inode{0};

    /// Removes the socket file if it is still the one made here. Nothing for adopted sockets.
    void remove_name();
};

/// Makes the socket. A socket file on which connect() is refused is stale and replaced; conflict where somebody answers
/// or where the path is something else than a socket; invalid_config where the last part of the path is too long to
/// bind.
Result<HttpListener> listen_on_path(const std::string& path, unsigned mode);

/// Takes over a listening unix stream socket; invalid_config for anything else.
Result<HttpListener> adopt_listener(sys::Fd socket);

}  // namespace modelguard::daemon
