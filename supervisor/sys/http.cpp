#include "supervisor/sys/http.hpp"

#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/http_exchange.hpp"

// Two rules of libcurl shape this file: no curl_multi call from within its own callbacks (so results are delivered only
// after curl_multi_socket_action() has returned), and no easy handle is touched while it is in the multi handle.

namespace modelguard::sys {

namespace {
constexpr long kMaxKeptConnections = 32;  // a few endpoints per model, some models
constexpr std::uint64_t kTimerAccuracyUsec = 1'000;
constexpr Instant kNever{INT64_MAX};

using EventSource = CPtr<sd_event_source, sd_event_source_disable_unref>;
}  // namespace

struct HttpClient::Impl {
    Loop& loop;
    CPtr<CURLM, curl_multi_cleanup> multi;
    std::vector<Transfer::Impl*> active;  // in the multi handle
    std::vector<Transfer::Impl*> ended;   // result known, callback still to come
    bool delivering{false};
    std::unique_ptr<Impl> retired;            // ourselves, where a callback dropped the client: until deliver() is done
    std::map<curl_socket_t, Source> sockets;  // what curl wants to hear of
    EventSource timer;                        // curl's
    EventSource soon;                         // curl's where it asks for 0 ms: needs no timerfd
    EventSource deadline;                     // ours
    Instant deadline_armed{kNever};

    explicit Impl(Loop& l) : loop(l) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl();

    Result<void> start();
    static void retire(std::unique_ptr<Impl> impl);
    EasyHandle take_handle();
    void begin(Transfer::Impl& exchange);
    void forget(Transfer::Impl& exchange);
    void act(curl_socket_t socket, int events);
    void expire();
    void arm_deadline(Instant due);
    void collect();
    void deliver();

    static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*);
    static int on_close(void* self, curl_socket_t socket);
    static int on_timer_change(CURLM*, long timeout_ms, void* self);
};

