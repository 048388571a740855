// Raw bytes on api.sock and control.sock of a daemon without its process: the real HTTP server, routes, runner and
// ledger. Every connection ends, every answer is a document, and readers change nothing.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "supervisor/api/reply_parser.hpp"
#include "supervisor/daemon/service.hpp"
#include "supervisor/sys/clock.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

constexpr Usec kPatience = std::chrono::seconds(5);
constexpr std::size_t kMostReply = 4u << 20;
constexpr const char* kManifest = R"(model: digits
serve: {switch: files, then: {oip_repository: {}}, endpoint: http://127.0.0.1:1, protocol: oip}
checks:
- {name: ready, kind: ready}
)";

/// What daemon.cpp wires, without signals, service manager and configuration files.
struct World {
    store::Places places{store::places_under(fuzz::scratch())};
    std::unique_ptr<sys::Loop> loop;
    std::unique_ptr<sys::HttpClient> http;
    std::unique_ptr<store::Ledger> ledger;
    std::unique_ptr<store::VersionStore> versions;
    std::unique_ptr<rollback::OsBackend> os;
    std::unique_ptr<daemon::Runner> runner;
    daemon::DeviceFacts facts;
    std::unique_ptr<daemon::BootGate> gate;
    std::unique_ptr<daemon::Service> service;
    std::unique_ptr<daemon::HttpServer> reading, changing;

    World() {
        std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
        MG_ASSERT(sys::make_directories(places.runtime, 0755).has_value());
        MG_ASSERT(sys::make_directories(places.state, 0755).has_value());
        loop = std::move(*sys::Loop::create());
        http = std::move(*sys::HttpClient::create(*loop));
        store::Loaded loaded;
        ledger = std::move(*store::Ledger::open(places.database(), loaded));
        // Imports end at once: what they unpack is the target `archive`.
        versions = std::move(*store::VersionStore::open(*loop, places, {}, "/bin/false"));
        os = std::move(*rollback::find_os_backend("none")->make(*loop));
        runner = std::make_unique<daemon::Runner>(
            daemon::RunnerParts{*loop, *http, *ledger, *versions, *os, {}, core::Policy{}, {}, [] { return false; }},
            std::move(loaded));
        gate = std::make_unique<daemon::BootGate>(places.runtime / "gate.json", Greenboot::none,
                                                  std::vector<core::GateScript>());
        service = std::make_unique<daemon::Service>(*loop, *runner, *versions, facts, *gate);
        runner->on_commit = [this](bool) { service->wake(); };
        std::vector<daemon::Finding> findings;
        auto manifest = daemon::parse_manifest(kManifest, "digits.yaml", {}, findings);
        MG_ASSERT(manifest.has_value());
        std::vector<daemon::Manifest> manifests;
        manifests.push_back(std::move(*manifest));
        bool ready = false;
        runner->start(true, std::move(manifests), {},
                      [&](const Result<void>& started) { ready = started.has_value(); });
        run_until([&] { return ready; });
        reading = listen("api", false);
        changing = listen("control", true);
    }
    std::string socket_path(const char* name) const { return (places.runtime / name).string(); }
    std::unique_ptr<daemon::HttpServer> listen(const char* name, bool control) {
        daemon::HttpServerOptions options;
        options.path = socket_path(name) + ".sock";
        options.control = control;
        return std::move(*daemon::HttpServer::create(*loop, std::move(options), service->handlers()));
    }
    void run_until(const std::function<bool()>& holds) {
        const Instant end = sys::boottime_now() + kPatience;
        while (!holds()) {
            MG_ASSERT(sys::boottime_now() < end);
            MG_ASSERT(loop->run_once(std::chrono::milliseconds(100)).has_value());
        }
    }
};

sys::Fd connect_to(const std::string& path) {
    sys::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    MG_ASSERT(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    MG_ASSERT(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return socket;
}

/// Sends `bytes`, all at once or in two pieces, says that this is all, and collects what comes until the end.
std::string talk(World& world, const char* name, std::string_view bytes, std::size_t first) {
    const sys::Fd socket = connect_to(world.socket_path(name) + ".sock");
    std::string received;
    bool is_over = false;
    const sys::Source watch = world.loop->add_io(socket.get(), EPOLLIN, [&](std::uint32_t) {
        char buffer[16384];
        const ssize_t count = ::recv(socket.get(), buffer, sizeof buffer, 0);
        if (count > 0)
            received.append(buffer, static_cast<std::size_t>(count));
        else
            is_over = true;
        MG_ASSERT(received.size() < kMostReply);
    });
    const auto send = [&](std::string_view piece) {
        std::ignore = ::send(socket.get(), piece.data(), piece.size(), MSG_NOSIGNAL);  // cut short is a request too
    };
    first = std::min(first, bytes.size());
    send(bytes.substr(0, first));
    if (first < bytes.size()) {
        for (int turns = 0; turns < 3 && !is_over; ++turns)
            MG_ASSERT(world.loop->run_once(Usec{0}).has_value());
        send(bytes.substr(first));
    }
    ::shutdown(socket.get(), SHUT_WR);
    // A half-close in the middle of a request may be told by the idle timeout only (http_exchange.hpp): we do not wait
    // for that, but for the answer to come or for the daemon to have nothing left to do.
    for (int idle = 0; !is_over && idle < 3;) {
        const auto did = world.loop->run_once(Usec{0});
        MG_ASSERT(did.has_value());
        idle = *did ? 0 : idle + 1;
    }
    return received;
}

void check_answer(std::string_view received) {
    if (received.empty() || !received.starts_with("HTTP/1.1 ")) return;
    int status = 0;
    std::from_chars(received.data() + 9, received.data() + 12, status);
    MG_ASSERT(status >= 100 && status < 600);
    // What we say ourselves is a document; what the library refuses (a broken head) is a page of its own.
    const bool is_json = received.find("application/json") != std::string_view::npos ||
                         received.find("application/problem+json") != std::string_view::npos;
    if (!is_json) MG_ASSERT(status >= 400 || status == 100);
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    static World world;
    fuzz::Input input(data, size);
    const bool control = (input.take_byte() & 1) != 0;
    const std::size_t first = input.take_byte() * 4;
    const core::State before = world.runner->state();
    const std::string received = talk(world, control ? "control" : "api", input.rest(), first);
    check_answer(received);
    if (!control) MG_ASSERT(world.runner->state() == before);
    return 0;
}
