// The commands that only look, `status` aside: history, explain, versions, kinds.

#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

/// Fetches a document and prints it: as it came with --json, else its screen.
template <class T, class Screen>
int show(const Session& session, const std::string& model, const std::string& target,
         Result<T> (*reader)(std::string_view), Screen screen) {
    const auto body = session.get(target);
    if (!body) return session.report(body.error(), model);
    const auto document = read_as(reader, *body);
    if (!document) return session.report(document.error(), model);
    if (session.json())
        session.print_json(*body);
    else
        session.print(screen(*document));
    return kDone;
}

}  // namespace

int run_history(const Session& session, const Arguments& arguments) {
    std::string target = "/v1/history?limit=" + std::to_string(arguments.limit);
    if (!arguments.model.empty()) target += "&model=" + percent_encoded(arguments.model);
    return show(session, arguments.model, target, api::history_from_json,
                [&](const api::History& history) { return history_screen(history, session.view()); });
}

int run_explain(const Session& session, const Arguments& arguments) {
    std::vector<std::string> models{arguments.model};
    if (arguments.model.empty() && arguments.decision == 0) {
        auto names = session.model_names();
        if (!names) return session.report(names.error());
        models = std::move(*names);
        if (models.empty()) session.print("There are no models yet.\n");
    }
    int code = kDone;
    const std::string decision = arguments.decision > 0 ? "&number=" + std::to_string(arguments.decision) : "";
    for (const auto& model : models) {
        const int one =
            show(session, model, "/v1/explain?model=" + percent_encoded(model) + decision, api::explanation_from_json,
                 [&](const api::Explanation& explanation) { return explain_screen(explanation, session.view()); });
        code = std::max(code, one);
    }
    return code;
}

int run_versions(const Session& session, const Arguments& arguments) {
    return show(session, arguments.model, "/v1/models/" + percent_encoded(arguments.model) + "/versions",
                api::versions_from_json,
                [&](const api::Versions& versions) { return versions_screen(versions, session.view()); });
}

int run_kinds(const Session& session, const Arguments&) {
    return show(session, "", "/v1/kinds", api::kinds_from_json,
                [&](const api::Kinds& kinds) { return kinds_screen(kinds, session.view()); });
}

}  // namespace modelguard::cli
