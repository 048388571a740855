#pragma once
// The API: routes of both sockets, from request to the runner and back as JSON. `api.sock` reads, `control.sock` may
// change. Not for sockets (http_server) nor for deciding (core).

#include <list>
#include <memory>

#include "supervisor/daemon/boot_gate.hpp"
#include "supervisor/daemon/http_server.hpp"
#include "supervisor/daemon/status.hpp"

namespace modelguard::daemon {

class Service {
  public:
    Service(sys::Loop& loop, Runner& runner, store::VersionStore& versions, DeviceFacts& device, BootGate& gate);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    HttpServerHandlers handlers();
    /// After a commit: answers those who wait for just that.
    void wake();

    std::function<void(const std::string&)> on_audit;  ///< who asked for which change

    std::function<void()> on_change;  ///< a request that may change something has come
    /// Before an update of a model that says how long it is (0: does not): whether there is room set aside for the way
    /// back.
    std::function<Result<void>(const std::string& model, std::uint64_t bytes)> hold_space;

    /// A bundle is being received: what it becomes may be on the disk already.
    bool is_importing() const { return uploads_ > 0; }

  private:
    struct Waiting {
        std::function<std::optional<HttpServerReply>()> answer;
        Responder responder;
        sys::Source deadline;
    };

    HttpAdmission admit(const HttpServerRequest& request);
    void handle(const HttpServerRequest& request, Responder responder);
    struct Route;
    static const Route* find_route(const HttpServerRequest& request);
    // Of the routes.
    HttpServerReply metrics(const HttpServerRequest& request, Responder&);
    HttpServerReply status(const HttpServerRequest& request, Responder&);
    HttpServerReply history(const HttpServerRequest& request, Responder& responder);
    HttpServerReply explain(const HttpServerRequest& request, Responder&);
    HttpServerReply operation(const HttpServerRequest& request, Responder& responder);
    HttpServerReply kinds(const HttpServerRequest& request, Responder&);
    HttpServerReply gate(const HttpServerRequest& request, Responder& responder);
    HttpServerReply complete_boot(const HttpServerRequest& request, Responder&);
    HttpServerReply validate(const HttpServerRequest& request, Responder&);
    HttpServerReply versions(const HttpServerRequest& request, Responder&);
    HttpServerReply apply(const HttpServerRequest& request, Responder&);
    HttpServerReply remove(const HttpServerRequest& request, Responder&);
    HttpServerReply rollback(const HttpServerRequest& request, Responder&);
    HttpServerReply rollback_os(const HttpServerRequest& request, Responder&);
    HttpServerReply check(const HttpServerRequest& request, Responder&);
    HttpServerReply pin(const HttpServerRequest& request, Responder&);
    HttpServerReply unpin(const HttpServerRequest& request, Responder&);
    HttpServerReply unreject(const HttpServerRequest& request, Responder&);

    HttpServerReply change(const HttpServerRequest& request,
                           const std::function<HttpServerReply(store::Operation)>& carry_out);
    template <class Make>
    HttpServerReply change_version(const HttpServerRequest& request, Make event);
    void audit(const HttpServerRequest& request, const store::Operation& operation);
    HttpServerReply answer_operation(Result<store::Operation> operation);
    std::optional<HttpServerReply> earlier_operation(const HttpServerRequest& request);
    std::optional<HttpServerReply> unknown_model(const std::string& model) const;
    void wait(const HttpServerRequest& request, Responder& responder,
              std::function<std::optional<HttpServerReply>()> answer);

    sys::Loop& loop_;
    Runner& runner_;
    store::VersionStore& versions_;
    DeviceFacts& device_;
    BootGate& gate_;
    std::list<Waiting> waiting_;
    int uploads_{0};
};

}  // namespace modelguard::daemon
