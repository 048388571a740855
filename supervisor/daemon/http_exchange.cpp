#include "supervisor/daemon/http_exchange.hpp"

#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "supervisor/daemon/http_path.hpp"

namespace modelguard::daemon {
namespace {

// What a client may still send after an early reply before the connection is closed: enough for one that writes its
// whole (small) request before it reads, too little to keep a slot busy with.
constexpr std::size_t kDiscardLimit = 1u << 20;
constexpr Usec kDiscardTime = std::chrono::seconds(2);

// It is kept in the ledger with its operation; a UUID has 36.
constexpr std::size_t kLongestKey = 255;

constexpr std::array<std::string_view, 5> kMethods{"GET", "HEAD", "POST", "PUT", "DELETE"};

/// Empty where the request has none.
const char* header(MHD_Connection* connection, const char* name) {
    const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value == nullptr ? "" : value;
}

/// Collects one query argument; stops at the first that does not decode.
struct QueryReader {
    std::map<std::string, std::string, std::less<>>& query;
    bool broken{false};

    static MHD_Result visit(void* self, MHD_ValueKind, const char* name, const char* value) {
        auto& reader = *static_cast<QueryReader*>(self);
        auto decoded_name = percent_decoded(name == nullptr ? "" : name);
        auto decoded_value = percent_decoded(value == nullptr ? "" : value);
        reader.broken = !decoded_name || !decoded_value;
        if (reader.broken) return MHD_NO;
        reader.query.try_emplace(std::move(*decoded_name), std::move(*decoded_value));
        return MHD_YES;
    }
};

std::string head_of(const HttpServerReply& reply) {
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + ' ';
    head += MHD_get_reason_phrase_for(static_cast<unsigned>(reply.status));
    head += "\r\nConnection: close\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
    if (!reply.content_type.empty()) head += "Content-Type: " + reply.content_type + "\r\n";
    for (const auto& [name, value] : reply.headers)
        head += name + ": " + value + "\r\n";
    return head + "\r\n";
}

}  // namespace

Responder::Exchange::Exchange(HttpExchangeHost& host, MHD_Connection* connection)
    : host_(host),
      connection_(connection),
      fd_(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd) {}

/// Fills the request; a reply where it cannot be understood.
std::optional<HttpServerReply> Responder::Exchange::read_head(const char* url, const char* method) {
    const std::string_view length = header(connection_, MHD_HTTP_HEADER_CONTENT_LENGTH);
    std::uint64_t announced = 0;
    if (std::from_chars(length.data(), length.data() + length.size(), announced).ec == std::errc{})
        request_.content_length = announced;
    const bool is_chunked = *header(connection_, MHD_HTTP_HEADER_TRANSFER_ENCODING) != '\0';
    if (is_chunked) request_.content_length.reset();
    announces_body_ = is_chunked || announced > 0;
    awaits_continue_ = ::strcasecmp(header(connection_, MHD_HTTP_HEADER_EXPECT), "100-continue") == 0;

    request_.method = method;
    if (std::ranges::find(kMethods, request_.method) == kMethods.end()) {
        auto refusal = problem_reply(MHD_HTTP_METHOD_NOT_ALLOWED, ErrorKind::unsupported,
                                     "method '" + request_.method.substr(0, 32) + "' is not known here");
        refusal.headers.emplace_back(MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST, PUT, DELETE");
        return refusal;
    }
    if (request_.method == "HEAD") request_.method = "GET";  // the library leaves the body of the reply out by itself

    is_read_ = request_.method == "GET";

    request_.path = url;
    auto segments = path_segments(request_.path);
    QueryReader reader{request_.query};
    MHD_get_connection_values(connection_, MHD_GET_ARGUMENT_KIND, &QueryReader::visit, &reader);
    if (!segments || reader.broken)
        return problem_reply(MHD_HTTP_BAD_REQUEST, ErrorKind::invalid_config, "the path or query is not well formed");
    request_.segments = std::move(*segments);
    request_.idempotency_key = header(connection_, "Idempotency-Key");
    if (request_.idempotency_key.size() > kLongestKey)
        return problem_reply(MHD_HTTP_BAD_REQUEST, ErrorKind::invalid_config,
                             "the Idempotency-Key is longer than " + std::to_string(kLongestKey) + " bytes");
    request_.content_type = header(connection_, MHD_HTTP_HEADER_CONTENT_TYPE);
    request_.accept = header(connection_, MHD_HTTP_HEADER_ACCEPT);
    request_.control = host_.control;
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0)
        request_.peer = {credentials.pid, credentials.uid, credentials.gid};
    return std::nullopt;
}

/// Everything that is decided before the body: a reply if it is not wanted.
std::optional<HttpServerReply> Responder::Exchange::admit(const char* url, const char* method) {
    if (auto refusal = read_head(url, method)) return refusal;
    if (host_.handlers.admit) {
        HttpAdmission admission = host_.handlers.admit(request_);
        if (admission.refusal) return std::move(admission.refusal);
        upload_ = std::move(admission.upload);
    }
    if (!upload_ && request_.content_length.value_or(0) > kSmallBodyLimit)
        return problem_reply(MHD_HTTP_CONTENT_TOO_LARGE, ErrorKind::invalid_config,
                             "the request body is larger than " + std::to_string(kSmallBodyLimit) + " bytes");
    return std::nullopt;
}

MHD_Result Responder::Exchange::begin(const char* url, const char* method) {
    if (host_.stopping) return MHD_NO;
    if (auto refusal = admit(url, method))
        reply(std::move(*refusal));
    else if (upload_)
        upload_->start(Responder(shared_from_this()));
    stage_ = Stage::body;
    if (gone_) return MHD_NO;
    if (!answered_ || !announces_body_) return MHD_YES;
    // Who asked first has not begun to send: the refusal takes the place of "100 Continue". For other methods than
    // these the library would go on to read the body, and would not send the reply.
    const bool can_queue = awaits_continue_ && (request_.method == "POST" || request_.method == "PUT");
    if (can_queue) return queue_reply();
    send_early();
    return MHD_YES;
}

MHD_Result Responder::Exchange::take_body(const char* bytes, std::size_t* count) {
    if (gone_) return MHD_NO;
    if (stage_ == Stage::discarding) return discard(count);
    if (upload_) return feed_upload(bytes, count);
    if (request_.body.size() + *count > kSmallBodyLimit) {  // chunked: its length was not known before
        request_.body.clear();
        reply(problem_reply(MHD_HTTP_CONTENT_TOO_LARGE, ErrorKind::invalid_config,
                            "the request body is larger than " + std::to_string(kSmallBodyLimit) + " bytes"));
        return discard(count);
    }
    request_.body.append(bytes, *count);
    *count = 0;
    return MHD_YES;
}

MHD_Result Responder::Exchange::feed_upload(const char* bytes, std::size_t* count) {
    std::string_view left(bytes, *count);
    // Offered again until nothing is taken: bytes that are handed back without a suspend are not seen again before the
    // client sends more, which after the last part is never.
    while (!left.empty() && stage_ == Stage::body && !gone_) {
        resume_wanted_ = false;
        const std::size_t taken = upload_->write(left);
        MG_ASSERT(taken <= left.size());
        left.remove_prefix(taken);
        if (taken > 0 || resume_wanted_ || stage_ != Stage::body || gone_) continue;
        *count = left.size();
        suspend();
        return MHD_YES;
    }
    if (gone_) return MHD_NO;
    *count = left.size();
    if (stage_ == Stage::discarding) return discard(count);
    return MHD_YES;
}

MHD_Result Responder::Exchange::discard(std::size_t* count) {
    discarded_ += *count;
    *count = 0;
    return discarded_ > kDiscardLimit || gone_ ? MHD_NO : MHD_YES;
}

MHD_Result Responder::Exchange::finish_body() {
    if (gone_ || stage_ == Stage::discarding) return MHD_NO;
    if (stage_ == Stage::body) {
        stage_ = Stage::awaiting_reply;
        if (host_.stopping)
            reply(problem_reply(MHD_HTTP_SERVICE_UNAVAILABLE, ErrorKind::unavailable, "modelguardd is stopping"));
        else if (!answered_)  // else: refused at the head, and there was no body to wait for
            call_handler();
    }
    if (gone_) return MHD_NO;
    if (answered_) return queue_reply();
    suspend();
    return MHD_YES;
}

void Responder::Exchange::call_handler() try {
    if (upload_)
        upload_->finish();
    else
        host_.handlers.handle(std::move(request_), Responder(shared_from_this()));
} catch (...) {
    return;  // C above us. The Responder went with the stack, and its 500 is the answer.
}

MHD_Result Responder::Exchange::queue_reply() {
    // The body is not copied: this object outlives the library's use of it, which ends before end().
    MHD_Response* response =
        MHD_create_response_from_buffer(reply_.body.size(), reply_.body.data(), MHD_RESPMEM_PERSISTENT);
    if (response == nullptr) return MHD_NO;
    if (!reply_.content_type.empty())
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply_.content_type.c_str());
    for (const auto& [name, value] : reply_.headers)
        MHD_add_response_header(response, name.c_str(), value.c_str());
    if (host_.stopping) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    const MHD_Result queued = MHD_queue_response(connection_, static_cast<unsigned>(reply_.status), response);
    MHD_destroy_response(response);
    return queued;
}

