#pragma once
// A real server on a real socket, and raw clients of it on the same loop: no threads, no waiting but for events.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "supervisor/daemon/http_server.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon::testing {

inline sockaddr_un socket_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
}

/// A blocking listening socket, as a socket unit hands one over.
inline sys::Fd listening_socket(const std::string& path, int backlog) {
    sys::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    MG_ASSERT(fd);
    const sockaddr_un address = socket_address(path);
    MG_ASSERT(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    MG_ASSERT(::listen(fd.get(), backlog) == 0);
    return fd;
}

/// A non-blocking unix stream client; says what it is told to say, byte by byte.
class RawClient {
  public:
    explicit RawClient(const std::string& path)
        : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        const sockaddr_un address = socket_address(path);
        connect_errno =
            ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    }
    /// Bytes the socket took; -1 with send_errno where it is broken.
    ssize_t send(std::string_view text) {
        const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        send_errno = errno;
        return errno == EAGAIN ? 0 : -1;
    }
    /// Collects what has come into `received`.
    void read() {
        char buffer[65536];
        for (;;) {
            const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
            if (count > 0) {
                received.append(buffer, static_cast<std::size_t>(count));
                continue;
            }
            if (count == 0 || errno != EAGAIN) is_closed = true;
            return;
        }
    }
    void stop_sending() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }

    /// One whole reply with a Content-Length is in.
    bool has_reply() {
        read();
        const std::size_t end = received.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::size_t field = received.find("Content-Length: ");
        if (field == std::string::npos || field > end) return false;
        return received.size() >= end + 4 + std::stoul(received.substr(field + 16));
    }
    int status() const { return received.size() < 12 ? 0 : std::stoi(received.substr(9, 3)); }
    std::string body() const {
        const std::size_t end = received.find("\r\n\r\n");
        return end == std::string::npos ? "" : received.substr(end + 4);
    }
    bool has_closed() {
        read();
        return is_closed;
    }

    std::string received;
    bool is_closed{false};
    int connect_errno{0};
    int send_errno{0};

  private:
    sys::Fd fd_;
};

class ServerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "mg-http-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory = pattern;
        path = directory + "/api.sock";
        auto made = sys::Loop::create();
        ASSERT_TRUE(made);
        loop = std::move(*made);
    }
    void TearDown() override {
        server.reset();
        loop.reset();
        std::filesystem::remove_all(directory);
    }

    std::unique_ptr<HttpServer> serve(HttpServerOptions options, HttpServerHandlers handlers) {
        if (options.path.empty() && !options.listener) options.path = path;
        auto made = HttpServer::create(*loop, std::move(options), std::move(handlers));
        EXPECT_TRUE(made) << (made ? "" : made.error().what);
        return made ? std::move(*made) : nullptr;
    }

    /// Turns the loop until `condition` holds; false after `limit` (of logical patience: a test then fails, none waits
    /// for it).
    bool until(const std::function<bool()>& condition, Usec limit = std::chrono::seconds(10)) {
        const Instant end = sys::boottime_now() + limit;
        while (!condition()) {
            if (sys::boottime_now() >= end) return false;
            EXPECT_TRUE(loop->run_once(std::chrono::milliseconds(5)));
        }
        return true;
    }
    /// Turns the loop until it has nothing more to do at once.
    void settle() {
        for (int idle = 0; idle < 3;) {
            const auto did = loop->run_once(Usec{0});
            ASSERT_TRUE(did);
            idle = *did ? 0 : idle + 1;
        }
    }
    /// Sends all of `text` while the loop runs; false where the server has closed.
    bool send_all(RawClient& client, std::string_view text) {
        bool is_open = true;
        return until([&] {
                   const ssize_t sent = client.send(text);
                   is_open = sent >= 0;
                   if (is_open) text.remove_prefix(static_cast<std::size_t>(sent));
                   return !is_open || text.empty();
               }) &&
               is_open;
    }

    std::string directory;
    std::string path;
    std::unique_ptr<sys::Loop> loop;
    std::unique_ptr<HttpServer> server;
};

/// A handler that says what it was asked.
inline void echo(const HttpServerRequest& request, Responder responder) {
    responder.reply({.body = request.method + " " + request.path + " " + request.body});
}

}  // namespace modelguard::daemon::testing
