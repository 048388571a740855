#include "supervisor/api/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "supervisor/api/reply_parser.hpp"

namespace modelguard::api {

namespace {

constexpr std::size_t kChunkBytes = 128 * 1024;  // larger ones gain nothing over a unix socket (its buffer is 208 KiB)

class OwnFd {  // sys::Fd would do, but the CLI does not use sys
  public:
    explicit OwnFd(int fd) : fd_(fd) {}
    OwnFd(OwnFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    OwnFd& operator=(OwnFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~OwnFd() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

Usec now() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + Usec(time.tv_nsec / 1000);
}

std::unexpected<Error> socket_error(const std::string& path, int error) {
    std::string what = "no answer at " + path + ": " + std::strerror(error);
    switch (error) {
        case ENOENT:
        case ENOTDIR:
        case ECONNREFUSED: return std::unexpected(Error{ErrorKind::unavailable, "no daemon at " + path, error});
        case EACCES:
        case EPERM: return std::unexpected(Error{ErrorKind::denied, path + ": " + std::strerror(error), error});
        case EAGAIN:
            return std::unexpected(
                Error{ErrorKind::timed_out, "the daemon takes no more connections at " + path, error});
        default: return std::unexpected(Error{ErrorKind::io, std::move(what), error});
    }
}

/// The address of `path`. A path that does not fit is reached through a descriptor of its directory, which `directory`
/// keeps open.
Result<sockaddr_un> address_of(const std::string& path, OwnFd& directory) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string fitting = path;
    if (fitting.size() >= sizeof address.sun_path) {
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos) return socket_error(path, ENAMETOOLONG);
        directory = OwnFd(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (directory.get() < 0) return socket_error(path, errno);
        fitting = "/proc/self/fd/" + std::to_string(directory.get()) + path.substr(slash);
        if (fitting.size() >= sizeof address.sun_path) return socket_error(path, ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, fitting.c_str(), fitting.size() + 1);
    return address;
}

Result<OwnFd> connect_to(const std::string& path, Usec patience) {
    OwnFd directory(-1);
    MG_TRY(const sockaddr_un address, address_of(path, directory));
    OwnFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) return fail_errno("socket", errno);
    // A unix socket connects at once or waits for room in the listener's backlog, and the send timeout bounds that
    // wait.
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const timeval limit{seconds.count(), (patience - seconds).count()};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return fail_errno("socket", errno);
    int result = 0;
    do {
        result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return socket_error(path, errno);
    if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) < 0) return fail_errno("socket", errno);
    return socket;
}

std::string head_of(const Request& request) {
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for (const auto& [name, value] : request.headers)
        head += name + ": " + value + "\r\n";
    if (!request.content_type.empty()) head += "Content-Type: " + request.content_type + "\r\n";
    if (request.body_fd >= 0)
        head += "Transfer-Encoding: chunked\r\n";
    else if (request.method != "GET")
        head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    return head + "\r\n";
}

/// One exchange on one connection: a poll loop over the socket, the body's descriptor and the caller's way to stop it.
class Exchange {
  public:
    Exchange(const std::string& path, const Request& request, OwnFd socket)
        : path_(path),
          request_(request),
          socket_(std::move(socket)),
          parser_(request.max_body),
          began_(now()),
          moved_(began_) {
        out_ = head_of(request);
        if (request.body_fd < 0) out_ += request.body;
        body_open_ = request.body_fd >= 0;
    }

    Result<Response> run() {
        while (!parser_.is_done()) {
            MG_CHECK(wait());
            // The answer first: a server that has answered may already have stopped reading.
            if (readable_) MG_CHECK(receive());
            if (parser_.is_done()) break;
            if (writable_) MG_CHECK(send());
            if (body_readable_) MG_CHECK(read_body());
        }
        Response response = parser_.take();
        response.request_sent = !body_open_ && out_.empty();
        return response;
    }

  private:
    bool wants_body() const { return body_open_ && out_.empty() && !peer_gone_; }

