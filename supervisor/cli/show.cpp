// The commands that only look: status, history, explain, versions, validate, kinds.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

constexpr std::size_t kMaxManifestBytes = 1u << 20;  // DESIGN.md section 8

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

/// The daemon is dead: what it last wrote down.
int last_known_state(const Session& session, const Failure& failure, const std::string& model) {
    const auto backup = api::read_backup(session.state_dir());
    if (!backup) {
        const int code = session.report(failure);
        const bool is_none = backup.error().kind == ErrorKind::not_found;
        session.tell(is_none ? "there is no last known state either\n"
                             : "the last known state cannot be read: " + printable(backup.error().what) + "\n");
        return code;
    }
    if (session.json()) {
        session.print_json(backup->json);
    } else {
        const std::int64_t then = backup->status.wall_usec;
        session.print("modelguardd does not answer. Last known state, " + age(then, session.view().now_wall_usec) +
                      " (" + utc_time(then) + "):\n\n");
        const api::ModelStatus* found = nullptr;
        for (const auto& one : backup->status.models)
            if (one.model == model) found = &one;
        if (found != nullptr)
            session.print(model_screen(*found, session.view()));
        else
            session.print(status_screen(backup->status, session.view()));
        session.print("\n");
    }
    Failure without_json = failure;  // one document on stdout is enough
    return Session(session.view().root, false).report(without_json);
}

Result<std::string> read_manifest(const std::string& file) {
    const bool from_stdin = file == "-";
    const int fd = from_stdin ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(file, errno);
    std::string text;
    std::array<char, 16 * 1024> buffer;
    ssize_t count = 0;
    while (text.size() <= kMaxManifestBytes && (count = ::read(fd, buffer.data(), buffer.size())) != 0) {
        if (count < 0 && errno != EINTR) break;
        if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    const int error = errno;
    if (!from_stdin) ::close(fd);
    if (count < 0) return fail_errno(file, error);
    if (text.size() > kMaxManifestBytes) return fail(ErrorKind::invalid_config, file + ": a manifest is at most 1 MiB");
    return text;
}

}  // namespace

int run_status(const Session& session, const Arguments& arguments) {
    const std::string query = arguments.model.empty() ? "" : "?model=" + api::encode_component(arguments.model);
    const auto body = session.get("/v1/status" + query);
    if (!body) {
        if (body.error().exit_code == kUnreachable) return last_known_state(session, body.error(), arguments.model);
        return session.report(body.error(), arguments.model);
    }
    const auto status = read_as(api::status_from_json, *body);
    if (!status) return session.report(status.error());
    const api::ModelStatus* model = nullptr;
    for (const auto& one : status->models)
        if (one.model == arguments.model) model = &one;
    if (!arguments.model.empty() && model == nullptr)
        return session.report(refuse(kNotFound, ErrorKind::not_found, "no model '" + arguments.model + "'").error(),
                              arguments.model);
    if (session.json())
        session.print_json(*body);
    else
        session.print(model != nullptr ? model_screen(*model, session.view()) : status_screen(*status, session.view()));
    return (model != nullptr ? model->healthy : status->healthy) ? kDone : kNo;
}

int run_history(const Session& session, const Arguments& arguments) {
    std::string target = "/v1/history?limit=" + std::to_string(arguments.limit);
    if (!arguments.model.empty()) target += "&model=" + api::encode_component(arguments.model);
    return show(session, arguments.model, target, api::history_from_json,
                [&](const api::History& history) { return history_screen(history, session.view()); });
}

int run_explain(const Session& session, const Arguments& arguments) {
    std::vector<std::string> models{arguments.model};
    if (arguments.model.empty()) {
        auto names = session.model_names();
        if (!names) return session.report(names.error());
        models = std::move(*names);
        if (models.empty()) session.print("There are no models yet.\n");
    }
    int code = kDone;
    for (const auto& model : models) {
        const int one =
            show(session, model, "/v1/explain?model=" + api::encode_component(model), api::explanation_from_json,
                 [&](const api::Explanation& explanation) { return explain_screen(explanation, session.view()); });
        code = std::max(code, one);
    }
    return code;
}

int run_versions(const Session& session, const Arguments& arguments) {
    return show(session, arguments.model, "/v1/models/" + api::encode_component(arguments.model) + "/versions",
                api::versions_from_json,
                [&](const api::Versions& versions) { return versions_screen(versions, session.view()); });
}

int run_validate(const Session& session, const Arguments& arguments) {
    auto text = read_manifest(arguments.file);
    if (!text) {
        Failure failure = failure_of(text.error());
        failure.exit_code =
            text.error().kind == ErrorKind::invalid_config ? kNo : kFailed;  // `denied` is about the daemon's rights
        return session.report(failure);
    }
    const std::string name = arguments.file == "-" ? "standard input" : arguments.file;
    const auto body =
        session.post_readonly("/v1/validate?file=" + api::encode_component(name), std::move(*text), "application/yaml");
    if (!body) return session.report(body.error());
    const auto validation = read_as(api::validation_from_json, *body);
    if (!validation) return session.report(validation.error());
    if (session.json())
        session.print_json(*body);
    else
        session.print(validation_screen(*validation, name, session.view()));
    return validation->valid ? kDone : kNo;
}

int run_kinds(const Session& session, const Arguments&) {
    return show(session, "", "/v1/kinds", api::kinds_from_json,
                [&](const api::Kinds& kinds) { return kinds_screen(kinds, session.view()); });
}

}  // namespace modelguard::cli
