#include "supervisor/sys/loop.hpp"

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include <cerrno>
#include <csignal>
#include <tuple>
#include <utility>
#include <variant>

#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::sys {

namespace {
constexpr std::uint64_t kTimerAccuracyUsec = 1'000;  // sd-event's default of 250 ms would blur every deadline

using Plain = std::function<void()>;
using WithEvents = std::function<void(std::uint32_t)>;
using WithStatus = std::function<void(int)>;
}  // namespace

struct Source::Impl {
    std::variant<Plain, WithEvents, WithStatus> callback;
    sd_event_source* source{nullptr};

    explicit Impl(std::variant<Plain, WithEvents, WithStatus> what) : callback(std::move(what)) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        sd_event_source_set_userdata(source, nullptr);  // tells a running invoke() that we are gone
        sd_event_source_disable_unref(source);
    }

    // The callback runs from the stack, because it may drop this very registration. A one-shot one is then spent, and
    // what it captured is released; the others are put back. noexcept: an exception that arrives here is a bug, and C
    // code lies between us and anybody who could handle it.
    template <class Function, class... Args>
    static void invoke(bool once, void* userdata, Args... args) noexcept {
        auto* self = static_cast<Impl*>(userdata);
        const CPtr<sd_event_source, sd_event_source_unref> source(sd_event_source_ref(self->source));
        Function function = std::move(std::get<Function>(self->callback));
        function(args...);
        if (!once && sd_event_source_get_userdata(source.get()) == self) self->callback = std::move(function);
    }
};

Source::Source() = default;
Source::Source(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Source::Source(Source&&) noexcept = default;
Source& Source::operator=(Source&&) noexcept = default;
Source::~Source() = default;
void Source::reset() { impl_.reset(); }

namespace {
int on_timer(sd_event_source*, std::uint64_t, void* userdata) {
    Source::Impl::invoke<Plain>(true, userdata);
    return 0;
}
int on_io(sd_event_source*, int, std::uint32_t events, void* userdata) {
    Source::Impl::invoke<WithEvents>(false, userdata, events);
    return 0;
}
int on_child(sd_event_source*, const siginfo_t* info, void* userdata) {
    // sd-event speaks siginfo, everybody else waitpid(): put the status together as wait(2) lays it out.
    constexpr int kCoreFlag = 0x80;
    int status = info->si_status;
    if (info->si_code == CLD_EXITED) status = (info->si_status & 0xff) << 8;
    if (info->si_code == CLD_DUMPED) status = info->si_status | kCoreFlag;
    Source::Impl::invoke<WithStatus>(true, userdata, status);
    return 0;
}
int on_signal(sd_event_source*, const signalfd_siginfo*, void* userdata) {
    Source::Impl::invoke<Plain>(false, userdata);
    return 0;
}
int on_defer(sd_event_source*, void* userdata) {
    Source::Impl::invoke<Plain>(true, userdata);
    return 0;
}

bool block_signal(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0;
}
}  // namespace

Result<std::unique_ptr<Loop>> Loop::create() {
    if (!block_signal(SIGCHLD)) return fail_errno("block SIGCHLD", errno);
    sd_event* event = nullptr;
    if (const int r = sd_event_new(&event); r < 0) return fail_errno("make the event loop", -r);
    return std::unique_ptr<Loop>(new Loop(event));
}

Loop::~Loop() { sd_event_unref(event_); }

Result<int> Loop::run() {
    const int r = sd_event_loop(event_);
    if (r < 0) return fail_errno("run the event loop", -r);
    return r;
}

void Loop::exit(int code) { MG_ASSERT(sd_event_exit(event_, code) >= 0); }

Result<bool> Loop::run_once(Usec timeout) {
    const auto wait_usec = static_cast<std::uint64_t>(timeout.count() < 0 ? 0 : timeout.count());
    const int r = sd_event_run(event_, wait_usec);
    if (r < 0) return fail_errno("run the event loop", -r);
    return r > 0;
}

// Registering fails only for lack of memory or by a mistake of ours (a closed descriptor, a pid that is no child): the
// callers could do nothing about either, so these assert instead of returning a Result.

Source Loop::add_timer(Usec delay, std::function<void()> callback) {
    // From the real now: sd_event_add_time_relative() counts from the start of this turn, which may be long past.
    const std::int64_t due = boottime_now().boottime_usec + (delay.count() < 0 ? 0 : delay.count());
    auto impl = std::make_unique<Source::Impl>(std::move(callback));
    MG_ASSERT(sd_event_add_time(event_, &impl->source, CLOCK_BOOTTIME, static_cast<std::uint64_t>(due),
                                kTimerAccuracyUsec, on_timer, impl.get()) >= 0);
    return Source(std::move(impl));
}

Source Loop::add_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
    auto impl = std::make_unique<Source::Impl>(std::move(callback));
    MG_ASSERT(sd_event_add_io(event_, &impl->source, fd, events, on_io, impl.get()) >= 0);
    return Source(std::move(impl));
}

void Loop::set_io_events(Source& source, std::uint32_t events) {
    MG_ASSERT(source.impl_ && sd_event_source_set_io_events(source.impl_->source, events) >= 0);
}

Source Loop::add_child(pid_t pid, std::function<void(int status)> callback) {
    auto impl = std::make_unique<Source::Impl>(std::move(callback));
    MG_ASSERT(sd_event_add_child(event_, &impl->source, pid, WEXITED, on_child, impl.get()) >= 0);
    return Source(std::move(impl));
}

Source Loop::add_signal(int signal, std::function<void()> callback) {
    MG_ASSERT(block_signal(signal));
    auto impl = std::make_unique<Source::Impl>(std::move(callback));
    MG_ASSERT(sd_event_add_signal(event_, &impl->source, signal, on_signal, impl.get()) >= 0);
    return Source(std::move(impl));
}

Source Loop::defer(std::function<void()> callback) {
    auto impl = std::make_unique<Source::Impl>(std::move(callback));
    MG_ASSERT(sd_event_add_defer(event_, &impl->source, on_defer, impl.get()) >= 0);
    return Source(std::move(impl));
}

void Loop::notify(const std::string& assignments) {
    std::ignore = sd_notify(0, assignments.c_str());  // the service manager may be gone; our work goes on without it
}

void Loop::enable_watchdog() {
    std::ignore = sd_event_set_watchdog(event_, 1);  // no WATCHDOG_USEC: nobody watches, nothing to do
}

}  // namespace modelguard::sys
