#pragma once
// The daemon's HTTP client: libcurl's multi interface on the event loop. Connections are kept and reused.
// Not for serving, and not for the network at large: callers name loopback endpoints or unix sockets.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::sys {

struct HttpRequest {
    std::string method{"GET"};
    std::string url;
    std::vector<std::string> headers;        ///< "Name: value"
    std::string body;                        ///< sent where not empty or method is POST
    std::filesystem::path body_file;         ///< sent instead of `body`, read as it goes out; needs method POST
    std::string unix_socket;                 ///< path; empty: TCP
    Usec timeout{std::chrono::seconds(10)};  ///< whole exchange
    std::size_t max_body{16u << 20};         ///< more than this is an error (malformed_reply), the rest is not read
    bool fresh_connection{false};
    bool http2{false};  ///< HTTP/2 at once, without TLS too, as gRPC has it; the reply then brings its `fields`
    bool timed{false};  ///< the reply tells when its body came
};

/// The first `end` bytes of a body were there `at` after the start of the exchange.
struct Arrival {
    std::size_t end{0};
    Usec at{0};
};

struct HttpReply {
    int status{0};
    std::string body;
    std::string content_type;
    Usec total{0};  ///< from the start of the exchange to the last byte
    Usec first_byte{0};
    Usec connect{0};                  ///< 0 on a kept connection
    std::vector<std::string> fields;  ///< headers and trailers, "name: value"; only of HTTP/2
    std::vector<Arrival> arrivals;    ///< only where asked for; later ones beyond some 10,000 are left out
};

/// Dropping a Transfer cancels it; its callback is then never called.
class Transfer {
  public:
    struct Impl;
    Transfer();
    explicit Transfer(std::unique_ptr<Impl> impl);
    Transfer(Transfer&&) noexcept;
    Transfer& operator=(Transfer&&) noexcept;
    ~Transfer();
    explicit operator bool() const { return impl_ != nullptr; }

  private:
    std::unique_ptr<Impl> impl_;
};

class HttpClient {
  public:
    static Result<std::unique_ptr<HttpClient>> create(Loop& loop);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// Starts the exchange; the callback comes exactly once, later, from the loop. Any HTTP status is a reply.
    /// Errors: unavailable (refused, reset, no route), timed_out, malformed_reply (not HTTP, too large), invalid_config
    /// (a URL, header or file that cannot be sent), internal.
    Transfer send(HttpRequest request, std::function<void(Result<HttpReply>)> done);

    struct Impl;

  private:
    explicit HttpClient(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace modelguard::sys
