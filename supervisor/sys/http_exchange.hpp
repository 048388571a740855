#pragma once
// One HTTP exchange on one libcurl easy handle: what is asked, what comes back, what an error means. When it happens is
// the client's business (http.cpp). Internal to sys.

#include <curl/curl.h>

#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/http.hpp"

namespace modelguard::sys {

using EasyHandle = CPtr<CURL, curl_easy_cleanup>;
using HeaderList = CPtr<curl_slist, curl_slist_free_all>;

template <class T>
T info_of(CURL* easy, CURLINFO what) {
    T value{};
    curl_easy_getinfo(easy, what, &value);
    return value;
}

struct Transfer::Impl {
    HttpClient::Impl* client{nullptr};  // null: the exchange is over, or its client is
    HttpRequest request;
    std::function<void(Result<HttpReply>)> done;
    HeaderList headers;
    Fd body_file;
    EasyHandle easy;
    HttpReply reply;
    std::size_t header_bytes{0};
    bool too_large{false};
    bool is_late{false};  // past its deadline, given one more turn
    Instant began;
    Instant deadline;
    CURLcode code{CURLE_OK};
    std::string fault;  // refused before it was sent
    char message[CURL_ERROR_SIZE]{};

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl();

    /// Opens request.body_file, if there is one; why not, or empty.
    std::string open_body_file();
    /// Sets everything in `easy` that differs between exchanges.
    void prepare();
    /// What came out, once `code` (or `fault`, or `is_late`) says that it is over.
    Result<HttpReply> result();

  private:
    void prepare_method();
    Error error() const;
    std::string lateness() const;
};

/// A handle with everything that never differs between exchanges.
EasyHandle make_easy_handle();

/// What is wrong with a request before it is sent; empty if nothing.
std::string fault_of(const HttpRequest& request);

}  // namespace modelguard::sys
