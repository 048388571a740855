#include "supervisor/daemon/service.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "supervisor/daemon/bundle_upload.hpp"

namespace modelguard::daemon {

namespace {

constexpr std::int64_t kLongestWaitSeconds = 60;  // a client that wants to wait longer asks again
constexpr std::size_t kHistoryDefault = 50;
constexpr std::size_t kHistoryMost = 1000;
constexpr std::size_t kExplainHorizon = 400;  // decisions looked through for the beginning of a story
constexpr int kUploadsAtOnce = 2;             // each is a child that hashes and syncs: more would only share the disk

template <class Document>
HttpServerReply json_reply(const Document& document, int status = 200) {
    return {.status = status, .body = api::to_json(document), .headers = {}};
}

HttpServerReply error_reply(const Error& error) {
    return problem_reply(api::http_status(error.kind), error.kind, error.what);
}

std::string query_text(const HttpServerRequest& request, std::string_view name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string() : found->second;
}

std::int64_t query_number(const HttpServerRequest& request, std::string_view name, std::int64_t otherwise) {
    const std::string text = query_text(request, name);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number >= 0 ? number : otherwise;
}

HttpServerReply no_such_path(const HttpServerRequest& request) {
    return problem_reply(404, ErrorKind::not_found, "no such path: " + request.method + " " + request.path);
}

}  // namespace

/// What is answered, and by whom; a part in braces is anything. packaging/openapi.yaml describes each line.
struct Service::Route {
    std::string_view method, path;
    enum Socket { both, control } socket;
    HttpServerReply (Service::*answer)(const HttpServerRequest&, Responder&);  ///< nullptr: admit() takes a stream
};

const Service::Route* Service::find_route(const HttpServerRequest& request) {
    static constexpr Route kRoutes[]{
        {"GET", "/metrics", Route::both, &Service::metrics},
        {"GET", "/v1/status", Route::both, &Service::status},
        {"GET", "/v1/history", Route::both, &Service::history},
        {"GET", "/v1/explain", Route::both, &Service::explain},
        {"GET", "/v1/operations/{id}", Route::both, &Service::operation},
        {"GET", "/v1/kinds", Route::both, &Service::kinds},
        {"GET", "/v1/gate", Route::both, &Service::gate},
        {"POST", "/v1/validate", Route::both, &Service::validate},
        {"GET", "/v1/models/{model}/versions", Route::both, &Service::versions},
        {"POST", "/v1/os/rollback", Route::control, &Service::rollback_os},
        {"POST", "/v1/boot-complete", Route::control, &Service::complete_boot},
        {"POST", "/v1/manifests", Route::control, &Service::apply},
        {"DELETE", "/v1/models/{model}", Route::control, &Service::remove},
        {"POST", "/v1/models/{model}/deploy", Route::control, nullptr},
        {"POST", "/v1/models/{model}/rollback", Route::control, &Service::rollback},
        {"POST", "/v1/models/{model}/check", Route::control, &Service::check},
        {"POST", "/v1/models/{model}/pin", Route::control, &Service::pin},
        {"POST", "/v1/models/{model}/unpin", Route::control, &Service::unpin},
        {"POST", "/v1/models/{model}/unreject", Route::control, &Service::unreject},
    };
    const auto fits = [&](const Route& route) {
        if (route.method != request.method) return false;
        std::string_view rest = route.path.substr(1);
        for (std::size_t i = 0; i < request.segments.size(); ++i) {
            const auto end = std::min(rest.find('/'), rest.size());
            const std::string_view part = rest.substr(0, end);
            if (part.empty() || (!part.starts_with('{') && part != request.segments[i])) return false;
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return rest.empty();
    };
    const auto* found = std::ranges::find_if(kRoutes, fits);
    return found == std::end(kRoutes) ? nullptr : found;
}

Service::Service(sys::Loop& loop, Runner& runner, store::VersionStore& versions, DeviceFacts& device, BootGate& gate)
    : loop_(loop), runner_(runner), versions_(versions), device_(device), gate_(gate) {}

Service::~Service() = default;

HttpServerHandlers Service::handlers() {
    return {.handle = [this](const HttpServerRequest& request,
                             Responder responder) { handle(request, std::move(responder)); },
            .admit = [this](const HttpServerRequest& request) { return admit(request); }};
}

std::optional<HttpServerReply> Service::unknown_model(const std::string& model) const {
    if (runner_.state().models.contains(model)) return std::nullopt;
    if (runner_.storage_failed())  // its manifest may be one of the events that wait
        return problem_reply(
            503, ErrorKind::unavailable,
            "the ledger cannot be written at the moment (is the disk full?), so that new manifests wait; "
            "try again");
    std::string known;
    for (const auto& [name, s] : runner_.state().models)
        known += (known.empty() ? "" : ", ") + name;
    return problem_reply(404, ErrorKind::not_found,
                         "no model '" + model + "' here; " +
                             (known.empty() ? "apply a manifest, or put one into models.d/ and reload the daemon"
                                            : "there are: " + known));
}

/// An answer that a repeated request gets again, whatever has happened since.
std::optional<HttpServerReply> Service::earlier_operation(const HttpServerRequest& request) {
    if (request.idempotency_key.empty()) return std::nullopt;
    const auto earlier = runner_.ledger().operation_by_key(request.idempotency_key);
    if (!earlier || !*earlier) return std::nullopt;
    return json_reply(make_operation(runner_, **earlier), 202);
}

HttpAdmission Service::admit(const HttpServerRequest& request) {
    if (request.method != "GET" && request.method != "POST" && request.method != "DELETE")
        return {nullptr, problem_reply(405, ErrorKind::unsupported, "only GET, POST and DELETE are answered here")};
    const Route* route = find_route(request);
    if (route ? route->socket == Route::both : request.method == "GET") return {};
    if (!request.control)
        return {nullptr, problem_reply(403, ErrorKind::denied, "this socket only reads; changes go to control.sock")};
    if (on_change) on_change();
    if (!route || route->answer) return {};
    const std::string& model = request.segments[2];
    if (auto refusal = unknown_model(model)) return {nullptr, std::move(refusal)};
    if (auto earlier = earlier_operation(request)) return {nullptr, std::move(earlier)};
    if (uploads_ >= kUploadsAtOnce)
        return {nullptr, problem_reply(503, ErrorKind::unavailable,
                                       "two bundles are being imported already; try again in a moment")};
    if (hold_space)
        if (auto held = hold_space(model, request.content_length.value_or(0)); !held) {
            const bool full = held.error().sys_errno == ENOSPC;
            return {nullptr, error_reply(with_context(std::move(held), std::string(full ? "no space: " : "") +
                                                                           "nothing new is taken while what is kept "
                                                                           "free for the way back cannot be set aside")
                                             .error())};
        }
    auto import = [this, request, model = model](Result<store::VersionInfo> imported) -> HttpServerReply {
        if (!imported) {
            Error error = with_context(std::move(imported), "import of the bundle").error();
            if (error.sys_errno == ENOSPC && uploads_ == 1 && runner_.collect_garbage(0) > 0)
                error.what += "; versions that nobody needs were removed just now: try again";
            return error_reply(error);
        }
        if (const std::string label = query_text(request, "label"); !label.empty()) imported->label = label;
        if (const std::string served = query_text(request, "served_version"); !served.empty())
            imported->served_version = served;
        if (on_audit)
            on_audit("deploy " + model + " " + imported->digest.short_form() + " by uid " +
                     std::to_string(request.peer.uid));
        store::Operation operation{
            .key = request.idempotency_key, .kind = "deploy", .model = model, .version = imported->digest};
        const core::VersionId version = imported->digest;
        return answer_operation(runner_.request(
            std::move(operation),
            [&](std::uint64_t seq) { return core::VersionWanted{model, version, seq, core::Origin::command}; },
            store::StoredVersion{model, std::move(*imported)}));
    };
    return {std::make_unique<BundleUpload>(loop_, versions_, model, std::move(import), uploads_), std::nullopt};
}

/// Not under /v1/: this is the path that every collector asks for.
HttpServerReply Service::metrics(const HttpServerRequest& request, Responder&) {
    const MetricsFormat format = metrics_format(request.accept);
    return {.status = 200,
            .content_type = std::string(content_type(format)),
            .body = runner_.metrics().page(make_metric_facts(runner_, device_), format),
            .headers = {{"Vary", "Accept"}}};
}

void Service::handle(const HttpServerRequest& request, Responder responder) {
    const Route* route = find_route(request);
    if (!route || !route->answer) return responder.reply(no_such_path(request));
    runner_.ensure_storage();
    HttpServerReply reply = (this->*route->answer)(request, responder);
    if (responder) responder.reply(std::move(reply));
}

HttpServerReply Service::status(const HttpServerRequest& request, Responder&) {
    api::Status status = make_status(runner_, device_);
    if (const std::string model = query_text(request, "model"); !model.empty()) {
        if (auto unknown = unknown_model(model)) return std::move(*unknown);
        std::erase_if(status.models, [&](const api::ModelStatus& m) { return m.model != model; });
    }
    return json_reply(status);
}

HttpServerReply Service::kinds(const HttpServerRequest&, Responder&) { return json_reply(make_kinds()); }

HttpServerReply Service::gate(const HttpServerRequest& request, Responder& responder) {
    const auto make = [this](bool even_pending) -> std::optional<HttpServerReply> {
        const api::Gate gate = gate_.answer(runner_);
        if (gate.verdict == "pending" && !even_pending) return std::nullopt;
        return json_reply(gate);
    };
    if (auto now = make(false)) return std::move(*now);
    wait(request, responder, [make] { return make(false); });
    return *make(true);
}

/// Asked twice it is as asked once, so that no operation is kept of it.
HttpServerReply Service::complete_boot(const HttpServerRequest& request, Responder&) {
    if (!runner_.state().os.boot_complete && on_audit)
        on_audit("boot-complete by uid " + std::to_string(request.peer.uid));
    runner_.complete_boot();
    return json_reply(gate_.answer(runner_));
}

HttpServerReply Service::validate(const HttpServerRequest& request, Responder&) {
    const std::string file = query_text(request, "file");
    return json_reply(make_validation(request.body, file.empty() ? "manifest" : file, runner_.device()));
}

HttpServerReply Service::versions(const HttpServerRequest& request, Responder&) {
    const std::string& model = request.segments[2];
    if (auto unknown = unknown_model(model)) return std::move(*unknown);
    return json_reply(make_versions(runner_, model));
}

HttpServerReply Service::history(const HttpServerRequest& request, Responder& responder) {
    const std::string model = query_text(request, "model");
    if (!model.empty())
        if (auto unknown = unknown_model(model)) return std::move(*unknown);
    const std::int64_t after = query_number(request, "after", 0);
    const auto limit = static_cast<std::size_t>(
        std::min(query_number(request, "limit", kHistoryDefault), static_cast<std::int64_t>(kHistoryMost)));
    const auto make = [this, model, after, limit](bool even_empty) -> std::optional<HttpServerReply> {
        const auto entries = runner_.ledger().history(model, after, limit);
        if (!entries) return error_reply(entries.error());
        if (entries->empty() && !even_empty) return std::nullopt;
        api::History document;
        for (const store::HistoryEntry& entry : *entries)
            document.items.push_back(make_history_item(runner_, entry));
        return json_reply(document);
    };
    if (auto now = make(false)) return std::move(*now);
    wait(request, responder, [make] { return make(false); });
    return *make(true);
}

HttpServerReply Service::operation(const HttpServerRequest& request, Responder& responder) {
    const std::string& text = request.segments[2];
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size())
        return problem_reply(400, ErrorKind::invalid_config,
                             "'" + text.substr(0, 40) + "' is not an operation id; expected a number");
    const auto make = [this, id](bool even_running) -> std::optional<HttpServerReply> {
        const auto found = runner_.ledger().operation(id);
        if (!found) return error_reply(found.error());
        if (!*found) return problem_reply(404, ErrorKind::not_found, "no operation " + std::to_string(id));
        if ((*found)->status == store::OperationStatus::running && !even_running) return std::nullopt;
        return json_reply(make_operation(runner_, **found));
    };
    if (auto now = make(false)) return std::move(*now);
    wait(request, responder, [make] { return make(false); });
    return *make(true);
}

HttpServerReply Service::explain(const HttpServerRequest& request, Responder&) {
    std::string model = query_text(request, "model");
    const std::int64_t number = query_number(request, "number", 0);
    if (model.empty() && number > 0) {  // whatever it is about
        const auto found = runner_.ledger().history("", number - 1, 1, number);
        if (!found) return error_reply(found.error());
        if (found->empty())
            return problem_reply(404, ErrorKind::not_found,
                                 "no decision number " + std::to_string(number) + "; see history");
        model = found->front().decision.model;
        if (model.empty()) return json_reply(make_explanation(runner_, "", *found, number));  // the device's own
    }
    if (model.empty() && runner_.state().models.size() == 1) model = runner_.state().models.begin()->first;
    if (model.empty()) return problem_reply(400, ErrorKind::invalid_config, "there are several models; say which one");
    if (auto unknown = unknown_model(model)) return std::move(*unknown);
    // Around a past decision: what came before it, and its end, which came after.
    const auto entries = number == 0 ? runner_.ledger().history(model, 0, kExplainHorizon)
                                     : runner_.ledger().history(model, 0, 2 * kExplainHorizon,
                                                                number + static_cast<std::int64_t>(kExplainHorizon));
    if (!entries) return error_reply(entries.error());
    const api::Explanation explanation = make_explanation(runner_, model, *entries, number);
    if (number > 0 && explanation.items.empty())
        return problem_reply(404, ErrorKind::not_found,
                             "no decision number " + std::to_string(number) + " about '" + model + "'; see history");
    return json_reply(explanation);
}

/// Long polling: with `wait` seconds in the query the responder is kept until there is something to say or time is up.
void Service::wait(const HttpServerRequest& request, Responder& responder,
                   std::function<std::optional<HttpServerReply>()> answer) {
    const std::int64_t seconds = std::min(query_number(request, "wait", 0), kLongestWaitSeconds);
    if (seconds == 0) return;
    waiting_.push_back({std::move(answer), std::move(responder), {}});
    const auto mine = std::prev(waiting_.end());
    mine->responder.on_client_gone([this, mine] { waiting_.erase(mine); });
    HttpServerRequest plain = request;
    plain.query.erase("wait");
    mine->deadline = loop_.add_timer(std::chrono::seconds(seconds), [this, mine, plain = std::move(plain)]() mutable {
        const HttpServerRequest again = std::move(plain);
        Responder late = std::move(mine->responder);
        waiting_.erase(mine);  // and with it this callback
        handle(again, std::move(late));
    });
}

void Service::wake() {
    for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
        if (auto reply = waiting->answer()) {
            Responder responder = std::move(waiting->responder);
            waiting = waiting_.erase(waiting);
            responder.reply(std::move(*reply));
        } else {
            ++waiting;
        }
    }
}

