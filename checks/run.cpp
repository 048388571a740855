#include "checks/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace modelguard::checks {
namespace {

/// A reload takes some 100 ms where it is not seamless; three attempts span half a second.
constexpr Usec kFirstPause = std::chrono::milliseconds(100);
constexpr int kPauseGrowth = 4;
constexpr std::size_t kMaxKeyBytes = 8u << 10;  // some tokens are signed documents of a few KiB

/// Whether an error of the client says something about the server; the rest is ours (no memory, a wrong URL).
bool is_about_server(ErrorKind kind) {
    return kind == ErrorKind::unavailable || kind == ErrorKind::timed_out || kind == ErrorKind::malformed_reply;
}

std::uint64_t random_start() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

/// One line of visible characters, what is around it aside.
Result<std::string> read_key(const sys::Path& file) {
    MG_TRY(std::string text, sys::read_file(file, kMaxKeyBytes));
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    if (text.empty() || std::ranges::any_of(text, [](char c) { return c <= ' ' || c > '~'; }))
        return fail(ErrorKind::invalid_config, file.string() + ": expected the key alone, as one line without blanks");
    return text;
}

/// Of the whole process: asking for randomness traps in a virtual machine and costs as much as a probe.
std::uint64_t g_unique = random_start();

}  // namespace

CheckOutcome inconclusive(std::string code, std::string text) {
    return {.verdict = core::VerdictKind::inconclusive, .code = std::move(code), .text = std::move(text)};
}

CheckOutcome failed(std::string code, std::string text) {
    return {.verdict = core::VerdictKind::fail, .code = std::move(code), .text = std::move(text)};
}

Run::Run(const CheckContext& context, Done done) : context_(context), done_(std::move(done)) {}

std::uint64_t Run::next_unique() { return g_unique++; }

void Run::finish(CheckOutcome outcome) {
    if (finished()) return;
    outcome_ = std::move(outcome);
    pause_.reset();
    ending_ = context_.loop.defer([this] {
        // The owner may drop this run inside of `done`: nothing of ours is touched after it.
        const Done done = std::move(done_);
        done(std::move(outcome_));
    });
}

void Run::after(Usec delay, std::function<void()> next) {
    if (finished()) return;
    pause_ = context_.loop.add_timer(delay, std::move(next));
}

void Run::exchange(sys::HttpRequest request, std::function<void(const Result<sys::HttpReply>&)> next) {
    if (finished()) return;
    transfer_ = context_.http.send(std::move(request), [this, next = std::move(next)](Result<sys::HttpReply> reply) {
        if (finished()) return;
        if (!reply && !is_about_server(reply.error().kind))
            return finish(inconclusive("not_asked", "the request could not be made: " + reply.error().what));
        next(reply);
    });
}

void Run::tell_probe(const ProbeTold& probe) const {
    if (context_.on_probe) context_.on_probe(probe);
}

void Run::tell_inference(const InferAnswer& answer, const Result<sys::HttpReply>& reply) const {
    tell_probe({.outcome = answer.outcome,
                .took = reply ? std::optional(reply->total) : std::nullopt,
                .streamed = answer.streamed});
}

void Run::ask_model(sys::HttpRequest request, std::function<void(const Result<sys::HttpReply>&)> next) {
    if (!context_.key_file.empty()) {
        if (authorization_.empty()) {
            auto key = read_key(context_.key_file);
            if (!key) return finish(inconclusive("no_key", "the model server's key: " + key.error().what));
            authorization_ = "Authorization: Bearer " + *key;
        }
        request.headers.push_back(authorization_);
    }
    exchange(std::move(request), std::move(next));
}

InferRun::InferRun(const CheckContext& context, Done done, const InferParams& params)
    : Run(context, std::move(done)), params_(params) {}

void InferRun::load_items() {
    auto loaded = load_canary_set(context_.version_dir, params_.canary);
    if (!loaded) return finish(inconclusive("no_canary_set", loaded.error().what));
    items_ = std::move(*loaded);
}

std::string InferRun::item_where(const CanaryItem& item) const {
    return fmt::format("item {} ({}:{})", item.id, params_.canary, item.line);
}

void InferRun::probe(const CanaryItem& item, Usec timeout, std::function<void(const Probe&)> next) {
    item_ = &item;
    timeout_ = timeout;
    next_ = std::move(next);
    attempts_ = 0;
    attempt();
}

void InferRun::attempt() {
    auto request = context_.target.protocol->infer_request(context_.target, *item_, params_.shape, next_unique());
    if (!request)
        return finish(
            inconclusive("no_canary_set", fmt::format("{}:{}: {}", params_.canary, item_->line, request.error().what)));
    request->timeout = timeout_;
    ++attempts_;
    ++probes_;
    ask_model(std::move(*request), [this](const Result<sys::HttpReply>& reply) { on_reply(reply); });
}

void InferRun::on_reply(const Result<sys::HttpReply>& reply) {
    Probe probe{.answer = context_.target.protocol->read_infer(context_.target, params_.shape, reply),
                .took = reply ? reply->total : timeout_,
                .timed_out = !reply && reply.error().kind == ErrorKind::timed_out};
    tell_inference(probe.answer, reply);
    switch (probe.answer.outcome) {
        case Outcome::ok:
        case Outcome::broken:
        case Outcome::wrong_version: {
            const auto next = std::move(next_);
            return next(probe);
        }
        case Outcome::loading:
        case Outcome::missing:
        case Outcome::unreachable: break;
    }
    if (attempts_ >= kAttempts) {
        CheckOutcome outcome =
            inconclusive(std::string(to_word(probe.answer.outcome)),
                         fmt::format("{} at {}, {} attempts in a row: {}", to_word(probe.answer.outcome),
                                     item_where(*item_), attempts_, probe.answer.detail));
        outcome.probes = probes_;
        return finish(std::move(outcome));
    }
    Usec pause = kFirstPause;
    for (int i = 1; i < attempts_; ++i)
        pause *= kPauseGrowth;
    after(pause, [this] { attempt(); });
}

}  // namespace modelguard::checks