/// Writes the reply past the library, which takes none while a body is coming in, and lets the rest of the body run
/// out: a client that writes first and reads then would otherwise see a broken pipe instead of the reason.
void Responder::Exchange::send_early() {
    stage_ = Stage::discarding;
    discard_deadline_ = host_.loop.add_timer(kDiscardTime, [this] { hang_up(); });
    const std::string text = head_of(reply_) + reply_.body;
    const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(text.size()))
        hang_up();
    else
        ::shutdown(fd_, SHUT_WR);  // so that a client that reads to the end sees it now
    resume();
}

void Responder::Exchange::hang_up() {
    gone_ = true;
    ::shutdown(fd_,
               SHUT_RDWR);  // wakes the library where it waits for the client; where it does not, gone_ is read first
    resume();
}

void Responder::Exchange::reply(HttpServerReply reply) {
    if (answered_ || gone_ || stage_ == Stage::ended) return;
    answered_ = true;
    on_client_gone_ = nullptr;
    reply_ = std::move(reply);
    switch (stage_) {
        case Stage::head: break;  // begin() looks when the handler is back
        case Stage::body:
            if (announces_body_) send_early();
            break;
        case Stage::awaiting_reply: resume(); break;
        case Stage::discarding:
        case Stage::ended: break;
    }
}