HttpServerReply Service::answer_operation(Result<store::Operation> operation) {
    if (!operation) return error_reply(operation.error());
    // What ends with no in its first step was refused.
    if (operation->status == store::OperationStatus::no) {
        const bool missing = operation->code == "not_found";
        return problem_reply(missing ? 404 : 409, missing ? ErrorKind::not_found : ErrorKind::conflict,
                             operation->text);
    }
    return json_reply(make_operation(runner_, *operation), 202);
}

/// The manifest in the body. `POST /v1/validate` tells all that is wrong with one, this the first.
HttpServerReply Service::apply(const HttpServerRequest& request, Responder&) {
    if (auto earlier = earlier_operation(request)) return std::move(*earlier);
    std::string file = query_text(request, "file");
    if (file.empty()) file = "manifest";
    std::vector<Finding> findings;
    auto manifest = parse_manifest(request.body, file, runner_.device(), findings);
    if (!manifest) {
        const auto error = std::ranges::find(findings, Finding::Severity::error, &Finding::severity);
        MG_ASSERT(error != findings.end());
        return {.status = 400,
                .content_type = "application/problem+json",
                .body = api::to_json(api::Problem{.http_status = 400,
                                                  .kind = std::string(to_string(ErrorKind::invalid_config)),
                                                  .title = error->text,
                                                  .file = error->file,
                                                  .key = error->key,
                                                  .line = error->line}),
                .headers = {}};
    }
    if (on_audit)
        on_audit("apply " + manifest->model + " " + manifest->facts.rev + " by uid " +
                 std::to_string(request.peer.uid));
    return answer_operation(runner_.apply(std::move(*manifest), {.key = request.idempotency_key, .kind = "apply"}));
}

