#pragma once
// The one event loop of the daemon (sd-event). Registrations are move-only objects; dropping one cancels it.
// Callbacks run on the loop's thread, never inside the call that registers them. A callback may drop any registration,
// its own too. Not for threads: there are none.

#include <sys/epoll.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "supervisor/base/result.hpp"
#include "supervisor/base/time.hpp"

struct sd_event;

namespace modelguard::sys {

/// A registration; dropping it cancels.
class Source {
  public:
    struct Impl;
    Source();
    explicit Source(std::unique_ptr<Impl> impl);
    Source(Source&&) noexcept;
    Source& operator=(Source&&) noexcept;
    ~Source();
    void reset();
    explicit operator bool() const { return impl_ != nullptr; }

  private:
    friend class Loop;
    std::unique_ptr<Impl> impl_;
};

class Loop {
  public:
    /// Makes the loop and blocks SIGCHLD in this thread (sd_event_add_child needs that; spawn() unblocks it in
    /// children).
    static Result<std::unique_ptr<Loop>> create();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Runs until exit(); returns its code. Blocks.
    Result<int> run();
    void exit(int code);
    /// One turn, waiting at most `timeout`; true if something was dispatched. For tests and benches.
    Result<bool> run_once(Usec timeout);

    /// Once, `delay` from now on CLOCK_BOOTTIME (accuracy 1 ms).
    Source add_timer(Usec delay, std::function<void()> callback);
    /// `events` as epoll's (EPOLLIN …), level-triggered; the callback gets what happened.
    Source add_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback);
    /// Changes what an io registration waits for.
    void set_io_events(Source& source, std::uint32_t events);
    /// Once, when the child ends: `status` as waitpid() gives it.
    Source add_child(pid_t pid, std::function<void(int status)> callback);
    /// Blocks the signal and delivers it here.
    Source add_signal(int signal, std::function<void()> callback);
    /// Once, on the next turn.
    Source defer(std::function<void()> callback);

    /// READY, STATUS and WATCHDOG to the service manager; without one (no NOTIFY_SOCKET) they do nothing.
    void notify(const std::string& assignments);
    void enable_watchdog();

    sd_event* raw() { return event_; }

  private:
    explicit Loop(sd_event* event) : event_(event) {}
    sd_event* event_;
};

}  // namespace modelguard::sys