namespace {
int on_timer(sd_event_source*, std::uint64_t, void* self) {
    static_cast<HttpClient::Impl*>(self)->act(CURL_SOCKET_TIMEOUT, 0);
    return 0;
}
int on_deadline(sd_event_source*, std::uint64_t, void* self) {
    static_cast<HttpClient::Impl*>(self)->expire();
    return 0;
}
int on_soon(sd_event_source*, void* self) {
    static_cast<HttpClient::Impl*>(self)->act(CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

}  // namespace

Transfer::Impl::~Impl() {
    if (client) client->forget(*this);
}

// --- the client

Result<void> HttpClient::Impl::start() {
    if (const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
        return fail(ErrorKind::internal, std::string("start libcurl: ") + curl_easy_strerror(code));
    multi.reset(curl_multi_init());
    if (!multi) return fail(ErrorKind::internal, "start libcurl: out of memory");
    curl_multi_setopt(multi.get(), CURLMOPT_SOCKETFUNCTION, &Impl::on_socket);
    curl_multi_setopt(multi.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi.get(), CURLMOPT_TIMERFUNCTION, &Impl::on_timer_change);
    curl_multi_setopt(multi.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, kMaxKeptConnections);
    curl_multi_setopt(multi.get(), CURLMOPT_PIPELINING, long{CURLPIPE_NOTHING});

    for (const auto& [source, handler] : {std::pair{&timer, &on_timer}, std::pair{&deadline, &on_deadline}}) {
        sd_event_source* made = nullptr;
        if (const int r =
                sd_event_add_time(loop.raw(), &made, CLOCK_BOOTTIME, UINT64_MAX, kTimerAccuracyUsec, handler, this);
            r < 0)
            return fail_errno("make the HTTP timers", -r);
        source->reset(made);
        sd_event_source_set_enabled(made, SD_EVENT_OFF);
    }
    sd_event_source* made = nullptr;
    if (const int r = sd_event_add_defer(loop.raw(), &made, on_soon, this); r < 0)
        return fail_errno("make the HTTP timers", -r);
    soon.reset(made);
    sd_event_source_set_enabled(made, SD_EVENT_OFF);
    return {};
}

HttpClient::Impl::~Impl() {
    multi.reset();  // closes the kept connections, which calls on_close(): while the rest of us is still there
}

void HttpClient::Impl::retire(std::unique_ptr<Impl> impl) {
    for (Transfer::Impl* exchange : impl->active) {
        curl_multi_remove_handle(impl->multi.get(), exchange->easy.get());
        exchange->client = nullptr;
    }
    for (Transfer::Impl* exchange : impl->ended)
        exchange->client = nullptr;
    impl->active.clear();
    impl->ended.clear();
    Impl& self = *impl;
    if (self.delivering) self.retired = std::move(impl);
}

/// A handle of its own for each exchange: libcurl 7.88 keeps a pointer to the last header of a handle's former reply,
/// and a first header line that begins with a blank makes it write there, after it was freed. The connections are the
/// multi handle's and are kept all the same.
EasyHandle HttpClient::Impl::take_handle() {
    EasyHandle easy = make_easy_handle();
    curl_easy_setopt(easy.get(), CURLOPT_CLOSESOCKETFUNCTION, &Impl::on_close);
    curl_easy_setopt(easy.get(), CURLOPT_CLOSESOCKETDATA, this);
    return easy;
}

void HttpClient::Impl::begin(Transfer::Impl& exchange) {
    exchange.client = this;
    exchange.fault = fault_of(exchange.request);
    if (exchange.fault.empty()) exchange.fault = exchange.open_body_file();
    if (exchange.fault.empty()) {
        exchange.easy = take_handle();
        exchange.prepare();
        const CURLMcode code = curl_multi_add_handle(multi.get(), exchange.easy.get());
        if (code == CURLM_OK) {
            active.push_back(&exchange);
            exchange.began = boottime_now();
            exchange.deadline = exchange.began + exchange.request.timeout;
            if (exchange.deadline < deadline_armed) arm_deadline(exchange.deadline);
            return;
        }
        exchange.code = CURLE_FAILED_INIT;
    }
    ended.push_back(&exchange);
    sd_event_source_set_enabled(soon.get(), SD_EVENT_ONESHOT);
}

/// Takes an exchange out of our books, wherever it stands in them.
void HttpClient::Impl::forget(Transfer::Impl& exchange) {
    if (std::erase(active, &exchange) > 0) curl_multi_remove_handle(multi.get(), exchange.easy.get());
    std::erase(ended, &exchange);
    exchange.client = nullptr;
    exchange.easy.reset();
}

int HttpClient::Impl::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    auto& client = *static_cast<Impl*>(self);
    if (what == CURL_POLL_REMOVE) {
        client.sockets.erase(socket);
        return 0;
    }
    const std::uint32_t events = ((what & CURL_POLL_IN) ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0U);
    Source& source = client.sockets[socket];
    if (source) {
        client.loop.set_io_events(source, events);
        return 0;
    }
    source = client.loop.add_io(socket, events, [&client, socket](std::uint32_t happened) {
        client.act(socket, ((happened & EPOLLIN) ? CURL_CSELECT_IN : 0) |
                               ((happened & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
                               ((happened & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0));
    });
    return 0;
}

// A connection that fails while connecting is closed by libcurl 7.88 before it says REMOVE. By then the number may
// belong to another socket, so the watch goes here, together with the descriptor.
int HttpClient::Impl::on_close(void* self, curl_socket_t socket) {
    static_cast<Impl*>(self)->sockets.erase(socket);
    return ::close(socket);
}

int HttpClient::Impl::on_timer_change(CURLM*, long timeout_ms, void* self) {
    auto& client = *static_cast<Impl*>(self);
    sd_event_source_set_enabled(client.soon.get(), timeout_ms == 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    if (timeout_ms > 0) {
        const std::int64_t due = boottime_now().boottime_usec + timeout_ms * 1'000;
        sd_event_source_set_time(client.timer.get(), static_cast<std::uint64_t>(due));
    }
    sd_event_source_set_enabled(client.timer.get(), timeout_ms > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    return 0;
}

void HttpClient::Impl::act(curl_socket_t socket, int events) {
    int running = 0;
    curl_multi_socket_action(multi.get(), socket, events, &running);
    collect();
    deliver();
}

void HttpClient::Impl::arm_deadline(Instant due) {
    deadline_armed = due;
    sd_event_source_set_time(deadline.get(), static_cast<std::uint64_t>(due.boottime_usec));
    sd_event_source_set_enabled(deadline.get(), due == kNever ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

// The deadlines are ours: libcurl 7.88 forgets CURLOPT_TIMEOUT_MS when its timer comes up within the millisecond before
// the deadline, and then waits for the next event, if any. The timer is armed for the earliest deadline and not taken
// back when that exchange ends, so that a stream of quick exchanges arms it once per timeout instead of twice per
// exchange.
void HttpClient::Impl::expire() {
    const Instant now = boottime_now();
    Instant next = kNever;
    std::vector<Transfer::Impl*> late;
    for (Transfer::Impl* exchange : active) {
        if (exchange->deadline > now) {
            next = std::min(next, exchange->deadline);
        } else if (exchange->is_late) {
            late.push_back(exchange);
        } else {
            // The answer may be there already and we are the late ones: one more turn, in which it is read first.
            exchange->is_late = true;
            next = now;
        }
    }
    std::ranges::sort(late, {}, &Transfer::Impl::deadline);
    for (Transfer::Impl* exchange : late) {
        curl_multi_remove_handle(multi.get(), exchange->easy.get());
        exchange->code = CURLE_OPERATION_TIMEDOUT;
        std::erase(active, exchange);
        ended.push_back(exchange);
    }
    arm_deadline(next);
    deliver();
}

void HttpClient::Impl::collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        auto* exchange = reinterpret_cast<Transfer::Impl*>(info_of<char*>(message->easy_handle, CURLINFO_PRIVATE));
        exchange->code = message->data.result;
        curl_multi_remove_handle(multi.get(), message->easy_handle);  // `message` is void from here
        std::erase(active, exchange);
        ended.push_back(exchange);
    }
}

// One at a time: a callback may start exchanges, drop any of them, or drop the client.
void HttpClient::Impl::deliver() {
    delivering = true;
    while (!ended.empty()) {
        Transfer::Impl& exchange = *ended.front();
        Result<HttpReply> result = exchange.result();
        const auto callback = std::move(exchange.done);
        forget(exchange);
        callback(std::move(result));
    }
    delivering = false;
    const std::unique_ptr<Impl> last = std::move(retired);
}

// --- the public face

Transfer::Transfer() = default;
Transfer::Transfer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transfer::Transfer(Transfer&&) noexcept = default;
Transfer& Transfer::operator=(Transfer&&) noexcept = default;
Transfer::~Transfer() = default;

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() { Impl::retire(std::move(impl_)); }

Result<std::unique_ptr<HttpClient>> HttpClient::create(Loop& loop) {
    auto impl = std::make_unique<Impl>(loop);
    MG_CHECK(impl->start());
    return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

Transfer HttpClient::send(HttpRequest request, std::function<void(Result<HttpReply>)> done) {
    auto exchange = std::make_unique<Transfer::Impl>();
    exchange->request = std::move(request);
    exchange->done = std::move(done);
    impl_->begin(*exchange);
    return Transfer(std::move(exchange));
}

}  // namespace modelguard::sys