HttpServerReply Service::remove(const HttpServerRequest& request, Responder&) {
    const std::string& model = request.segments[2];
    if (auto earlier = earlier_operation(request)) return std::move(*earlier);
    if (auto unknown = unknown_model(model)) return std::move(*unknown);
    if (uploads_ > 0)
        return problem_reply(503, ErrorKind::unavailable, "a bundle is being imported; try again in a moment");
    if (on_audit) on_audit("remove " + model + " by uid " + std::to_string(request.peer.uid));
    return answer_operation(runner_.remove({.key = request.idempotency_key, .kind = "remove", .model = model}));
}

/// A change of the model in the path: refused where there is none, answered as before where it was asked before.
HttpServerReply Service::change(const HttpServerRequest& request,
                                const std::function<HttpServerReply(store::Operation)>& carry_out) {
    const std::string& model = request.segments[2];
    if (auto unknown = unknown_model(model)) return std::move(*unknown);
    if (auto earlier = earlier_operation(request)) return std::move(*earlier);
    return carry_out({.key = request.idempotency_key, .kind = request.segments[3], .model = model});
}

void Service::audit(const HttpServerRequest& request, const store::Operation& operation) {
    if (on_audit)
        on_audit(operation.kind + " " + operation.model + " " +
                 (operation.version.empty() ? "" : operation.version.short_form() + " ") + "by uid " +
                 std::to_string(request.peer.uid));
}

