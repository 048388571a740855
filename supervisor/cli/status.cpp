// `status`: what serves and whether it is well, once or (--watch) again whenever that changes; what the daemon last
// wrote down where it does not answer.

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

constexpr std::chrono::seconds kLook{1};  // between two looks at what no decision announces: checks, ages, a soak
constexpr Usec kPollSilence = std::chrono::seconds(10) + kLook;

const api::ModelStatus* find_model(const api::Status& status, const std::string& model) {
    const auto found = std::ranges::find(status.models, model, &api::ModelStatus::model);
    return found == status.models.end() ? nullptr : &*found;
}

std::string screen_of(const api::Status& status, const std::string& model, const View& view) {
    const api::ModelStatus* one = find_model(status, model);
    return one != nullptr ? model_screen(*one, view) : status_screen(status, view);
}

struct Shown {
    std::string document;
    api::Status status;
    int code{kDone};
};

Answer<Shown> ask_status(const Session& session, const std::string& model) {
    Shown shown;
    MG_ASK(shown.document, session.get("/v1/status" + (model.empty() ? "" : "?model=" + percent_encoded(model))));
    MG_ASK(shown.status, read_as(api::status_from_json, shown.document));
    const api::ModelStatus* one = find_model(shown.status, model);
    if (!model.empty() && one == nullptr) return refuse(kNotFound, ErrorKind::not_found, "no model '" + model + "'");
    shown.code = (one != nullptr ? one->healthy : shown.status.healthy) ? kDone : kNo;
    return shown;
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
                      " (" + utc_time(then) + "):\n\n" + screen_of(backup->status, model, session.view()) + "\n");
    }
    Failure without_json = failure;  // one document on stdout is enough
    return Session(session.view().root, false).report(without_json);
}

/// What differs from one look to the next although nothing has changed.
std::string lasting(api::Status status) {
    status.wall_usec = status.boottime_usec = 0;
    for (api::ModelStatus& model : status.models) {
        model.checked_wall_usec = model.phase_left_usec = 0;
        for (core::CheckReport& report : model.checks) {
            report.measured.reset();
            report.text.clear();
        }
    }
    return api::to_json(status);
}

/// A screen that takes the place of the one before; lines of that one which are longer are cleared.
std::string in_place(const std::string& screen) {
    std::string out = "\x1b[H";
    for (const char c : screen)
        out += c == '\n' ? "\x1b[K\n" : std::string(1, c);
    return out + "\x1b[J";
}

class Watcher {
  public:
    Watcher(const Arguments& arguments) : arguments_(arguments) {}

    int run() {
        if (is_terminal_) std::fputs("\x1b[2J", stdout);
        int code = kDone;
        do {
            // The time of a session is that of its beginning.
            const Session session(arguments_.root, arguments_.json);
            auto shown = ask_status(session, arguments_.model);
            if (!shown && shown.error().exit_code != kUnreachable)
                return session.report(shown.error(), arguments_.model);
            code = shown ? shown->code : kUnreachable;
            if (shown)
                show(session, *shown);
            else if (std::exchange(said_, "away") != "away")
                last_known_state(session, shown.error(), arguments_.model);
            if (std::fflush(stdout) != 0) return kFailed;
        } while (!wait());
        return code;
    }

  private:
    void show(const Session& session, const Shown& shown) {
        if (is_terminal_ && !session.json())
            return session.print(in_place(screen_of(shown.status, arguments_.model, session.view())));
        if (std::string now = lasting(shown.status); now != said_) {
            const bool first = said_.empty();
            said_ = std::move(now);
            if (session.json()) return session.print_json(shown.document);
            session.print((first ? "" : "\n") + utc_time(session.view().now_wall_usec) + "\n" +
                          screen_of(shown.status, arguments_.model, session.view()));
        }
    }

    /// Until there is a decision, or it is time for another look; true: interrupted.
    bool wait() {
        const Session session(arguments_.root, false);
        const std::string about = arguments_.model.empty() ? "" : "&model=" + percent_encoded(arguments_.model);
        const auto body = session.get("/v1/history?limit=1&after=" + std::to_string(after_) + about +
                                          (after_ == 0 ? "" : "&wait=" + std::to_string(kLook.count())),
                                      kPollSilence, interrupts_.fd());
        if (!body && body.error().exit_code == kInterrupted) return true;
        const auto history = body ? api::history_from_json(*body) : Result<api::History>(api::History{});
        const bool is_first = after_ == 0;
        if (history && !history->items.empty()) after_ = history->items.front().number;
        // Nothing was waited for where the daemon is away or has decided nothing yet.
        return (!body || after_ == 0 || is_first) && interrupts_.wait(kLook);
    }

    const Arguments& arguments_;
    const Interrupts interrupts_;
    const bool is_terminal_{::isatty(STDOUT_FILENO) == 1};
    std::string said_;
    std::int64_t after_{0};
};

}  // namespace

int run_status(const Session& session, const Arguments& arguments) {
    if (arguments.watch) return Watcher(arguments).run();
    const auto shown = ask_status(session, arguments.model);
    if (!shown)
        return shown.error().exit_code == kUnreachable ? last_known_state(session, shown.error(), arguments.model)
                                                       : session.report(shown.error(), arguments.model);
    if (session.json())
        session.print_json(shown->document);
    else
        session.print(screen_of(shown->status, arguments.model, session.view()));
    return shown->code;
}

}  // namespace modelguard::cli
