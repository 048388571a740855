#include "supervisor/daemon/http_server.hpp"

#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <unordered_map>

#include "supervisor/api/values.hpp"
#include "supervisor/daemon/http_exchange.hpp"
#include "supervisor/daemon/http_listener.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {
namespace {

// Turns of the library per wake-up of ours before other sources get theirs: one resumed request needs two.
constexpr int kTurnsPerWake = 4;
// The same at the end: answers to those who still wait, then whatever these leave to do.
constexpr int kTurnsAtEnd = 8;

// Connections that are ended at once for those who wait outside. Few: who has just come in must have a turn to say what
// it wants before it is the oldest.
constexpr unsigned kMostGivingWay = 4;
// Until a full server in which nobody can be spared is looked at again.
constexpr Usec kLookAgain = std::chrono::milliseconds(50);

/// Escapes stay as they are: path and query are split first and decoded then.
std::size_t leave_escaped(void*, MHD_Connection*, char* text) { return std::strlen(text); }

}  // namespace

HttpServerReply problem_reply(int status, ErrorKind kind, std::string title) {
    api::Problem problem;
    problem.http_status = status;
    problem.kind = to_string(kind);
    problem.title = std::move(title);
    return {.status = status, .content_type = "application/problem+json", .body = api::to_json(problem)};
}

struct HttpServer::Impl {
    using Exchange = Responder::Exchange;

    Impl(sys::Loop& loop, HttpServerHandlers handlers, bool control)
        : host{loop, std::move(handlers), control, [this] { turn_soon(); }} {}
    ~Impl() { stop(); }

    Result<void> start(const HttpServerOptions& options);
    void stop();
    bool turn();
    void pump();
    void turn_soon();
    void arm_timer();
    void watch_backlog();
    void make_room();

    /// A connection, the one that has been quiet for longest first in the list.
    struct Open {
        int fd;
        Exchange* exchange{nullptr};  ///< the request under way
        bool is_leaving{false};
    };
    static Open& open_of(MHD_Connection* connection) {
        return *static_cast<Open*>(
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
    }

    static MHD_Result on_access(void* self, MHD_Connection* connection, const char* url, const char* method,
                                const char* version, const char* bytes, std::size_t* count, void** slot);
    static void on_completed(void* self, MHD_Connection* connection, void** slot, MHD_RequestTerminationCode reason);
    static void on_connection(void* self, MHD_Connection* connection, void** slot, MHD_ConnectionNotificationCode what);

    HttpExchangeHost host;
    HttpListener listener;
    MHD_Daemon* daemon{nullptr};
    std::unordered_map<Exchange*, std::shared_ptr<Exchange>> exchanges;
    unsigned connection_limit{0};
    std::list<Open> connections;
    int listening_fd{-1};
    bool wants_turn{false};
    bool is_turning{false};  ///< wants_turn is looked at when the turn is over
    sys::Source readiness;
    sys::Source next_turn;
    sys::Source timer;
    Instant timer_due;
    sys::Source backlog_watch;  ///< while full: somebody waits outside
    sys::Source look_again;
};

MHD_Result HttpServer::Impl::on_access(void* self, MHD_Connection* connection, const char* url, const char* method,
                                       const char*, const char* bytes, std::size_t* count, void** slot) try {
    auto& server = *static_cast<Impl*>(self);
    if (*slot == nullptr) {
        auto exchange = std::make_shared<Exchange>(server.host, connection);
        *slot = exchange.get();
        server.exchanges.emplace(exchange.get(), exchange);
        open_of(connection).exchange = exchange.get();
        return exchange->begin(url, method);
    }
    auto& exchange = *static_cast<Exchange*>(*slot);
    return *count > 0 ? exchange.take_body(bytes, count) : exchange.finish_body();
} catch (...) {
    return MHD_NO;  // C above us; the connection is closed, and end() settles the rest
}

void HttpServer::Impl::on_completed(void* self, MHD_Connection* connection, void** slot,
                                    MHD_RequestTerminationCode) try {
    auto& server = *static_cast<Impl*>(self);
    Open& open = open_of(connection);
    open.exchange = nullptr;
    const auto at = std::ranges::find(server.connections, &open, [](const Open& other) { return &other; });
    server.connections.splice(server.connections.end(), server.connections, at);
    const auto found = server.exchanges.find(static_cast<Exchange*>(*slot));
    *slot = nullptr;
    if (found == server.exchanges.end()) return;
    const auto exchange = std::move(found->second);
    server.exchanges.erase(found);
    exchange->end();
} catch (...) {
    return;  // C above us; the exchange is gone from the table in any case
}

void HttpServer::Impl::on_connection(void* self, MHD_Connection* connection, void** slot,
                                     MHD_ConnectionNotificationCode what) {
    auto& server = *static_cast<Impl*>(self);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *slot = &server.connections.emplace_back(Open{fd});
        if (server.connections.size() == server.connection_limit) server.watch_backlog();
        return;
    }
    // At its limit the library stops listening, and goes on only in the turn after the one that closed a connection.
    if (server.connections.size() == server.connection_limit) server.wants_turn = true;
    server.backlog_watch.reset();
    server.look_again.reset();
    std::erase_if(server.connections, [slot](const Open& open) { return &open == *slot; });
}

/// Full: whoever comes now waits outside. With a few idle connections anybody who may connect could otherwise keep a
/// rollback waiting for the idle timeout, again and again.
void HttpServer::Impl::watch_backlog() {
    if (host.stopping) return;
    backlog_watch = host.loop.add_io(listening_fd, EPOLLIN, [this](std::uint32_t) { make_room(); });
}

