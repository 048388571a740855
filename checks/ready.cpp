// `ready`: the model answers that it is ready, and then really infers once. Loading, missing and unreachable are
// neutral until the manifest's `ready_within` has run out.

#include <fmt/format.h>

#include <algorithm>

#include "checks/run.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_ready;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Usec kFirstInterval =
    milliseconds(20);  // a files switch on a warm server is ready within two or three of these
constexpr Usec kLongestInterval = milliseconds(500);
/// Three answers, one second in all: a server that starts up may say 500 for a moment.
constexpr int kBrokenInARow = 3;
constexpr Usec kReadyTimeout = seconds(5);
constexpr Usec kInferTimeout = seconds(10);  // OVMS blocks the first inference while it loads
constexpr Usec kShortestTimeout = seconds(1);

constexpr std::array kParams{
    ParamSpec{.name = "canary",
              .help = "A canary set of the version; its first item is inferred once after the model says ready."},
    kInputParam, kOutputParam};

class ReadyRun final : public Run {
  public:
    ReadyRun(const CheckContext& context, Done done, const InferParams& params)
        : Run(context, std::move(done)), params_(params), began_(sys::boottime_now()) {
        if (load_item()) poll();
    }

  private:
    Usec elapsed() const { return sys::boottime_now() - began_; }
    Usec timeout(Usec longest) const {
        return std::max(kShortestTimeout, std::min(longest, context_.ready_within - elapsed()));
    }

    bool load_item() {
        if (params_.canary.empty()) return true;
        auto loaded = load_first_item(context_.version_dir, params_.canary);
        if (!loaded) {
            finish(inconclusive("no_canary_set", loaded.error().what));
            return false;
        }
        item_ = std::move(*loaded);
        return true;
    }

    void poll() {
        sys::HttpRequest request = context_.target.protocol->ready_request(context_.target);
        request.timeout = timeout(kReadyTimeout);
        ++probes_;
        ask_model(std::move(request), [this](const Result<sys::HttpReply>& reply) {
            ReadyAnswer answer = context_.target.protocol->classify_ready(context_.target, reply);
            tell_probe({.outcome = answer.outcome});
            if (answer.outcome != Outcome::ok) return again(answer.outcome, std::move(answer.detail));
            if (params_.canary.empty()) return pass(answer.detail);
            infer();
        });
    }

    void infer() {
        auto request = context_.target.protocol->infer_request(context_.target, item_, params_.shape, next_unique());
        if (!request)
            return finish(inconclusive("no_canary_set",
                                       fmt::format("{}:{}: {}", params_.canary, item_.line, request.error().what)));
        request->timeout = timeout(kInferTimeout);
        ++probes_;
        ask_model(std::move(*request), [this](const Result<sys::HttpReply>& reply) {
            InferAnswer answer = context_.target.protocol->read_infer(context_.target, params_.shape, reply);
            // Until the time is out a slow first inference is loading.
            if (!reply && reply.error().kind == ErrorKind::timed_out) answer.outcome = Outcome::loading;
            tell_inference(answer, reply);
            if (answer.not_finite) return end(failed("not_finite", "says ready, but " + answer.detail));
            if (answer.outcome != Outcome::ok) return again(answer.outcome, "inference: " + answer.detail);
            pass(fmt::format("one inference took {}", format_age(reply->total)));
        });
    }

    /// Not yet: asks again, or gives up where the time is out or the answer is hard evidence.
    void again(Outcome outcome, std::string detail) {
        broken_in_a_row_ = outcome == Outcome::broken ? broken_in_a_row_ + 1 : 0;
        if (broken_in_a_row_ >= kBrokenInARow)
            return end(failed("broken", fmt::format("broken, {} answers in a row: {}", kBrokenInARow, detail)));
        const Usec left = context_.ready_within - elapsed();
        if (left <= Usec{0}) return give_up(outcome, detail);
        Usec pause = outcome == Outcome::broken ? kLongestInterval : interval_;
        interval_ = std::min(interval_ * 2, kLongestInterval);
        after(std::min(pause, left), [this] { poll(); });
    }

    void give_up(Outcome outcome, const std::string& detail) {
        std::string code;
        switch (outcome) {
            case Outcome::ok:
            case Outcome::loading:
            case Outcome::unreachable: code = "not_ready"; break;
            case Outcome::missing:
            case Outcome::broken:
            case Outcome::wrong_version: code = std::string(to_word(outcome)); break;
        }
        end(failed(std::move(code), fmt::format("not ready within {}, at last {} ({})",
                                                format_age(context_.ready_within), to_word(outcome), detail)));
    }

    void pass(const std::string& detail) {
        end({.verdict = core::VerdictKind::pass,
             .code = "ok",
             .text = fmt::format("ready after {} ({})", format_age(elapsed()), detail)});
    }

    void end(CheckOutcome outcome) {
        outcome.measured = std::chrono::duration<double>(elapsed()).count();
        outcome.limit = std::chrono::duration<double>(context_.ready_within).count();
        outcome.unit = "s";
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    const InferParams& params_;
    Instant began_;
    CanaryItem item_;
    Usec interval_{kFirstInterval};
    int broken_in_a_row_{0};
    std::int64_t probes_{0};
};

class Ready final : public Check {
  public:
    explicit Ready(InferParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<ReadyRun>(context, std::move(done), params_);
    }

  private:
    InferParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    MG_TRY(InferParams compiled, infer_params(params));
    return std::make_unique<Ready>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_ready{
    .name = "ready",
    .summary =
        "The server says that the model is ready within `ready_within`, and infers once where there is a canary set.",
    .params = kParams,
    .make = make,
    .needs_server = false,  // it is the one that the others wait for
};

}  // namespace modelguard::checks