HttpServerReply Service::rollback(const HttpServerRequest& request, Responder&) {
    return change(request, [&](store::Operation operation) {
        const auto body = api::rollback_body_from_json(request.body);
        if (!body) return problem_reply(400, ErrorKind::invalid_config, "request body: " + body.error().what);
        core::RollbackRequested wanted{.model = operation.model};
        if (!body->seen_current.empty()) wanted.seen_current = Digest{body->seen_current};
        if (!body->to.empty()) {
            const auto to = parse_digest(body->to);
            if (!to) return error_reply(to.error());
            wanted.to = operation.version = *to;
        }
        audit(request, operation);
        return answer_operation(runner_.request(std::move(operation), [&](std::uint64_t seq) {
            wanted.seq = seq;
            return wanted;
        }));
    });
}

HttpServerReply Service::rollback_os(const HttpServerRequest& request, Responder&) {
    if (auto earlier = earlier_operation(request)) return std::move(*earlier);
    store::Operation operation{.key = request.idempotency_key, .kind = "os_rollback"};
    audit(request, operation);
    return answer_operation(runner_.request(
        std::move(operation), [](std::uint64_t seq) -> core::Event { return core::OsRollbackRequested{seq}; }));
}

HttpServerReply Service::check(const HttpServerRequest& request, Responder&) {
    return change(request, [&](store::Operation operation) {
        return answer_operation(runner_.begin_check(std::move(operation)));
    });
}

