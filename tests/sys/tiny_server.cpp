#include "tests/sys/tiny_server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace modelguard::sys::test {

namespace {
int bind_loopback(int fd) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
}
}  // namespace

std::string ok_reply(const std::string& body, const std::string& content_type) {
    return "HTTP/1.1 200 OK\r\nContent-Type: " + content_type + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

TinyServer::TinyServer(Loop& loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    port_ = bind_loopback(listener.get());
    listen_on(std::move(listener));
}

TinyServer::TinyServer(Loop& loop, const std::string& socket_path, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(socket_path.size(), sizeof address.sun_path);
    std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    listen_on(std::move(listener));
}

void TinyServer::listen_on(Fd listener) {
    listener_ = std::move(listener);
    EXPECT_EQ(::listen(listener_.get(), 128), 0);
    listening_ = loop_.add_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

std::string TinyServer::url(const std::string& path) const {
    return port_ ? "http://127.0.0.1:" + std::to_string(port_) + path : "http://localhost" + path;
}

void TinyServer::accept_one() {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ASSERT_TRUE(fd);
    ++accepted_;
    const int number = fd.get();
    Connection& connection = connections_[number];
    connection.fd = std::move(fd);
    connection.source = loop_.add_io(number, EPOLLIN, [this, number](std::uint32_t) { read_from(number); });
}

void TinyServer::read_from(int fd) {
    Connection& connection = connections_.at(fd);
    std::array<char, 65536> bytes{};
    const ssize_t count = ::read(fd, bytes.data(), bytes.size());
    if (count <= 0) {
        connections_.erase(fd);
        return;
    }
    connection.received.append(bytes.data(), static_cast<std::size_t>(count));
    const std::size_t head_end = connection.received.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    std::size_t body_size = 0;
    constexpr std::string_view kLength = "Content-Length: ";
    if (const std::size_t at = connection.received.find(kLength); at < head_end)
        body_size = std::strtoul(connection.received.c_str() + at + kLength.size(), nullptr, 10);
    if (connection.received.size() < head_end + 4 + body_size) return;
    answer(connection, fd);
}

void TinyServer::answer(Connection& connection, int fd) {
    requests_.push_back(std::exchange(connection.received, {}));
    const Answer answer = handler_(requests_.back());
    if (answer.reset) {
        const linger at_once{1, 0};
        EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        connections_.erase(fd);
        return;
    }
    if (answer.bytes) {
        const ssize_t sent = ::send(fd, answer.bytes->data(), answer.bytes->size(), MSG_NOSIGNAL);
        EXPECT_EQ(sent, static_cast<ssize_t>(answer.bytes->size()));
    }
    if (answer.close_after) connections_.erase(fd);
}

DeadPort::DeadPort() : held_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) { port_ = bind_loopback(held_.get()); }

}  // namespace modelguard::sys::test
