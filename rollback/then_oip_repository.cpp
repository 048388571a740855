// Then `oip_repository`: the server reloads the model by the model repository extension of the Open Inference Protocol
// (POST v2/repository/models/M/load and …/unload), as MLServer, Triton and KServe's servers have it.

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::rollback {

namespace {
constexpr std::array kParams{
    ParamSpec{.name = "url",
              .help =
                  "Where the server takes it by HTTP, as in http://127.0.0.1:8080; absent: at serve.endpoint, which a "
                  "server that is asked by gRPC has elsewhere."},
};

// Answers that say something about the server or the way to it, and nothing about the version: wrong credentials, no
// such interface, a proxy in between, a server that is starting, full or stopping.
constexpr std::array kNotTheVersionsFault{401, 403, 405, 407, 408, 429, 501, 502, 503, 504};

bool is_servers_own(int status) {
    return std::ranges::find(kNotTheVersionsFault, status) != kNotTheVersionsFault.end();
}

/// The server's own reason: `error` of the protocol, where it is missing or no text the body as it is (a hostile one
/// may be nested so deeply that writing it out again would overflow the stack).
struct ServerText {
    std::string text;
    bool is_protocol_error{false};
};
ServerText server_text(const std::string& body) {
    const auto document = nlohmann::json::parse(body, nullptr, false);
    if (document.is_object())
        if (const auto error = document.find("error"); error != document.end())
            return {one_line(error->is_string() ? error->get_ref<const std::string&>() : body), true};
    return {one_line(body), false};
}

Outcome classify_load(const Result<sys::HttpReply>& reply, const std::string& url) {
    if (!reply) return failed_outcome(one_line("POST " + url + ": " + reply.error().what));
    if (reply->status >= 200 && reply->status < 300) return done_outcome();
    const ServerText said = server_text(reply->body);
    const std::string why = !said.text.empty() ? said.text
                                               : "the server answered HTTP " + std::to_string(reply->status) +
                                                     " to load and gave no reason";
    // 404 without the protocol's error: there is no such interface here; with it: the server finds no such model.
    const bool no_interface = reply->status == 404 && !said.is_protocol_error;
    if (reply->status < 400 || no_interface || is_servers_own(reply->status))
        return failed_outcome(one_line("POST " + url + ": HTTP " + std::to_string(reply->status) + ": " + why));
    return refused_outcome(why);
}

class OipRepositoryThen final : public Running {
  public:
    OipRepositoryThen(const ServiceContext& service, const std::string& endpoint, ThenVerb verb,
                      std::function<void(Outcome)> done)
        : http_(service.http),
          url_(endpoint + "/v2/repository/models/" +
               percent_encoded(service.server_model.empty() ? service.model : service.server_model)),
          timeout_(service.timeout),
          delivery_(service.loop, std::move(done)) {
        const bool only_unload = has_no_current(service);
        if (only_unload || verb == ThenVerb::restart)
            unload(only_unload);
        else
            load();
    }

  private:
    void load() {
        post("/load",
             [this](const Result<sys::HttpReply>& reply) { delivery_.deliver(classify_load(reply, url_ + "/load")); });
    }

    void unload(bool is_end) {
        post("/unload", [this, is_end](const Result<sys::HttpReply>& reply) {
            if (!reply)
                delivery_.deliver(failed_outcome(one_line("POST " + url_ + "/unload: " + reply.error().what)));
            else if (!is_end)
                load();  // whatever it says to unload (not loaded, half loaded): the load decides
            else if (reply->status < 300 || reply->status == 404)
                delivery_.deliver(done_outcome());  // 404: it was not loaded
            else
                delivery_.deliver(
                    failed_outcome(one_line("POST " + url_ + "/unload: HTTP " + std::to_string(reply->status) + ": " +
                                            server_text(reply->body).text)));
        });
    }

    template <class Handler>
    void post(std::string_view verb, Handler handler) {
        transfer_ = http_.send({.method = "POST",
                                .url = url_ + std::string(verb),
                                .headers = {"Content-Type: application/json"},
                                .body = "{}",
                                .timeout = timeout_,
                                .max_body = 1u << 20},
                               std::move(handler));
    }

    sys::HttpClient& http_;
    std::string url_;
    Usec timeout_;
    Delivery delivery_;
    sys::Transfer transfer_;
};
}  // namespace

constinit const ThenKind then_oip_repository{
    .name = "oip_repository",
    .summary = "the server is asked to load the model anew by the Open Inference Protocol's repository extension",
    .params = kParams,
    .start = [](const ServiceContext& service, const ParamMap& params, ThenVerb verb,
                std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
        std::string endpoint = has_param(params, "url") ? text_param(params, "url") : service.endpoint;
        if (endpoint.ends_with('/')) endpoint.pop_back();
        return std::make_unique<OipRepositoryThen>(service, endpoint, verb, std::move(done));
    },
    .needs_endpoint = true,
};

}  // namespace modelguard::rollback
