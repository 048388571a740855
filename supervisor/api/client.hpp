#pragma once
// A small blocking HTTP/1.1 client over a unix socket, for the CLI and for scripts' helpers: one connection per
// exchange. Its own, because libcurl costs the CLI 10 ms of start-up. Not for the daemon (sys/http.hpp) and not for the
// network. Source: RFC 9112 (message syntax), unix(7).

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/api/values.hpp"

namespace modelguard::api {

struct Request {
    std::string method{"GET"};
    std::string target;  ///< path and query, already encoded: see percent_encoded()
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;          ///< sent with a Content-Length where `body_fd` is -1 and the method is not GET
    std::string content_type;  ///< of either body
    int body_fd{-1};           ///< read to its end and sent chunked while it comes; borrowed
    /// Called at the end of `body_fd`: an error keeps the last chunk back, so that the server sees a broken request.
    std::function<Result<void>()> body_complete;
    /// Called with the bytes of body sent so far.
    std::function<void(std::uint64_t)> on_sent;
    /// The longest silence: no byte moved on the socket although we wait for the server. A body that is slow to come
    /// from `body_fd` does not count.
    Usec silence{std::chrono::seconds(10)};
    Usec deadline{0};                 ///< of the whole exchange; 0: none
    int cancel_fd{-1};                ///< readable: give up at once (unavailable with EINTR)
    std::size_t max_body{64u << 20};  ///< of the response; more is malformed_reply
};

struct Response {
    int status{0};
    std::string content_type;
    std::string body;
    bool request_sent{false};  ///< false: the server answered before it had the whole request
    bool is_success() const { return status >= 200 && status < 300; }
};

/// One exchange; any HTTP status is a Response. Blocks. A server that answers while the body is still being sent is
/// heard at once. Never raises SIGPIPE. `socket_path` may be longer than the 107 bytes of sockaddr_un. Errors:
/// unavailable (nobody listens, or the connection broke before an answer), denied (the socket's mode), timed_out,
/// malformed_reply, io (reading `body_fd`), and what `body_complete` returned.
Result<Response> send_request(const std::string& socket_path, const Request& request);

/// The Problem in a response that is not a success; one made up from the status where the body is not a problem
/// document.
Problem problem_of(const Response& response);
/// The kind behind a Problem's word; internal for a word of a newer release.
ErrorKind kind_of(const Problem& problem);

struct Backup {
    Status status;
    std::string json;  ///< the line it was read from
    std::uint64_t number{0};
};

/// The newest whole one of DIR/state.bak.{0,1}, for when the daemon is dead: `<status JSON>\nsha256:<hex of that line>
/// <number>\n`. not_found where neither exists, denied, malformed_reply where what exists is torn or foreign.
Result<Backup> read_backup(const std::string& state_dir);

}  // namespace modelguard::api
