// `container`: what podman says of a container: it runs, is healthy, has run for a while, was not restarted too often,
// and runs the version's image. Nothing is executed in it: `podman healthcheck run` would act on what it finds.

#include <fmt/format.h>

#include <algorithm>

#include "checks/restarts.hpp"
#include "checks/run.hpp"
#include "supervisor/base/ids.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/podman.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_container;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array kParams{
    ParamSpec{.name = "container",
              .required = true,
              .help = "The container's name; the model's own or one listed under `containers:` in modelguard.yaml."},
    ParamSpec{.name = "image_digest",
              .help = "The image that it must run, sha256: and 64 hex digits. Absent: what the version's image.json "
                      "says, if it has one."},
    kMaxRestartsParam,
    kRestartsWithinParam,
    kStableForParam,
};
constexpr Usec kAnswerTimeout = seconds(10);  // podman takes a lock on the container, and may be starting it
constexpr int kAttempts = 3;
constexpr Usec kFirstInterval = milliseconds(50);
constexpr Usec kLongestInterval = milliseconds(500);
/// A service that is told without being waited for may still have the former version's container for so long.
constexpr Usec kLeftover = seconds(3);

struct ContainerParams {
    std::string container, image_digest;
    RestartLimits limits;
};

/// What passes have seen.
struct Memory {
    RestartMemory restarts;
    std::string start;  ///< the newest start of the container
    Instant start_seen;
};

class ContainerRun final : public Run {
  public:
    ContainerRun(const CheckContext& context, Done done, const ContainerParams& params, Memory& memory)
        : Run(context, std::move(done)), params_(params), memory_(memory), began_(sys::boottime_now()) {
        if (find_expected_image()) look(1);
    }

  private:
    Usec elapsed() const { return sys::boottime_now() - began_; }

    /// False where it ended the run.
    bool find_expected_image() {
        expected_image_ = params_.image_digest;
        // A baseline is of the known-good version, though the items are the candidate's.
        if (!expected_image_.empty() || context_.purpose == core::JudgePurpose::baseline) return true;
        const auto file = sys::read_image_file(context_.version_dir);
        if (!file) {
            finish(inconclusive("no_image_file", plain_line(file.error().what)));
            return false;
        }
        if (*file) expected_image_ = (*file)->digest;
        return true;
    }

    void ask(const std::string& path, std::function<void(const Result<sys::HttpReply>&)> next) {
        sys::HttpRequest request = sys::podman_request(context_.podman_socket, "GET", path);
        request.timeout = kAnswerTimeout;
        exchange(std::move(request), std::move(next));
    }

    void look(int attempt) {
        ++probes_;
        ask("/containers/" + percent_encoded(params_.container) + "/json",
            [this, attempt](const Result<sys::HttpReply>& reply) { read(reply, attempt); });
    }

    /// podman's answers come from files that others write meanwhile: what is torn or an error is asked for again.
    void read(const Result<sys::HttpReply>& reply, int attempt) {
        if (reply && reply->status == 404) {
            // It is made by its service, from the version's image.
            now_ = fmt::format("there is no container {}", params_.container);
            return again("no_such_container", interval_);
        }
        auto state = reply && reply->status == 200 ? sys::parse_container(reply->body)
                                                   : Result<sys::ContainerState>(fail(ErrorKind::malformed_reply, ""));
        if (state) return judge(*state);
        if (attempt < kAttempts) return after(kFirstInterval * attempt, [this, attempt] { look(attempt + 1); });
        if (!reply)
            return end(inconclusive("podman_unreachable",
                                    fmt::format("podman does not answer at {}: {}; see systemctl status podman.socket",
                                                context_.podman_socket, plain_line(reply.error().what))));
        if (reply->status != 200)
            return end(inconclusive("podman_error", fmt::format("podman: {}", sys::podman_error(*reply))));
        end(inconclusive("malformed_reply", state.error().what));
    }

    /// Whether what is seen may be what the version before left behind.
    bool is_leftover() const { return changes_ == 0 && elapsed() < kLeftover; }

    void take_look(const sys::ContainerState& state) {
        const std::string start = state.id + " " + state.started_at;
        const bool first = start_.empty();
        if (!first && start != start_) {
            // The first change of a pass may be the former version's container that goes.
            ++changes_;
            stopped_.reset();
        }
        start_ = start;
        if (memory_.start != start) {
            memory_.start = start;
            memory_.start_seen = sys::boottime_now();
        }
        const std::uint64_t counted = memory_.restarts.count(
            {.era = context_.era, .instance = state.id, .counter = state.restarts, .at = sys::boottime_now()},
            params_.limits.within);
        restarts_ = std::max(counted, changes_ > 1 ? changes_ - 1 : 0);
        now_ = fmt::format("{} is {}", params_.container, plain_line(state.status, 40));
        // "stopped" comes before podman has learnt how it ended.
        if (state.status == "exited" || (state.status == "stopped" && state.exit_code != 0))
            now_ += fmt::format(" ({})", state.exit_code);
        if (!state.health.empty()) now_ += fmt::format(", {}", plain_line(state.health, 40));
    }

