#include "supervisor/cli/session.hpp"

#include <poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "supervisor/base/params.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

std::string random_key() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        std::abort();  // cannot be short below 256 bytes
    std::string key;
    for (const unsigned char byte : bytes) {
        key += "0123456789abcdef"[byte >> 4];
        key += "0123456789abcdef"[byte & 15];
    }
    return key;
}

std::string without_trailing_slash(std::string root) {
    while (root.size() > 1 && root.ends_with('/'))
        root.pop_back();
    return root;
}

/// What the daemon said, as an exit code.
int exit_code_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_config:
        case ErrorKind::conflict: return kNo;
        case ErrorKind::not_found: return kNotFound;
        case ErrorKind::denied: return kDenied;
        case ErrorKind::unavailable:
        case ErrorKind::timed_out:
        case ErrorKind::malformed_reply:
        case ErrorKind::io:
        case ErrorKind::unsupported:
        case ErrorKind::internal: return kFailed;
    }
    return kFailed;
}

void write_to(std::FILE* stream, std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream); }

}  // namespace

Failure failure_of(const Error& error) {
    Failure failure{{}, kFailed};
    failure.problem.http_status = api::http_status(error.kind);
    failure.problem.kind = to_string(error.kind);
    failure.problem.title = error.what;
    if (error.sys_errno == EINTR)
        failure.exit_code = kInterrupted;
    else if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::timed_out)
        failure.exit_code = kUnreachable;
    else if (error.kind == ErrorKind::denied)
        failure.exit_code = kDenied;
    return failure;
}

Failure failure_of(const api::Response& response) {
    api::Problem problem = api::problem_of(response);
    const int exit_code = exit_code_of(api::kind_of(problem));
    return {std::move(problem), exit_code};
}

std::unexpected<Failure> refuse(int exit_code, ErrorKind kind, std::string title) {
    Failure failure = failure_of(Error{kind, std::move(title), 0});
    failure.exit_code = exit_code;
    return std::unexpected(std::move(failure));
}

Interrupts::Interrupts() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

Interrupts::~Interrupts() {
    if (fd_ >= 0) ::close(fd_);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    // One that came is taken here: it was acted on, or came when there was nothing left to interrupt.
    const timespec at_once{};
    while (::sigtimedwait(&signals, nullptr, &at_once) > 0) {
    }
    sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

bool Interrupts::wait(Usec time) const {
    pollfd interrupt{fd_, POLLIN, 0};
    return ::poll(&interrupt, 1, static_cast<int>(time.count() / 1000)) > 0;
}

Session::Session(std::string root, bool json) : json_(json), stderr_is_terminal_(::isatty(STDERR_FILENO) == 1) {
    const char* no_color = std::getenv("NO_COLOR");
    view_.colour = ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    view_.now_wall_usec = std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
    view_.root = without_trailing_slash(std::move(root));
}

Answer<std::string> Session::get(const std::string& target, Usec silence, int cancel_fd) const {
    api::Request request;
    request.target = target;
    request.silence = silence;
    request.cancel_fd = cancel_fd;
    auto response = api::send_request(socket("api.sock"), request);
    if (!response) return std::unexpected(failure_of(response.error()));
    if (!response->is_success()) return std::unexpected(failure_of(*response));
    return std::move(response->body);
}

Answer<std::string> Session::post_readonly(const std::string& target, std::string body,
                                           const std::string& content_type) const {
    api::Request request;
    request.method = "POST";
    request.target = target;
    request.body = std::move(body);
    request.content_type = content_type;
    auto response = api::send_request(socket("api.sock"), request);
    if (!response) return std::unexpected(failure_of(response.error()));
    if (!response->is_success()) return std::unexpected(failure_of(*response));
    return std::move(response->body);
}

Answer<std::string> Session::change(api::Request request) const {
    request.headers.emplace_back("Idempotency-Key", random_key());
    auto response = api::send_request(socket("control.sock"), request);
    if (!response) return std::unexpected(failure_of(response.error()));
    if (!response->is_success()) return std::unexpected(failure_of(*response));
    return std::move(response->body);
}

Answer<std::string> Session::change(const std::string& target, std::string json_body) const {
    api::Request request;
    request.method = "POST";
    request.target = target;
    if (!json_body.empty()) request.content_type = "application/json";
    request.body = std::move(json_body);
    // A change answers when its intent is on disk; a slow card may take a while over an fsync.
    request.silence = std::chrono::seconds(60);
    return change(std::move(request));
}

Answer<api::ModelStatus> Session::model_status(const std::string& model) const {
    MG_ASK(const std::string body, get("/v1/status?model=" + percent_encoded(model)));
    MG_ASK(api::Status status, read_as(api::status_from_json, body));
    for (auto& one : status.models)
        if (one.model == model) return std::move(one);
    return refuse(kNotFound, ErrorKind::not_found, "no model '" + model + "'");
}

Answer<std::vector<std::string>> Session::model_names() const {
    MG_ASK(const std::string body, get("/v1/status"));
    MG_ASK(const api::Status status, read_as(api::status_from_json, body));
    std::vector<std::string> names;
    for (const auto& model : status.models)
        names.push_back(model.model);
    return names;
}

void Session::print_json(std::string_view document) const {
    print(printable_json(document));
    if (!document.ends_with('\n')) print("\n");
}

void Session::print(std::string_view text) const { write_to(stdout, text); }
void Session::tell(std::string_view text) const { write_to(stderr, text); }

int Session::report(const Failure& failure, const std::string& model) const {
    const api::Problem& problem = failure.problem;
    if (json_) print_json(api::to_json(problem));
    std::string place;
    if (!problem.file.empty()) place = problem.file + ":";
    if (problem.line > 0) place += std::to_string(problem.line) + ":";
    if (!place.empty()) place += " ";
    if (!problem.key.empty()) place += problem.key + ": ";
    tell("modelguard: " + printable(place + problem.title) + "\n");

    if (failure.exit_code == kUnreachable) {
        tell(view_.root.empty() ? "next: systemctl start modelguardd\n"
                                : "next: modelguardd --root " + printable(shell_word(view_.root)) + "\n");
    } else if (failure.exit_code == kDenied) {
        tell(view_.root.empty() ? "next: run it as root, or as a member of the group modelguard\n"
                                : "next: run it as the user that runs modelguardd\n");
    } else if (failure.exit_code == kNotFound && !model.empty()) {
        const auto names = model_names();
        if (!names || std::ranges::find(*names, model) != names->end()) return failure.exit_code;
        const std::vector<std::string_view> views(names->begin(), names->end());
        if (const auto nearest = nearest_word(model, views)) tell("did you mean '" + printable(*nearest) + "'?\n");
        std::string list;
        for (const auto& name : *names)
            list += (list.empty() ? "" : ", ") + printable(name);
        tell(wrapped(list.empty() ? "there are no models yet" : "known models: " + list, 0));
    }
    return failure.exit_code;
}

}  // namespace modelguard::cli
