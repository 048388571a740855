#include "supervisor/sys/http_exchange.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "supervisor/sys/clock.hpp"

namespace modelguard::sys {

namespace {
constexpr std::size_t kMaxHeaderBytes = 64u << 10;  // curl keeps what it reads; a server without end must not fill us
constexpr std::size_t kMaxArrivals = 10'000;        // a server that sends byte by byte must not fill us either

bool has_control_character(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool has_header(const std::vector<std::string>& headers, std::string_view name_and_colon) {
    return std::ranges::any_of(headers, [&](const std::string& header) {
        return header.size() >= name_and_colon.size() &&
               curl_strnequal(header.data(), name_and_colon.data(), name_and_colon.size()) != 0;
    });
}

/// libcurl 7.88 (Debian 12) begins HTTP/2 anew on a kept connection without TLS, "Error in the HTTP2 framing layer"
/// (curl issue 10634, mended in 8.0): there each exchange gets its own connection.
bool spoils_kept_http2() {
    static const unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    return version >= 0x075800 && version < 0x080000;
}

std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& exchange = *static_cast<Transfer::Impl*>(self);
    if (count > exchange.request.max_body - exchange.reply.body.size()) {
        exchange.too_large = true;
        return 0;
    }
    exchange.reply.body.append(bytes, count);
    if (exchange.request.timed && exchange.reply.arrivals.size() < kMaxArrivals)
        exchange.reply.arrivals.push_back({exchange.reply.body.size(), boottime_now() - exchange.began});
    return count;
}

/// At most 64 KiB at a time, from the page cache as a rule: what is sent was written or hashed just before.
std::size_t on_read(char* bytes, std::size_t, std::size_t size, void* self) {
    const auto& exchange = *static_cast<Transfer::Impl*>(self);
    for (;;) {
        const ssize_t count = ::read(exchange.body_file.get(), bytes, size);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return CURL_READFUNC_ABORT;
    }
}
int on_seek(void* self, curl_off_t offset, int origin) {
    const auto& exchange = *static_cast<Transfer::Impl*>(self);
    return ::lseek(exchange.body_file.get(), offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& exchange = *static_cast<Transfer::Impl*>(self);
    exchange.header_bytes += count;
    if (exchange.header_bytes > kMaxHeaderBytes) {
        exchange.too_large = true;
        return 0;
    }
    if (exchange.request.http2) exchange.reply.fields.emplace_back(bytes, count);
    return count;
}
}  // namespace

std::string fault_of(const HttpRequest& request) {
    if (!request.url.starts_with("http://") && !request.url.starts_with("https://"))
        return "'" + request.url.substr(0, 80) + "' is not an http:// or https:// URL";
    if (request.method.empty() || has_control_character(request.method) ||
        request.method.find(' ') != std::string::npos)
        return "not an HTTP method";
    if (std::ranges::any_of(request.headers, has_control_character)) return "a header holds a control character";
    return {};
}

// What never differs between exchanges is set once; prepare() sets everything else, every time.
EasyHandle make_easy_handle() {
    EasyHandle easy(curl_easy_init());
    MG_ASSERT(easy);
    CURL* handle = easy.get();
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    curl_easy_setopt(handle, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "modelguard/" MODELGUARD_VERSION);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &on_header);
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, &on_read);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, &on_seek);
    return easy;
}

std::string Transfer::Impl::open_body_file() {
    if (request.body_file.empty()) return {};
    body_file = Fd(::open(request.body_file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!body_file) return errno_error("open '" + request.body_file.string() + "' to send it", errno).what;
    return {};
}

void Transfer::Impl::prepare_method() {
    CURL* handle = easy.get();
    const bool with_body = !request.body.empty() || request.method == "POST";
    // HTTPGET first: it takes back what an earlier exchange on this handle left behind.
    curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(handle, CURLOPT_NOBODY, request.method == "HEAD" ? 1L : 0L);
    if (with_body) {
        struct stat file{};
        if (body_file) ::fstat(body_file.get(), &file);
        const auto size =
            body_file ? static_cast<curl_off_t>(file.st_size) : static_cast<curl_off_t>(request.body.size());
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, size);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body_file ? nullptr : request.body.c_str());
    }
    const bool is_implied = request.method == "HEAD" || request.method == (with_body ? "POST" : "GET");
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, is_implied ? nullptr : request.method.c_str());

    curl_slist* list = curl_slist_append(nullptr, "Expect:");  // a server that ignores it would cost a second
    if (with_body && !has_header(request.headers, "content-type:")) list = curl_slist_append(list, "Content-Type:");
    for (const std::string& header : request.headers)
        list = curl_slist_append(list, header.c_str());
    headers.reset(list);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
}

