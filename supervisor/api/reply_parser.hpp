#pragma once
// HTTP/1.1 responses, as the bytes come: status line, headers, body by length, by chunks or until the end of the
// connection. Not for requests; not for anything that client.cpp does not need (no HEAD, no upgrades). Source: RFC 9112
// sections 4-7.

#include <string>
#include <string_view>

#include "supervisor/api/client.hpp"

namespace modelguard::api {

class ReplyParser {
  public:
    explicit ReplyParser(std::size_t max_body) : max_body_(max_body) {}

    /// Takes what came; true once the response is whole (what follows it is ignored). malformed_reply otherwise.
    Result<bool> feed(std::string_view bytes);
    /// The connection has ended: fine only if that is what ends the body. unavailable where nothing came,
    /// malformed_reply where the response was cut off.
    Result<void> finish();
    bool is_done() const { return state_ == State::done; }
    /// Valid once done.
    Response take() { return std::move(response_); }

  private:
    enum class State { status_line, headers, sized_body, open_body, chunk_size, chunk_data, chunk_end, trailers, done };

    Result<void> take_line(std::string_view line);
    Result<void> take_status_line(std::string_view line);
    Result<void> take_header(std::string_view line);
    Result<void> end_of_headers();
    Result<void> take_chunk_size(std::string_view line);
    Result<void> append_body(std::string_view bytes);

    State state_{State::status_line};
    std::size_t max_body_;
    std::string line_;
    std::size_t head_bytes_{0};
    std::uint64_t left_{0};  // of the sized body or of the chunk
    bool has_length_{false};
    bool chunked_{false};
    bool anything_{false};
    Response response_;
};

}  // namespace modelguard::api
