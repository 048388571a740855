// The commands about a manifest: validate, apply.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/follow.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

constexpr std::size_t kMaxManifestBytes = 1u << 20;  // DESIGN.md section 8

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

/// A manifest of the caller's, and what the daemon finds in it.
struct Checked {
    std::string name;  ///< of the file, for people
    std::string text;
    std::string document;
    api::Validation validation;
};

Answer<Checked> check_manifest(const Session& session, const std::string& file) {
    auto text = read_manifest(file);
    if (!text) {
        Failure failure = failure_of(text.error());
        failure.exit_code =
            text.error().kind == ErrorKind::invalid_config ? kNo : kFailed;  // `denied` is about the daemon's rights
        return std::unexpected(std::move(failure));
    }
    Checked checked{
        .name = file == "-" ? "standard input" : file, .text = std::move(*text), .document = {}, .validation = {}};
    MG_ASK(checked.document, session.post_readonly("/v1/validate?file=" + percent_encoded(checked.name), checked.text,
                                                   "application/yaml"));
    MG_ASK(checked.validation, read_as(api::validation_from_json, checked.document));
    return checked;
}

int show_validation(const Session& session, const Checked& checked) {
    if (session.json())
        session.print_json(checked.document);
    else
        session.print(validation_screen(checked.validation, checked.name, session.view()));
    return checked.validation.valid ? kDone : kNo;
}

Answer<std::string> send_manifest(const Session& session, const Arguments& arguments, const Checked& checked) {
    const Interrupts interrupts;
    FollowOptions options{.narrate = arguments.wait && !session.json(), .timeout = arguments.timeout, .after = 0};
    if (options.narrate)  // a model that is new has no history yet
        options.after = newest_decision(session, checked.validation.model).value_or(0);
    api::Request request;
    request.method = "POST";
    request.target = "/v1/manifests?file=" + percent_encoded(checked.name);
    request.body = checked.text;
    request.content_type = "application/yaml";
    MG_ASK(std::string document, session.change(std::move(request)));
    MG_ASK(const api::OperationDoc operation, read_as(api::operation_from_json, document));
    if (!arguments.wait || operation.status != "running") return document;
    return follow(session, interrupts, operation, options);
}

}  // namespace

int run_validate(const Session& session, const Arguments& arguments) {
    const auto checked = check_manifest(session, arguments.file);
    return checked ? show_validation(session, *checked) : session.report(checked.error());
}

int run_apply(const Session& session, const Arguments& arguments) {
    const auto checked = check_manifest(session, arguments.file);
    if (!checked) return session.report(checked.error());
    if (!checked->validation.valid) return show_validation(session, *checked);
    if (!checked->validation.findings.empty() && !session.json()) show_validation(session, *checked);
    const std::string& model = checked->validation.model;
    const auto document = send_manifest(session, arguments, *checked);
    if (!document) return session.report(document.error(), model);
    const int code = finish(session, *document);
    if (session.json() || code != kDone) return code;
    const auto status = session.model_status(model);
    if (status && status->current.digest.empty() && status->candidate.digest.empty())
        session.print("next: " + command_line("deploy " + model + " BUNDLE", session.view()) + "\n");
    return code;
}

}  // namespace modelguard::cli