    void judge(const sys::ContainerState& state) {
        take_look(state);
        if (restarts_ > params_.limits.max_restarts)
            return end(failed("restarting",
                              fmt::format("restarted {} times within {}, {} allowed; {}", restarts_,
                                          format_age(params_.limits.within), params_.limits.max_restarts, now_)));
        const std::string& status = state.status;
        if (status == "running") return judge_running(state);
        if (status == "exited" || status == "stopped") return judge_stopped(state);
        if (status == "paused") return bad("paused", now_ + "; podman unpause " + params_.container);
        for (const std::string_view passing : {"created", "initialized", "configured", "removing", "stopping"})
            if (status == passing) return again("not_ready", interval_);
        end(inconclusive("unknown_state", now_));
    }

    /// Hard evidence, unless it may be of the version before.
    void bad(std::string code, std::string text) {
        if (is_leftover() && elapsed() < context_.ready_within) return again(code, interval_);
        end(failed(std::move(code), std::move(text)));
    }

    void judge_stopped(const sys::ContainerState& state) {
        if (!stopped_) stopped_ = sys::boottime_now();
        // Where restarts are allowed, one has to be waited for.
        if (params_.limits.max_restarts > 0 && sys::boottime_now() - *stopped_ < kLeftover)
            return again("not_ready", interval_);
        constexpr int kKilled = 128 + 9;
        const bool oom = state.oom_killed;
        std::string text = now_;
        if (oom) text += ", killed for want of memory";
        if (!oom && state.exit_code == kKilled) text += ", killed, as the kernel does where memory runs out";
        bad(oom ? "oom" : "exited", fmt::format("{}; see podman logs {}", text, params_.container));
    }

    void judge_running(const sys::ContainerState& state) {
        if (state.health == "unhealthy")
            return bad("unhealthy", fmt::format("{}, {} times in a row: {}", now_, state.failing_streak,
                                                plain_line(state.health_output)));
        if (!expected_image_.empty() && state.image_digest != expected_image_ &&
            !sys::LocalImage{.id = state.image_id, .digests = {}, .tags = {}}.is(expected_image_))
            return look_at_image(state);
        judge_calm(state);
    }

    /// One image can have several manifests, and `inspect` names one of them.
    void look_at_image(const sys::ContainerState& state) {
        ask("/images/" + percent_encoded(state.image_id) + "/json", [this, state](const Result<sys::HttpReply>& reply) {
            const bool answered = reply && (reply->status == 200 || reply->status == 404);
            const auto images = answered && reply->status == 200 ? sys::parse_images(reply->body)
                                                                 : Result<std::vector<sys::LocalImage>>();
            if (!answered || !images)
                return end(inconclusive("podman_error",
                                        fmt::format("podman does not tell what image {} runs", params_.container)));
            if (std::ranges::any_of(*images,
                                    [this](const sys::LocalImage& image) { return image.is(expected_image_); }))
                return judge_calm(state);
            bad("wrong_image",
                fmt::format("{} runs {} ({}) instead of {}", params_.container, plain_line(state.image_name, 80),
                            plain_line(state.image_digest, 80), expected_image_));
        });
    }

    void judge_calm(const sys::ContainerState& state) {
        if (!state.health.empty() && state.health != "healthy") return again("not_ready", interval_);
        const Usec since = sys::boottime_now() - memory_.start_seen;
        if (since < params_.limits.stable_for) return again("not_ready", params_.limits.stable_for - since);
        end({.verdict = core::VerdictKind::pass, .code = "ok", .text = now_});
    }

    /// Not yet: neutral until `ready_within` has run out.
    void again(std::string code, Usec pause) {
        const Usec left = context_.ready_within - elapsed();
        if (left <= Usec{0})
            return end(failed(std::move(code),
                              fmt::format("not stable within {}: {}", format_age(context_.ready_within), now_)));
        interval_ = std::min(interval_ * 2, kLongestInterval);
        after(std::min({pause, left, kLongestInterval}), [this] { look(1); });
    }

    void end(CheckOutcome outcome) {
        outcome.measured = static_cast<double>(restarts_);
        outcome.limit = static_cast<double>(params_.limits.max_restarts);
        outcome.unit = "restarts";
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    const ContainerParams& params_;
    Memory& memory_;
    Instant began_;
    std::string expected_image_;
    std::string start_, now_;
    std::uint64_t changes_{0}, restarts_{0};
    std::optional<Instant> stopped_;
    std::int64_t probes_{0};
    Usec interval_{kFirstInterval};
};

class Container final : public Check {
  public:
    explicit Container(ContainerParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<ContainerRun>(context, std::move(done), params_, memory_);
    }

  private:
    ContainerParams params_;
    mutable Memory memory_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    ContainerParams compiled{
        .container = text_param(params, "container"), .image_digest = {}, .limits = restart_limits(params)};
    if (has_param(params, "image_digest")) {
        MG_TRY(const Digest digest, with_context(parse_digest(text_param(params, "image_digest")), "image_digest"));
        compiled.image_digest = digest.text;
    }
    return std::make_unique<Container>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_container{
    .name = "container",
    .summary = "podman runs the container with the version's image, healthy, and did not restart it too often.",
    .params = kParams,
    .make = make,
    .needs_server = false,
};

}  // namespace modelguard::checks
