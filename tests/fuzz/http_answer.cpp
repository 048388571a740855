// The bytes that a model server sends, through the daemon's HTTP client, the protocol and the reload by the model
// repository: one answer each, bounded, whatever comes on the wire. A real server on loopback sends the input.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <optional>

#include "checks/protocol/protocol.hpp"
#include "rollback/switch.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/fd.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

constexpr std::size_t kMaxBody = 4096;
constexpr Usec kTimeout = std::chrono::milliseconds(200);  // of one exchange; only an answer without an end takes it
constexpr Usec kPatience = std::chrono::seconds(5);

/// Says the same bytes to everybody, once a request's head is in; then the end of the connection.
class Server {
  public:
    explicit Server(sys::Loop& loop) : loop_(loop), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        MG_ASSERT(listener_ && ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        MG_ASSERT(::listen(listener_.get(), 16) == 0);
        MG_ASSERT(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin_port);
        accepting_ = loop_.add_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
    }
    int port() const { return port_; }
    std::string answer;
    bool resets{false};

  private:
    struct Connection {
        sys::Fd socket;
        std::string request;
        sys::Source watch;
    };
    void accept() {
        sys::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) return;
        const int fd = socket.get();
        Connection& connection = connections_[fd];
        connection.socket = std::move(socket);
        connection.watch = loop_.add_io(fd, EPOLLIN, [this, fd](std::uint32_t) { read(fd); });
    }
    void read(int fd) {
        Connection& connection = connections_[fd];
        char buffer[4096];
        const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
        if (count <= 0) return close(fd);
        connection.request.append(buffer, static_cast<std::size_t>(count));
        if (connection.request.find("\r\n\r\n") == std::string::npos) return;
        std::ignore =
            ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);  // what does not fit is cut: that is one too
        if (!resets) {
            ::shutdown(fd, SHUT_WR);
            return;
        }
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    void close(int fd) { connections_.erase(fd); }

    sys::Loop& loop_;
    sys::Fd listener_;
    int port_{0};
    sys::Source accepting_;
    std::map<int, Connection> connections_;
};

struct World {
    std::unique_ptr<sys::Loop> loop;
    std::unique_ptr<sys::HttpClient> http;
    std::unique_ptr<Server> server;
    std::string endpoint;

    World() {
        loop = std::move(*sys::Loop::create());
        http = std::move(*sys::HttpClient::create(*loop));
        server = std::make_unique<Server>(*loop);
        endpoint = "http://127.0.0.1:" + std::to_string(server->port());
    }
    void run_until(const std::function<bool()>& holds) {
        const Instant end = sys::boottime_now() + kPatience;
        while (!holds()) {
            MG_ASSERT(sys::boottime_now() < end);
            MG_ASSERT(loop->run_once(std::chrono::milliseconds(100)).has_value());
        }
    }
};

Result<sys::HttpReply> exchange(World& world, sys::HttpRequest request) {
    request.timeout = kTimeout;
    request.max_body = kMaxBody;
    std::optional<Result<sys::HttpReply>> got;
    const sys::Transfer transfer = world.http->send(std::move(request), [&](Result<sys::HttpReply> reply) {
        MG_ASSERT(!got);
        got = std::move(reply);
    });
    world.run_until([&] { return got.has_value(); });
    if (*got) {
        MG_ASSERT((*got)->body.size() <= kMaxBody);
        MG_ASSERT((*got)->status >= 0 && (*got)->status <= 999);
    }
    return std::move(*got);
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    static World world;
    fuzz::Input input(data, size);
    const unsigned what = input.take_byte();
    world.server->resets = (what & 4) != 0;
    world.server->answer = input.rest();
    static const auto made = *checks::find_protocol("oip")->make({});
    const checks::Protocol& oip = *made;
    const checks::Target target{.endpoint = world.endpoint, .server_model = "digits", .protocol = &oip};
    switch (what & 3) {
        case 0: {
            const checks::ReadyAnswer ready = oip.classify_ready(target, exchange(world, oip.ready_request(target)));
            MG_ASSERT(fuzz::is_one_line(ready.detail));
            break;
        }
        case 1: {
            const checks::CanaryItem item{.id = "1", .input = "[1,2]", .label = "1", .reference = {}};
            const auto answer = oip.read_infer(target, {}, exchange(world, *oip.infer_request(target, item, {}, 1)));
            MG_ASSERT(fuzz::is_one_line(answer.detail));
            MG_ASSERT(answer.outcome != checks::Outcome::ok || !answer.numbers.empty() || !answer.texts.empty());
            break;
        }
        default: {
            const rollback::ServiceContext service{.loop = *world.loop,
                                                   .http = *world.http,
                                                   .model = "digits",
                                                   .server_model = "digits",
                                                   .endpoint = world.endpoint,
                                                   .model_dir = fuzz::scratch(),
                                                   .run_command = {},
                                                   .environment = {},
                                                   .timeout = kTimeout};
            std::optional<rollback::Outcome> outcome;
            const auto verb = (what & 1) != 0 ? rollback::ThenVerb::restart : rollback::ThenVerb::version_changed;
            const auto running = rollback::find_then("oip_repository")->start(service, {}, verb, [&](auto told) {
                MG_ASSERT(!outcome);
                outcome = std::move(told);
            });
            world.run_until([&] { return outcome.has_value(); });
            MG_ASSERT(outcome->why.size() < 1000 && outcome->why.find('\n') == std::string::npos);
        }
    }
    return 0;
}