/// pin, unpin, unreject: of the version in the query, where there is one.
template <class Make>
HttpServerReply Service::change_version(const HttpServerRequest& request, Make event) {
    return change(request, [&](store::Operation operation) {
        if (const std::string text = query_text(request, "version"); !text.empty()) {
            const auto digest = parse_digest(text);
            if (!digest) return error_reply(digest.error());
            operation.version = *digest;
        }
        audit(request, operation);
        const std::string model = operation.model;
        const core::VersionId version = operation.version;
        return answer_operation(runner_.request(
            std::move(operation), [&](std::uint64_t seq) -> core::Event { return event(model, version, seq); }));
    });
}

HttpServerReply Service::pin(const HttpServerRequest& request, Responder&) {
    return change_version(request, [](const std::string& model, const core::VersionId& version, std::uint64_t seq) {
        return core::PinRequested{model, version, seq};
    });
}

HttpServerReply Service::unpin(const HttpServerRequest& request, Responder&) {
    return change_version(request, [](const std::string& model, const core::VersionId&, std::uint64_t seq) {
        return core::UnpinRequested{model, seq};
    });
}

HttpServerReply Service::unreject(const HttpServerRequest& request, Responder&) {
    return change_version(request, [](const std::string& model, const core::VersionId& version, std::uint64_t seq) {
        return core::UnrejectRequested{model, version, seq};
    });
}

}  // namespace modelguard::daemon
