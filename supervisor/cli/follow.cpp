#include "supervisor/cli/follow.hpp"

#include <algorithm>
#include <ctime>

#include "supervisor/base/text.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLongPoll =
    5s;  // a decision ends it at once; an operation that ends without one is seen within this
constexpr Usec kPollSilence = kLongPoll + 10s;
constexpr Usec kAwayPatience = 60s;  // a restart by systemd takes one; an OS update of the package a few
constexpr Usec kAwayRetry = 250ms;

Usec boottime() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + Usec(time.tv_nsec / 1000);
}

class Follower {
  public:
    Follower(const Session& session, const Interrupts& interrupts, const api::OperationDoc& operation,
             const FollowOptions& options)
        : session_(session),
          interrupts_(interrupts),
          operation_(operation),
          options_(options),
          after_(options.after),
          began_(boottime()) {}

    Answer<std::string> run() {
        for (;;) {
            MG_ASK(const std::string document, ask_patiently([&] { return operation_document(); }));
            MG_ASK(const api::OperationDoc now, read_as(api::operation_from_json, document));
            const bool running = now.status == "running";
            if (running && options_.timeout.count() > 0 && boottime() - began_ >= options_.timeout)
                return refuse(kFailed, ErrorKind::timed_out,
                              "not decided within " + format_duration(options_.timeout) + ": " + goes_on());
            // One more look at the history when it has ended: the decision that ended it is told before the outcome.
            MG_ASK(const bool news, ask_patiently([&] { return tell_news(running && decides() ? kLongPoll : 0s); }));
            static_cast<void>(news);
            if (!running) return document;
        }
    }

  private:
    /// The end of a check is no decision, so that the history has no news of it.
    bool decides() const { return operation_.kind != "check"; }

    /// At most so long, in seconds, as the time allows.
    std::string patience(std::chrono::seconds wait) const {
        Usec left = wait;
        if (options_.timeout.count() > 0) left = std::clamp<Usec>(options_.timeout - (boottime() - began_), 0s, wait);
        return std::to_string(std::chrono::ceil<std::chrono::seconds>(left).count());
    }

    Answer<std::string> operation_document() const {
        const std::string wait = decides() ? std::string() : "?wait=" + patience(kLongPoll);
        return session_.get("/v1/operations/" + std::to_string(operation_.id) + wait, kPollSilence, interrupts_.fd());
    }

    /// True if something was told.
    Answer<bool> tell_news(std::chrono::seconds wait) {
        MG_ASK(const std::string body,
               session_.get("/v1/history?model=" + percent_encoded(operation_.model) +
                                "&after=" + std::to_string(after_) + "&limit=100&wait=" + patience(wait),
                            kPollSilence, interrupts_.fd()));
        MG_ASK(api::History history, read_as(api::history_from_json, body));
        std::ranges::reverse(history.items);  // newest first, and a story is told from its beginning
        bool told = false;
        for (const auto& item : history.items) {
            if (item.number <= after_) continue;
            after_ = item.number;
            told = true;
            if (options_.narrate) session_.tell(progress_line(item));
        }
        return told;
    }

    /// Asks again while the daemon is away.
    template <class Ask>
    auto ask_patiently(Ask ask) -> decltype(ask()) {
        std::optional<Usec> away_since;
        for (;;) {
            auto answer = ask();
            if (answer) return answer;
            if (answer.error().exit_code == kInterrupted) return interrupted();
            if (answer.error().exit_code != kUnreachable) return answer;
            if (!away_since) {
                away_since = boottime();
            } else if (boottime() - *away_since >= kAwayPatience) {
                return answer;
            }
            if (!said_away_ && options_.narrate) session_.tell("modelguardd is away; waiting for it to come back\n");
            said_away_ = true;
            if (interrupts_.wait(kAwayRetry)) return interrupted();
        }
    }

    std::string goes_on() const {
        return "the " + operation_.kind + " of " + operation_.model + " goes on in modelguardd (operation " +
               std::to_string(operation_.id) +
               "); look at it with: " + command_line("status " + operation_.model, session_.view());
    }
    std::unexpected<Failure> interrupted() const {
        return refuse(kInterrupted, ErrorKind::unavailable, "interrupted: " + goes_on());
    }

    const Session& session_;
    const Interrupts& interrupts_;
    const api::OperationDoc& operation_;
    const FollowOptions& options_;
    std::int64_t after_;
    Usec began_;
    bool said_away_{false};
};

}  // namespace

Answer<std::int64_t> newest_decision(const Session& session, const std::string& model) {
    MG_ASK(const std::string body, session.get("/v1/history?model=" + percent_encoded(model) + "&limit=1"));
    MG_ASK(const api::History history, read_as(api::history_from_json, body));
    return history.items.empty() ? 0 : history.items.front().number;
}

Answer<std::string> follow(const Session& session, const Interrupts& interrupts, const api::OperationDoc& operation,
                           const FollowOptions& options) {
    return Follower(session, interrupts, operation, options).run();
}

int exit_code_of(const api::OperationDoc& operation) {
    if (operation.status == "no") return kNo;
    if (operation.status == "failed") return kFailed;
    if (operation.kind != "check") return kDone;
    const auto any_required = [&](core::VerdictKind verdict) {
        return std::ranges::any_of(operation.checks,
                                   [&](const auto& check) { return check.required && check.verdict == verdict; });
    };
    if (any_required(core::VerdictKind::fail)) return kNo;
    return any_required(core::VerdictKind::inconclusive) ? kFailed : kDone;
}

int finish(const Session& session, const std::string& document) {
    const auto operation = read_as(api::operation_from_json, document);
    if (!operation) return session.report(operation.error());
    if (session.json())
        session.print_json(document);
    else
        session.print(outcome_screen(*operation, session.view()));
    return exit_code_of(*operation);
}

}  // namespace modelguard::cli