void Transfer::Impl::prepare() {
    CURL* handle = easy.get();
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH,
                     request.unix_socket.empty() ? nullptr : request.unix_socket.c_str());
    // Known too large before it is read; 0 would mean no limit, and on_body() counts anyway.
    curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE,
                     static_cast<curl_off_t>(std::max<std::size_t>(1, request.max_body)));
    const bool fresh = request.fresh_connection || (request.http2 && spoils_kept_http2());
    curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_FORBID_REUSE, fresh ? 1L : 0L);
    if (request.http2)
        curl_easy_setopt(
            handle, CURLOPT_HTTP_VERSION,
            long{request.url.starts_with("https:") ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE});
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(handle, CURLOPT_READDATA, this);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, this);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, message);
    prepare_method();
}

/// How far it came: an operator looks for the server, or at it.
std::string Transfer::Impl::lateness() const {
    const std::string within = " within " + format_duration(request.timeout);
    if (info_of<curl_off_t>(easy.get(), CURLINFO_PRETRANSFER_TIME_T) == 0) return "no connection" + within;
    if (header_bytes == 0) return "no answer" + within;
    return "no end of the answer" + within;
}

Error Transfer::Impl::error() const {
    if (too_large) return {ErrorKind::malformed_reply, request.url + ": the reply is too large", 0};
    if (is_late) return {ErrorKind::timed_out, request.url + ": " + lateness(), 0};
    ErrorKind kind = ErrorKind::unavailable;
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT: kind = ErrorKind::timed_out; break;  // curl's own limit of 300 s to connect
        case CURLE_FILESIZE_EXCEEDED:
        case CURLE_UNSUPPORTED_PROTOCOL:  // the schemes are checked before: an answer that is not HTTP/1
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING: kind = ErrorKind::malformed_reply; break;
        case CURLE_URL_MALFORMAT: kind = ErrorKind::invalid_config; break;
        // libcurl's word for a header line longer than its buffer too. Without memory we would not get here.
        case CURLE_OUT_OF_MEMORY:
            if (header_bytes > 0) return {ErrorKind::malformed_reply, request.url + ": a header line is too long", 0};
            kind = ErrorKind::internal;
            break;
        case CURLE_FAILED_INIT:
        case CURLE_BAD_FUNCTION_ARGUMENT: kind = ErrorKind::internal; break;
        // A broken chunk comes under the same code as a reset; errno is no help, it may be an earlier address's.
        case CURLE_RECV_ERROR:
            if (std::string_view(message).find("chunk") != std::string_view::npos) kind = ErrorKind::malformed_reply;
            break;
        default: break;
    }
    const long sys_errno = code == CURLE_COULDNT_CONNECT ? info_of<long>(easy.get(), CURLINFO_OS_ERRNO) : 0;
    return {kind, request.url + ": " + (message[0] ? message : curl_easy_strerror(code)), static_cast<int>(sys_errno)};
}

Result<HttpReply> Transfer::Impl::result() {
    if (!fault.empty()) return fail(ErrorKind::invalid_config, fault);
    if (code != CURLE_OK) return std::unexpected(error());
    CURL* handle = easy.get();
    reply.status = static_cast<int>(info_of<long>(handle, CURLINFO_RESPONSE_CODE));
    if (const char* type = info_of<char*>(handle, CURLINFO_CONTENT_TYPE)) reply.content_type = type;
    reply.total = Usec{info_of<curl_off_t>(handle, CURLINFO_TOTAL_TIME_T)};
    reply.first_byte = Usec{info_of<curl_off_t>(handle, CURLINFO_STARTTRANSFER_TIME_T)};
    if (info_of<long>(handle, CURLINFO_NUM_CONNECTS) > 0) {
        const curl_off_t with_tls = info_of<curl_off_t>(handle, CURLINFO_APPCONNECT_TIME_T);
        reply.connect = Usec{with_tls > 0 ? with_tls : info_of<curl_off_t>(handle, CURLINFO_CONNECT_TIME_T)};
    }
    return std::move(reply);
}

}  // namespace modelguard::sys
