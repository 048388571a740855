// The commands that change something, `deploy` aside: rollback, check, pin, unpin, unreject.

#include <optional>

#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/follow.hpp"
#include "supervisor/cli/version_argument.hpp"

namespace modelguard::cli {

namespace {

std::string model_target(const std::string& model, const char* verb) {
    return "/v1/models/" + percent_encoded(model) + "/" + verb;
}

struct Ask {
    std::string target;
    std::string body;
    bool waits{true};
    bool narrates{false};
    Usec timeout{0};
};

/// Sends one change and follows its operation; the last document.
Answer<std::string> carry_out(const Session& session, const std::string& model, const Ask& ask) {
    const Interrupts interrupts;
    FollowOptions options{.narrate = ask.narrates, .timeout = ask.timeout, .after = 0};
    if (ask.narrates) {
        MG_ASK(options.after, newest_decision(session, model));
    }
    MG_ASK(std::string document, session.change(ask.target, ask.body));
    MG_ASK(const api::OperationDoc operation, read_as(api::operation_from_json, document));
    if (!ask.waits || operation.status != "running") return document;
    return follow(session, interrupts, operation, options);
}

int finish_or_report(const Session& session, const std::string& model, const Answer<std::string>& document) {
    return document ? finish(session, *document) : session.report(document.error(), model);
}

Answer<std::string> roll_back(const Session& session, const Arguments& arguments) {
    MG_ASK(const api::ModelStatus status, session.model_status(arguments.model));
    api::RollbackBody body{.seen_current = status.current.digest, .to = ""};
    if (!arguments.to.empty()) {
        MG_ASK(body.to, resolve_version(session, arguments.model, arguments.to));
    }
    return carry_out(session, arguments.model,
                     {.target = model_target(arguments.model, "rollback"),
                      .body = api::to_json(body),
                      .waits = !arguments.no_wait,
                      .narrates = !arguments.no_wait && !session.json(),
                      .timeout = arguments.timeout});
}

Answer<std::string> change_version(const Session& session, const Arguments& arguments, const char* verb) {
    std::string query;
    if (!arguments.version.empty()) {
        MG_ASK(const std::string digest, resolve_version(session, arguments.model, arguments.version));
        query = "?version=" + percent_encoded(digest);
    }
    return carry_out(session, arguments.model, {.target = model_target(arguments.model, verb) + query, .body = ""});
}

}  // namespace

int run_rollback(const Session& session, const Arguments& arguments) {
    if (arguments.os)
        return finish_or_report(
            session, "",
            carry_out(
                session, "",
                {.target = "/v1/os/rollback", .body = "", .waits = !arguments.no_wait, .timeout = arguments.timeout}));
    if (arguments.model.empty())
        return session.report(
            refuse(kUsage, ErrorKind::invalid_config, "rollback wants MODEL, or --os; see modelguard rollback --help")
                .error());
    return finish_or_report(session, arguments.model, roll_back(session, arguments));
}

int run_check(const Session& session, const Arguments& arguments) {
    std::vector<std::string> models{arguments.model};
    if (arguments.model.empty()) {
        auto names = session.model_names();
        if (!names) return session.report(names.error());
        models = std::move(*names);
        if (models.empty()) session.print("There are no models yet.\n");
    }
    int code = kDone;
    for (const auto& model : models) {
        const int one = finish_or_report(
            session, model, carry_out(session, model, {.target = model_target(model, "check"), .body = ""}));
        if (one == kInterrupted) return one;
        code = std::max(code, one);
    }
    return code;
}

int run_pin(const Session& session, const Arguments& arguments) {
    Arguments named = arguments;
    if (named.version.empty()) {
        // The version that the operator sees now, by name: what is current may change while the request travels.
        const auto status = session.model_status(arguments.model);
        if (!status) return session.report(status.error(), arguments.model);
        if (status->current.digest.empty())
            return session.report(
                refuse(kNo, ErrorKind::conflict, arguments.model + " serves nothing that could be pinned").error());
        named.version = status->current.digest;
    }
    return finish_or_report(session, arguments.model, change_version(session, named, "pin"));
}

int run_unpin(const Session& session, const Arguments& arguments) {
    return finish_or_report(session, arguments.model, change_version(session, arguments, "unpin"));
}

int run_unreject(const Session& session, const Arguments& arguments) {
    return finish_or_report(session, arguments.model, change_version(session, arguments, "unreject"));
}

}  // namespace modelguard::cli