    Result<void> wait() {
        const Usec time = now();
        Usec left = Usec::max();
        if (request_.deadline.count() > 0) left = request_.deadline - (time - began_);
        const bool waits_for_server = !wants_body();
        if (waits_for_server) left = std::min(left, request_.silence - (time - moved_));
        if (left.count() <= 0) return fail(ErrorKind::timed_out, "no answer in time at " + path_);

        std::array<pollfd, 3> fds{};
        fds[0] = {socket_.get(), static_cast<short>(POLLIN | (!out_.empty() && !peer_gone_ ? POLLOUT : 0)), 0};
        fds[1] = {wants_body() ? request_.body_fd : -1, POLLIN, 0};
        fds[2] = {request_.cancel_fd, POLLIN, 0};
        constexpr std::int64_t kLongestPoll = 3'600'000;
        const auto milliseconds =
            left == Usec::max() ? -1 : std::min<std::int64_t>(left.count() / 1000 + 1, kLongestPoll);
        const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(milliseconds));
        if (ready < 0 && errno != EINTR) return fail_errno("poll", errno);
        if (ready < 0) fds = {};
        if (fds[2].revents != 0) return std::unexpected(Error{ErrorKind::unavailable, "interrupted", EINTR});
        readable_ = (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        writable_ = (fds[0].revents & POLLOUT) != 0;
        body_readable_ = fds[1].revents != 0;
        return {};
    }

    Result<void> receive() {
        std::array<char, 64 * 1024> buffer;
        const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        // ECONNRESET: the peer closed with bytes of ours unread; whatever it had answered came before.
        if (count < 0 && errno != ECONNRESET && errno != EPIPE) return fail_errno("reading from " + path_, errno);
        if (count <= 0) return with_context(parser_.finish(), path_);
        moved_ = now();
        MG_TRY(std::ignore, with_context(parser_.feed({buffer.data(), static_cast<std::size_t>(count)}), path_));
        return {};
    }

    Result<void> send() {
        const ssize_t count = ::send(socket_.get(), out_.data() + out_done_, out_.size() - out_done_, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (count < 0) {
            if (errno != EPIPE && errno != ECONNRESET) return fail_errno("writing to " + path_, errno);
            peer_gone_ = true;  // it takes no more; its answer, if any, is still to be read
            return {};
        }
        moved_ = now();
        out_done_ += static_cast<std::size_t>(count);
        if (out_done_ < out_.size()) return {};
        out_.clear();
        out_done_ = 0;
        sent_ += std::exchange(chunk_, 0);
        if (request_.on_sent && sent_ > 0) request_.on_sent(sent_);
        return {};
    }

    Result<void> read_body() {
        std::array<char, kChunkBytes> buffer;
        const ssize_t count = ::read(request_.body_fd, buffer.data(), buffer.size());
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (count < 0) return fail_errno("reading what is to be sent", errno);
        moved_ = now();
        if (count == 0) {
            if (request_.body_complete) MG_CHECK(request_.body_complete());
            body_open_ = false;
            out_ = "0\r\n\r\n";
            return {};
        }
        std::array<char, 24> size{};
        const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", static_cast<std::size_t>(count));
        out_.assign(size.data(), static_cast<std::size_t>(length));
        out_.append(buffer.data(), static_cast<std::size_t>(count));
        out_ += "\r\n";
        chunk_ = static_cast<std::uint64_t>(count);
        return {};
    }

    const std::string& path_;
    const Request& request_;
    OwnFd socket_;
    ReplyParser parser_;
    Usec began_, moved_;
    std::string out_;
    std::size_t out_done_{0};
    std::uint64_t chunk_{0}, sent_{0};
    bool body_open_{false}, peer_gone_{false};
    bool readable_{false}, writable_{false}, body_readable_{false};
};

}  // namespace

Result<Response> send_request(const std::string& socket_path, const Request& request) {
    const Usec patience = request.deadline.count() > 0 ? std::min(request.deadline, request.silence) : request.silence;
    MG_TRY(OwnFd socket, connect_to(socket_path, patience));
    return Exchange(socket_path, request, std::move(socket)).run();
}

Problem problem_of(const Response& response) {
    if (auto problem = problem_from_json(response.body)) return *problem;
    Problem problem;
    problem.http_status = response.status;
    ErrorKind kind = ErrorKind::internal;
    switch (response.status) {
        case 400:
        case 413:
        case 422: kind = ErrorKind::invalid_config; break;
        case 401:
        case 403: kind = ErrorKind::denied; break;
        case 404: kind = ErrorKind::not_found; break;
        case 409: kind = ErrorKind::conflict; break;
        case 429:
        case 503: kind = ErrorKind::unavailable; break;
        case 501: kind = ErrorKind::unsupported; break;
        default: break;
    }
    problem.kind = to_string(kind);
    problem.title = "the daemon answered with HTTP status " + std::to_string(response.status);
    return problem;
}

ErrorKind kind_of(const Problem& problem) {
    using enum ErrorKind;
    for (const ErrorKind kind : {invalid_config, unavailable, timed_out, denied, not_found, conflict, malformed_reply,
                                 io, unsupported, internal})
        if (to_string(kind) == problem.kind) return kind;
    return internal;
}

}  // namespace modelguard::api
