// `remove`: a model, its versions and its history of rejections go. Says what that is unless told to go on.

#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/follow.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

std::string what_goes(const api::ModelStatus& status, const api::Versions& versions, const View& view) {
    std::uint64_t bytes = 0;
    for (const auto& item : versions.items)
        bytes += item.bytes;
    std::string text = std::to_string(versions.items.size()) + (versions.items.size() == 1 ? " version" : " versions") +
                       " of " + printable(status.model) + ", " + size_text(bytes) + ", would be deleted";
    if (!status.current.digest.empty())
        text += ", " + version_name(status.current.label, status.current.digest) + " that serves among them";
    return wrapped(text + "; nothing was done.", 0) +
           "next: " + command_line("remove " + status.model + " --yes", view) + "\n";
}

Answer<std::string> remove(const Session& session, const std::string& model) {
    const Interrupts interrupts;
    api::Request request;
    request.method = "DELETE";
    request.target = "/v1/models/" + percent_encoded(model);
    MG_ASK(std::string document, session.change(std::move(request)));
    MG_ASK(const api::OperationDoc operation, read_as(api::operation_from_json, document));
    if (operation.status != "running") return document;
    return follow(session, interrupts, operation, {.narrate = false, .timeout = Usec{0}, .after = 0});
}

}  // namespace

int run_remove(const Session& session, const Arguments& arguments) {
    const std::string& model = arguments.model;
    if (arguments.yes) {
        const auto document = remove(session, model);
        return document ? finish(session, *document) : session.report(document.error(), model);
    }
    const auto status = session.model_status(model);
    if (!status) return session.report(status.error(), model);
    const auto body = session.get("/v1/models/" + percent_encoded(model) + "/versions");
    if (!body) return session.report(body.error(), model);
    const auto versions = read_as(api::versions_from_json, *body);
    if (!versions) return session.report(versions.error(), model);
    if (session.json())
        session.print_json(*body);
    else
        session.print(what_goes(*status, *versions, session.view()));
    return kNo;
}

}  // namespace modelguard::cli
