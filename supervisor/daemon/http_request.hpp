#pragma once
// What the HTTP server and its handlers pass to and fro: a request, its reply, the right to answer, a body as a stream.
// Not for sockets and options: http_server.hpp.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/base/result.hpp"

namespace modelguard::daemon {

/// Who connected, as of connect(2). For the audit record, not for access decisions: `gid` is the primary group alone.
struct HttpPeer {
    pid_t pid{0};
    uid_t uid{0};
    gid_t gid{0};
};

struct HttpServerRequest {
    std::string method;                 ///< GET (HEAD arrives as GET too), POST, PUT or DELETE
    std::string path;                   ///< as sent, without the query
    std::vector<std::string> segments;  ///< path parts, split first and decoded then: "/v1/models/a%2Fb" has three
    std::map<std::string, std::string, std::less<>> query;  ///< decoded; of equal names the first counts
    std::string idempotency_key;
    std::string content_type;
    std::string accept;                           ///< of one line; empty: anything
    std::optional<std::uint64_t> content_length;  ///< absent where chunked or where there is no body
    std::string body;                             ///< whole, in handle(); empty in admit() and for uploads
    bool control{false};                          ///< came in on the control socket
    HttpPeer peer;
};

struct HttpServerReply {
    int status{200};
    std::string content_type{"application/json"};
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

/// application/problem+json for an error that has no file or key.
HttpServerReply problem_reply(int status, ErrorKind kind, std::string title);

/// The right and the duty to answer one request. Dropped without a reply, it answers 500. Safe to keep longer than the
/// connection or the server: then a reply goes nowhere.
class Responder {
  public:
    class Exchange;
    Responder() = default;
    explicit Responder(std::shared_ptr<Exchange> exchange);
    Responder(Responder&&) noexcept = default;
    Responder& operator=(Responder&& other) noexcept;
    ~Responder();
    explicit operator bool() const { return exchange_ != nullptr; }

    /// Answers, now or any time later; the first reply counts. A reply that comes while the body is still being sent
    /// goes out at once, the rest of the body is dropped (up to 1 MiB or 2 s) and the connection closed; of such a
    /// reply, what does not fit the socket buffer (some 200 KiB) breaks the connection. Does not block.
    void reply(HttpServerReply reply);
    /// Offers the bytes that Upload::write() did not take again, from the loop. No effect where none are waiting.
    void resume_upload();
    /// True once the connection is known to have ended before the reply.
    bool is_client_gone() const;
    /// Called once from the loop if the client goes before the reply (a client that only shuts down its sending side
    /// still waits). It may drop the Responder. Not called after reply(), nor if the client is gone already.
    void on_client_gone(std::function<void()> callback);

  private:
    void settle();
    std::shared_ptr<Exchange> exchange_;  // shared: the connection or the holder of the Responder may end first
};

/// Takes one request body as a stream. Order: start, write …, then one of finish, aborted or nothing (it has replied
/// before the end). Destroyed when the exchange ends, never inside one of its own functions.
class Upload {
  public:
    virtual ~Upload() = default;
    virtual void start(Responder responder) = 0;
    /// Takes some of `bytes` and says how many; after 0 nothing more is read from the client until resume_upload().
    virtual std::size_t write(std::string_view bytes) = 0;
    virtual void finish() = 0;  ///< the body is complete; the reply may come later
    /// The client or the server went before the body was complete; there is nobody to answer.
    virtual void aborted() = 0;
};

}  // namespace modelguard::daemon