/// Ends the connections that have been quiet for longest: first those that have not asked anything (idle, or slow to
/// say it), then those whose request can be spared.
void HttpServer::Impl::make_room() {
    backlog_watch.reset();  // until one has closed
    unsigned leaving = 0;
    for (Open& open : connections) {
        if (leaving == kMostGivingWay) break;
        if (open.exchange != nullptr || open.is_leaving) continue;
        open.is_leaving = true;
        ::shutdown(open.fd, SHUT_RDWR);  // wakes the library, which closes it
        ++leaving;
    }
    if (leaving == 0) {
        const auto spare = std::ranges::find_if(
            connections, [](const Open& open) { return open.exchange != nullptr && open.exchange->is_expendable(); });
        if (spare != connections.end()) spare->exchange->give_way();
    }
    // If none was found, or one lingers: requests end by themselves too, or begin to be expendable.
    look_again = host.loop.add_timer(kLookAgain, [this] {
        if (connections.size() >= connection_limit) watch_backlog();
    });
}

Result<void> HttpServer::Impl::start(const HttpServerOptions& options) {
    connection_limit = options.connection_limit;
    daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &Impl::on_access, this, MHD_OPTION_LISTEN_SOCKET,
        listener.socket.get(), MHD_OPTION_NOTIFY_COMPLETED, &Impl::on_completed, this, MHD_OPTION_NOTIFY_CONNECTION,
        &Impl::on_connection, this, MHD_OPTION_UNESCAPE_CALLBACK, &leave_escaped, nullptr, MHD_OPTION_CONNECTION_LIMIT,
        options.connection_limit, MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(options.idle_timeout.count()),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options.connection_memory, MHD_OPTION_END);
    if (daemon == nullptr) return fail(ErrorKind::internal, "the HTTP library does not start");
    listening_fd = listener.socket.release();  // the library's, once it has started; it closes it, or stop() does
    const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr || info->epoll_fd < 0) return fail(ErrorKind::internal, "the HTTP library has no epoll");
    readiness = host.loop.add_io(info->epoll_fd, EPOLLIN, [this](std::uint32_t) { pump(); });
    return {};
}

/// One turn of the library; true if another one is due at once.
bool HttpServer::Impl::turn() {
    wants_turn = false;
    is_turning = true;
    MHD_run(daemon);
    is_turning = false;
    MHD_UNSIGNED_LONG_LONG wait_msec = 0;
    return wants_turn || (MHD_get_timeout(daemon, &wait_msec) == MHD_YES && wait_msec == 0);
}

void HttpServer::Impl::pump() {
    bool has_more = true;
    for (int turns = 0; has_more && turns < kTurnsPerWake; ++turns)
        has_more = turn();
    if (has_more)
        turn_soon();
    else
        arm_timer();
}

void HttpServer::Impl::turn_soon() {
    wants_turn = true;
    if (!is_turning && !host.stopping && !next_turn)
        next_turn = host.loop.defer([this] {
            next_turn.reset();
            pump();
        });
}

/// Keeps a timer that comes too early: on a busy connection the library's deadline moves with every request, and a
/// timer that finds nothing to do once in a while costs less than moving it each time.
void HttpServer::Impl::arm_timer() {
    MHD_UNSIGNED_LONG_LONG wait_msec = 0;
    if (MHD_get_timeout(daemon, &wait_msec) != MHD_YES) {
        timer.reset();
        return;
    }
    const Usec wait = std::chrono::milliseconds(wait_msec);
    const Instant due = sys::boottime_now() + wait;
    if (timer && timer_due <= due) return;
    timer_due = due;
    timer = host.loop.add_timer(wait, [this] {
        timer.reset();
        pump();
    });
}

void HttpServer::Impl::stop() {
    if (daemon == nullptr) return;
    MG_ASSERT(!is_turning);
    host.stopping = true;
    readiness.reset();
    next_turn.reset();
    timer.reset();
    backlog_watch.reset();
    look_again.reset();
    const MHD_socket quiesced = MHD_quiesce_daemon(daemon);
    if (quiesced >= 0) ::close(quiesced);
    listener.remove_name();
    // A suspended connection makes MHD_stop_daemon() abort the process, and only a turn of the library takes a resumed
    // one off its list. What a handler does meanwhile (reply, drop a Responder) may change the table: walk a copy.
    std::vector<std::shared_ptr<Exchange>> open;
    open.reserve(exchanges.size());
    for (const auto& [key, exchange] : exchanges)
        open.push_back(exchange);
    for (const auto& exchange : open)
        exchange->shut_down();
    open.clear();
    for (int turns = 0; turn() && turns < kTurnsAtEnd; ++turns) {
    }
    MHD_stop_daemon(daemon);
    daemon = nullptr;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::create(sys::Loop& loop, HttpServerOptions options,
                                                       HttpServerHandlers handlers) {
    MG_ASSERT(handlers.handle);
    auto impl = std::make_unique<Impl>(loop, std::move(handlers), options.control);
    if (options.listener) {
        MG_TRY(impl->listener, adopt_listener(std::move(options.listener)));
    } else {
        MG_TRY(impl->listener, listen_on_path(options.path, options.mode));
    }
    if (auto started = impl->start(options); !started) {
        impl->listener.remove_name();
        return std::unexpected(std::move(started).error());
    }
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace modelguard::daemon
