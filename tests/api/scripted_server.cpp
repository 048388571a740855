#include "tests/api/scripted_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace modelguard::test {

namespace {

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::abort();
}

std::string decoded(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            plain += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

class Input {
  public:
    explicit Input(int fd) : fd_(fd) {}
    bool line(std::string& line) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n")) == std::string::npos)
            if (!more()) return false;
        line = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return true;
    }
    bool bytes(std::size_t count, std::string& out) {
        while (buffer_.size() < count)
            if (!more()) return false;
        out.append(buffer_, 0, count);
        buffer_.erase(0, count);
        return true;
    }

  private:
    bool more() {
        char chunk[65536];
        const ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
        if (count <= 0) return false;
        buffer_.append(chunk, static_cast<std::size_t>(count));
        return true;
    }
    int fd_;
    std::string buffer_;
};

void take_target(std::string_view target, Asked& asked) {
    const std::size_t mark = target.find('?');
    asked.path = decoded(target.substr(0, mark));
    if (mark == std::string_view::npos) return;
    for (std::string_view rest = target.substr(mark + 1); !rest.empty();) {
        const std::size_t end = std::min(rest.find('&'), rest.size());
        const std::string_view pair = rest.substr(0, end);
        const std::size_t equals = std::min(pair.find('='), pair.size());
        asked.query[decoded(pair.substr(0, equals))] = equals < pair.size() ? decoded(pair.substr(equals + 1)) : "";
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

}  // namespace

Asked read_request(int fd) {
    Asked asked;
    Input input(fd);
    std::string line;
    if (!input.line(line)) return asked;
    const std::size_t space = line.find(' ');
    asked.method = line.substr(0, space);
    take_target(std::string_view(line).substr(space + 1, line.rfind(' ') - space - 1), asked);
    while (input.line(line) && !line.empty()) {
        std::string name = line.substr(0, line.find(':'));
        for (char& c : name)
            c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        asked.headers[name] = line.substr(std::min(line.size(), line.find(':') + 2));
    }
    if (asked.headers.contains("content-length")) {
        asked.complete = input.bytes(std::stoul(asked.headers["content-length"]), asked.body);
    } else if (asked.headers.contains("transfer-encoding")) {
        while (input.line(line)) {
            const std::size_t size = std::stoul(line, nullptr, 16);
            std::string end;
            if (!input.bytes(size, asked.body) || !input.bytes(2, end)) return asked;
            if (size == 0) {
                asked.complete = true;
                return asked;
            }
        }
    } else {
        asked.complete = true;
    }
    return asked;
}

void send_text(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (count <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

std::string reply_text(const Reply& reply) {
    return "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\nContent-Type: " + reply.content_type +
           "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\nConnection: close\r\n\r\n" + reply.body;
}

void wait_for_close(int fd) {
    char byte = 0;
    while (::recv(fd, &byte, 1, 0) > 0) {
    }
}

ScriptedServer::ScriptedServer(const std::string& socket_path, Script script) {
    script_ = [this, script = std::move(script)](int fd) {
        Asked asked = read_request(fd);
        const Reply reply = script(asked);
        {
            const std::lock_guard lock(mutex_);
            asked_.push_back(std::move(asked));
        }
        if (reply.status != 0) send_text(fd, reply_text(reply));
    };
    start(socket_path);
}

ScriptedServer::ScriptedServer(const std::string& socket_path, RawScript script) : script_(std::move(script)) {
    start(socket_path);
}

void ScriptedServer::start(const std::string& socket_path) {
    const std::filesystem::path path(socket_path);
    const int directory = ::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) give_up("socket directory");
    const std::string address_path = "/proc/self/fd/" + std::to_string(directory) + "/" + path.filename().string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, address_path.c_str(), sizeof address.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::unlink(socket_path.c_str());
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) give_up("bind");
    if (::listen(listener_, 16) < 0) give_up("listen");
    ::close(directory);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { serve(); });
}

void ScriptedServer::serve() {
    for (;;) {
        pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
        if (::poll(fds, 2, -1) < 0) continue;
        if (fds[1].revents != 0) return;
        const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) continue;
        connection_ = connection;
        script_(connection);
        connection_ = -1;
        ::close(connection);
    }
}

ScriptedServer::~ScriptedServer() {
    const std::uint64_t one = 1;
    if (::write(stop_, &one, sizeof one) != sizeof one) give_up("eventfd");
    if (const int connection = connection_; connection >= 0) ::shutdown(connection, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    ::close(stop_);
}

std::vector<Asked> ScriptedServer::asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
}

std::vector<Asked> ScriptedServer::asked(std::string_view path) const {
    std::vector<Asked> some;
    for (const Asked& one : asked())
        if (one.path == path) some.push_back(one);
    return some;
}

TempDir::TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "modelguard-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) give_up("mkdtemp");
    path_ = pattern;
}

TempDir::~TempDir() {
    std::error_code ignored;  // a leftover directory in /tmp is no reason to fail a test
    std::filesystem::remove_all(path_, ignored);
}

void write_text(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream out(path, std::ios::binary);
    out << text;
    if (!out.flush()) give_up("write_text");
}

}  // namespace modelguard::test