void Responder::Exchange::resume_upload() {
    resume_wanted_ = true;
    if (stage_ == Stage::body) resume();
}

void Responder::Exchange::on_client_gone(std::function<void()> callback) {
    if (!answered_ && stage_ != Stage::ended) on_client_gone_ = std::move(callback);
}

void Responder::Exchange::suspend() {
    MHD_suspend_connection(connection_);
    suspended_ = true;
    // EPOLLHUP on a unix socket: both directions are closed, so nobody reads a reply any more. A half-close is none.
    hang_up_watch_ = host_.loop.add_io(fd_, EPOLLHUP, [this](std::uint32_t) {
        gone_ = true;
        resume();
    });
}

void Responder::Exchange::resume() {
    if (!suspended_) return;
    suspended_ = false;
    hang_up_watch_.reset();  // before the library can close the descriptor
    MHD_resume_connection(connection_);
    host_.wants_turn();
}

bool Responder::Exchange::is_expendable() const {
    if (gone_) return false;
    switch (stage_) {
        case Stage::head: return false;
        case Stage::body: return !upload_;
        case Stage::discarding: return true;
        case Stage::awaiting_reply: return host_.control && is_read_ && !answered_;  // who watches has api.sock for it
        case Stage::ended: return false;
    }
    return false;
}

void Responder::Exchange::give_way() {
    if (stage_ == Stage::awaiting_reply)
        reply(problem_reply(MHD_HTTP_SERVICE_UNAVAILABLE, ErrorKind::unavailable,
                            "too many connections are open; ask again, or on api.sock"));
    else
        hang_up();
}

void Responder::Exchange::shut_down() {
    if (stage_ == Stage::awaiting_reply)
        reply(problem_reply(MHD_HTTP_SERVICE_UNAVAILABLE, ErrorKind::unavailable, "modelguardd is stopping"));
    else
        gone_ = true;
    resume();
}

void Responder::Exchange::end() {
    const bool is_cut = stage_ == Stage::head || stage_ == Stage::body;
    stage_ = Stage::ended;
    connection_ = nullptr;
    hang_up_watch_.reset();
    discard_deadline_.reset();
    const auto upload = std::move(upload_);
    const auto gone = std::move(on_client_gone_);
    on_client_gone_ = nullptr;
    if (answered_) return;
    if (upload && is_cut) upload->aborted();
    if (gone) gone();
}

Responder::Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

Responder& Responder::operator=(Responder&& other) noexcept {
    if (this != &other) {
        settle();
        exchange_ = std::move(other.exchange_);
    }
    return *this;
}

Responder::~Responder() { settle(); }

void Responder::settle() {
    if (exchange_ && !exchange_->is_answered())
        exchange_->reply(problem_reply(MHD_HTTP_INTERNAL_SERVER_ERROR, ErrorKind::internal,
                                       "the request was dropped without an answer"));
    exchange_.reset();
}

void Responder::reply(HttpServerReply reply) {
    if (exchange_) exchange_->reply(std::move(reply));
}

void Responder::resume_upload() {
    if (exchange_) exchange_->resume_upload();
}

bool Responder::is_client_gone() const { return exchange_ != nullptr && exchange_->is_client_gone(); }

void Responder::on_client_gone(std::function<void()> callback) {
    if (exchange_) exchange_->on_client_gone(std::move(callback));
}

}  // namespace modelguard::daemon
