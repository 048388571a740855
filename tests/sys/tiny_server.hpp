#pragma once
// An HTTP/1.1 server for tests, on the same loop as the client under test. It answers what the test tells it to, byte
// for byte, so that wrong answers are as easy as right ones. Not for anything else: bodies are found by Content-Length
// only.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::sys::test {

/// "HTTP/1.1 200 OK" with this body.
std::string ok_reply(const std::string& body, const std::string& content_type = "application/json");

class TinyServer {
  public:
    struct Answer {
        std::optional<std::string> bytes;  ///< nothing: hang
        bool close_after{false};
        bool reset{false};  ///< RST instead of any answer
    };
    using Handler = std::function<Answer(const std::string& request)>;

    /// On 127.0.0.1 and a free port.
    TinyServer(Loop& loop, Handler handler);
    /// On a unix socket.
    TinyServer(Loop& loop, const std::string& socket_path, Handler handler);

    std::string url(const std::string& path = "/") const;
    int accepted() const { return accepted_; }
    int open_connections() const { return static_cast<int>(connections_.size()); }
    const std::vector<std::string>& requests() const { return requests_; }
    void close_all() { connections_.clear(); }

  private:
    struct Connection {
        Fd fd;
        Source source;
        std::string received;
    };
    void listen_on(Fd listener);
    void accept_one();
    void read_from(int fd);
    void answer(Connection& connection, int fd);

    Loop& loop_;
    Handler handler_;
    Fd listener_;
    Source listening_;
    int port_{0};
    int accepted_{0};
    std::map<int, Connection> connections_;
    std::vector<std::string> requests_;
};

/// A port on 127.0.0.1 where nobody listens, held so that nobody else gets it.
class DeadPort {
  public:
    DeadPort();
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

  private:
    Fd held_;
    int port_{0};
};

}  // namespace modelguard::sys::test
