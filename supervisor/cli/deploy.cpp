// `deploy`: sends a bundle, and with --wait tells its trial to the end.

#include <ctime>

#include "supervisor/base/text.hpp"
#include "supervisor/cli/bundle.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/follow.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

// Between the last byte and the answer the daemon syncs what it has unpacked: gigabytes on an old SD card take minutes.
constexpr Usec kImportPatience = std::chrono::minutes(10);
constexpr Usec kProgressPeriod = std::chrono::milliseconds(100);

/// "sending 12.3 MiB of 40.0 MiB" on one line that rewrites itself; nothing where stderr is no terminal.
class SendProgress {
  public:
    SendProgress(const Session& session, std::optional<std::uint64_t> expected)
        : session_(session), expected_(expected) {}
    ~SendProgress() {
        if (shown_) session_.tell("\r\x1b[K");
    }
    SendProgress(const SendProgress&) = delete;
    SendProgress& operator=(const SendProgress&) = delete;

    void update(std::uint64_t sent) {
        if (!session_.stderr_is_terminal()) return;
        timespec time{};
        ::clock_gettime(CLOCK_MONOTONIC, &time);
        const Usec now = std::chrono::seconds(time.tv_sec) + Usec(time.tv_nsec / 1000);
        if (shown_ && now - last_ < kProgressPeriod) return;
        last_ = now;
        shown_ = true;
        std::string line = "\r\x1b[Ksending " + size_text(sent);
        if (expected_ && sent <= *expected_) line += " of " + size_text(*expected_);
        session_.tell(line);
    }
    void sent_all() {
        if (shown_) session_.tell("\r\x1b[Ksent; modelguardd is checking it");
    }

  private:
    const Session& session_;
    std::optional<std::uint64_t> expected_;
    bool shown_{false};
    Usec last_{0};
};

Answer<Bundle> open_bundle(const std::string& path) {
    auto bundle = Bundle::open(path);
    if (bundle) return std::move(*bundle);
    Failure failure = failure_of(bundle.error());
    // The exit codes speak of the daemon's rights and models; a file of the caller that cannot be read is neither.
    failure.exit_code = bundle.error().kind == ErrorKind::invalid_config ? kNo : kFailed;
    return std::unexpected(std::move(failure));
}

Answer<std::string> send_bundle(const Session& session, const Interrupts& interrupts, const Arguments& arguments) {
    MG_ASK(Bundle bundle, open_bundle(arguments.bundle));
    SendProgress progress(session, bundle.expected_bytes());
    api::Request request;
    request.method = "POST";
    request.target = "/v1/models/" + percent_encoded(arguments.model) + "/deploy";
    char separator = '?';
    const auto add = [&](const char* name, const std::string& value) {
        if (value.empty()) return;
        request.target += std::string(1, separator) + name + "=" + percent_encoded(value);
        separator = '&';
    };
    add("label", arguments.label);
    add("served_version", arguments.served_version);
    request.content_type = "application/octet-stream";
    request.body_fd = bundle.fd();
    request.body_complete = [&]() -> Result<void> {
        progress.sent_all();
        return bundle.complete();
    };
    request.on_sent = [&](std::uint64_t sent) { progress.update(sent); };
    request.silence = kImportPatience;
    request.cancel_fd = interrupts.fd();
    auto document = session.change(std::move(request));
    if (!document && document.error().exit_code == kInterrupted)
        return refuse(kInterrupted, ErrorKind::unavailable,
                      "interrupted while sending; modelguardd drops what is incomplete. To be sure: " +
                          command_line("status " + arguments.model, session.view()));
    return document;
}

Answer<std::string> deploy(const Session& session, const Arguments& arguments) {
    // Asked before gigabytes are sent: is there a daemon, and such a model?
    MG_ASK(const api::ModelStatus before, session.model_status(arguments.model));
    FollowOptions options{.narrate = !session.json(), .timeout = arguments.timeout, .after = 0};
    if (arguments.wait) {
        MG_ASK(options.after, newest_decision(session, before.model));
    }
    const Interrupts interrupts;
    MG_ASK(std::string document, send_bundle(session, interrupts, arguments));
    MG_ASK(const api::OperationDoc operation, read_as(api::operation_from_json, document));
    if (!arguments.wait || operation.status != "running") return document;
    return follow(session, interrupts, operation, options);
}

}  // namespace

int run_deploy(const Session& session, const Arguments& arguments) {
    const auto document = deploy(session, arguments);
    if (!document) return session.report(document.error(), arguments.model);
    const int code = finish(session, *document);
    if (session.json()) return code;
    if (!arguments.wait && code == kDone) {
        session.print("next: " + command_line("status " + arguments.model, session.view()) + "\n");
    } else if (arguments.wait) {
        if (const auto status = session.model_status(arguments.model))
            session.print("now serving: " + version_name(status->current.label, status->current.digest) + "\n");
        if (code == kNo) session.print("next: " + command_line("explain " + arguments.model, session.view()) + "\n");
    }
    return code;
}

}  // namespace modelguard::cli
