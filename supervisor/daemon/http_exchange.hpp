#pragma once
// One request and its reply on one libmicrohttpd connection: what http_server.cpp hands the library's callbacks to, and
// what a Responder holds on to. Internal to the HTTP server.
//
// Facts about libmicrohttpd this rests on (0.9.75, Debian 12): the access handler is called at the end of the head, for
// each part of the body and at its end, and again after each resume; a reply can be queued only in the first and the
// last of these, hence send_early(); a suspended connection is not watched at all, hence the hang-up watch; a resume
// takes effect in the next turn of the library, and without threads of its own no descriptor tells of it, hence
// wants_turn; returning MHD_NO closes. A half-close in mid-request may go unnoticed until the idle timeout (short reads
// on an edge-triggered socket); a full close does not.

#include <microhttpd.h>

#include "supervisor/daemon/http_server.hpp"

namespace modelguard::daemon {

/// What the exchanges of one server share with it.
struct HttpExchangeHost {
    sys::Loop& loop;
    HttpServerHandlers handlers;
    bool control{false};
    std::function<void()> wants_turn;  ///< the library has work that no descriptor tells of
    bool stopping{false};
};

class Responder::Exchange : public std::enable_shared_from_this<Responder::Exchange> {
  public:
    Exchange(HttpExchangeHost& host, MHD_Connection* connection);

    // From the library's callbacks. MHD_NO closes the connection.
    MHD_Result begin(const char* url, const char* method);
    /// `count`: in, the bytes offered; out, the bytes left.
    MHD_Result take_body(const char* bytes, std::size_t* count);
    MHD_Result finish_body();
    /// The library is done with the request, for whatever reason; afterwards nothing here touches host or connection.
    void end();
    /// Lets the library close the connection soon; for the server's end.
    void shut_down();
    /// True where the server may end this exchange for the sake of others who wait: nothing was asked yet that is worth
    /// more than the slot. Not uploads, not changes under way.
    bool is_expendable() const;
    /// Ends it: a long poll is told to ask again, anything else is cut.
    void give_way();

    // From the Responder.
    void reply(HttpServerReply reply);
    void resume_upload();
    bool is_answered() const { return answered_; }
    bool is_client_gone() const { return gone_ || (stage_ == Stage::ended && !answered_); }
    void on_client_gone(std::function<void()> callback);

  private:
    enum class Stage { head, body, discarding, awaiting_reply, ended };

    std::optional<HttpServerReply> read_head(const char* url, const char* method);
    std::optional<HttpServerReply> admit(const char* url, const char* method);
    MHD_Result feed_upload(const char* bytes, std::size_t* count);
    MHD_Result discard(std::size_t* count);
    void call_handler();
    MHD_Result queue_reply();
    void send_early();
    void hang_up();
    void suspend();
    void resume();

    HttpExchangeHost& host_;
    MHD_Connection* connection_;
    int fd_;
    Stage stage_{Stage::head};
    bool is_read_{false};  ///< GET
    bool announces_body_{false};
    bool awaits_continue_{false};
    bool answered_{false};
    bool gone_{false};  ///< or to be treated as if
    bool suspended_{false};
    bool resume_wanted_{false};
    std::size_t discarded_{0};
    HttpServerRequest request_;
    HttpServerReply reply_;
    std::unique_ptr<Upload> upload_;
    std::function<void()> on_client_gone_;
    sys::Source hang_up_watch_;
    sys::Source discard_deadline_;
};

}  // namespace modelguard::daemon
