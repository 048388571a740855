#include "supervisor/api/reply_parser.hpp"

#include <algorithm>
#include <charconv>

namespace modelguard::api {

namespace {

constexpr std::size_t kMaxHeadBytes = 64 * 1024;  // the daemon's heads are under 300 bytes; more is not the daemon

std::unexpected<Error> malformed(std::string what) {
    return fail(ErrorKind::malformed_reply, "not an HTTP reply: " + std::move(what));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

/// The whole text as a number, digits only (from_chars would take a sign for signed types, and stop early).
bool parse_number(std::string_view text, int base, std::uint64_t& number) {
    if (text.empty()) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<bool> ReplyParser::feed(std::string_view bytes) {
    anything_ = anything_ || !bytes.empty();
    while (!bytes.empty() && state_ != State::done) {
        if (state_ == State::sized_body || state_ == State::chunk_data || state_ == State::open_body) {
            const std::size_t count = state_ == State::open_body
                                          ? bytes.size()
                                          : static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
            MG_CHECK(append_body(bytes.substr(0, count)));
            bytes.remove_prefix(count);
            if (state_ == State::open_body) continue;
            left_ -= count;
            if (left_ == 0) state_ = state_ == State::sized_body ? State::done : State::chunk_end;
            continue;
        }
        const std::size_t end = bytes.find('\n');
        const std::size_t count = end == std::string_view::npos ? bytes.size() : end + 1;
        head_bytes_ += count;
        if (head_bytes_ > kMaxHeadBytes) return malformed("headers of more than 64 KiB");
        line_.append(bytes.substr(0, count));
        bytes.remove_prefix(count);
        if (end == std::string_view::npos) break;
        line_.pop_back();
        if (line_.ends_with('\r')) line_.pop_back();
        MG_CHECK(take_line(std::exchange(line_, {})));
    }
    return is_done();
}

Result<void> ReplyParser::finish() {
    if (state_ == State::open_body) state_ = State::done;
    if (is_done()) return {};
    if (!anything_) return fail(ErrorKind::unavailable, "the connection was closed without an answer");
    return malformed("it was cut off");
}

Result<void> ReplyParser::take_line(std::string_view line) {
    switch (state_) {
        case State::status_line: return take_status_line(line);
        case State::headers: return line.empty() ? end_of_headers() : take_header(line);
        case State::chunk_size: return take_chunk_size(line);
        case State::chunk_end:
            if (!line.empty()) return malformed("a chunk is longer than it said");
            head_bytes_ = 0;
            state_ = State::chunk_size;
            return {};
        case State::trailers:
            if (line.empty()) state_ = State::done;
            return {};
        case State::sized_body:
        case State::open_body:
        case State::chunk_data:
        case State::done: break;
    }
    return fail(ErrorKind::internal, "a line where none belongs");
}

Result<void> ReplyParser::take_status_line(std::string_view line) {
    std::uint64_t status = 0;
    const bool is_http = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ' &&
                         parse_number(line.substr(9, 3), 10, status) && (line.size() == 12 || line[12] == ' ');
    if (!is_http || status < 100) return malformed("its first line is something else");
    response_.status = static_cast<int>(status);
    state_ = State::headers;
    return {};
}

Result<void> ReplyParser::take_header(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return malformed("a header without a name");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equal_ignoring_case(name, "content-type")) {
        response_.content_type = value;
    } else if (equal_ignoring_case(name, "transfer-encoding")) {
        if (!equal_ignoring_case(value, "chunked")) return malformed("an unknown transfer encoding");
        chunked_ = true;
    } else if (equal_ignoring_case(name, "content-length")) {
        std::uint64_t length = 0;
        if (!parse_number(value, 10, length)) return malformed("its Content-Length is no number");
        if (has_length_ && length != left_) return malformed("two different Content-Lengths");
        has_length_ = true;
        left_ = length;
    }
    return {};
}

Result<void> ReplyParser::end_of_headers() {
    if (response_.status < 200) {  // 100 Continue: the real answer follows
        state_ = State::status_line;
    } else if (response_.status == 204 || response_.status == 304) {
        state_ = State::done;
    } else if (chunked_) {
        head_bytes_ = 0;
        state_ = State::chunk_size;
    } else if (has_length_) {
        if (left_ > max_body_) return malformed("its body is too large");
        state_ = left_ == 0 ? State::done : State::sized_body;
    } else {
        state_ = State::open_body;
    }
    return {};
}

Result<void> ReplyParser::take_chunk_size(std::string_view line) {
    if (!parse_number(trimmed(line.substr(0, line.find(';'))), 16, left_)) return malformed("a chunk without a size");
    state_ = left_ == 0 ? State::trailers : State::chunk_data;
    return {};
}

Result<void> ReplyParser::append_body(std::string_view bytes) {
    if (bytes.size() > max_body_ - response_.body.size()) return malformed("its body is too large");
    response_.body.append(bytes);
    return {};
}

}  // namespace modelguard::api
