#pragma once
// HTTP/1.1 on a unix socket: turns connections into requests and replies on the event loop, nothing more. It knows no
// route and no right; the daemon's handlers do. One instance per socket, each with its own connection limit, so that
// readers cannot starve those who may change things. Not for TCP: peers are told by SO_PEERCRED.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "supervisor/base/result.hpp"
#include "supervisor/daemon/http_request.hpp"
#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::daemon {

/// What to do with a request whose head is in. Neither: the body is collected, at most kSmallBodyLimit.
struct HttpAdmission {
    std::unique_ptr<Upload> upload;
    std::optional<HttpServerReply> refusal;  ///< sent before the body is read
};

struct HttpServerHandlers {
    std::function<void(HttpServerRequest, Responder)> handle;  ///< required; not called for uploads, refusals
    std::function<HttpAdmission(const HttpServerRequest&)> admit = nullptr;  ///< every request, at the end of its head
};

/// Larger bodies outside uploads are answered 413.
inline constexpr std::size_t kSmallBodyLimit = 1u << 20;

struct HttpServerOptions {
    std::string path;  ///< socket to make and to remove at the end; may be longer than 107 bytes, its last part not
    sys::Fd listener;  ///< or: a listening unix socket, as from socket activation; then `path` is not used
    unsigned mode{0666};
    bool control{false};
    /// Further clients wait in the backlog; for them the connections go that have asked nothing for longest.
    unsigned connection_limit{64};
    std::chrono::seconds idle_timeout{10};     ///< without progress; not while a reply or a resume is awaited
    std::size_t connection_memory{32u << 10};  ///< bytes per connection; longer request lines get 414, heads 431
};

class HttpServer {
  public:
    /// Listens from now on; handlers are called from the loop. A stale socket file is replaced. conflict: somebody
    /// answers there, or it is no socket; denied, not_found, io: the socket cannot be made; invalid_config: its
    /// last part is too long, or `listener` is no listening unix socket.
    static Result<std::unique_ptr<HttpServer>> create(sys::Loop& loop, HttpServerOptions options,
                                                      HttpServerHandlers handlers);
    /// Answers 503 to whoever still waits, aborts uploads, closes, removes the socket. Not from inside a handler.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    struct Impl;

  private:
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace modelguard::daemon
