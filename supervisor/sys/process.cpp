#include "supervisor/sys/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <tuple>

#include "supervisor/base/text.hpp"
#include "supervisor/sys/child.hpp"

namespace modelguard::sys {

namespace {
constexpr Usec kPipeGrace = std::chrono::milliseconds(100);  // for what a grandchild may still be writing
constexpr Usec kKillGrace = std::chrono::seconds(2);  // a child stuck in the kernel is given up: a deadline must be one
constexpr int kReapWaitMs = 100;                      // a killed child is gone in well under a millisecond
constexpr std::size_t kReadChunk = 64u << 10;         // a pipe's capacity: one read empties it

struct Stream {
    Fd fd;
    Source source;
    std::string* into{nullptr};
};
}  // namespace

std::string ProcessEnd::describe() const {
    if (timed_out) return "no end within " + format_duration(timeout);
    if (signal != 0) return "killed by signal " + std::to_string(signal);
    return "exit status " + std::to_string(exit_status);
}

std::string ProcessEnd::why() const {
    constexpr std::size_t kMostBytes = 200;
    std::string_view said = output;
    while (!said.empty() && static_cast<unsigned char>(said.back()) <= ' ')
        said.remove_suffix(1);
    if (const auto newline = said.rfind('\n'); newline != std::string_view::npos) said.remove_prefix(newline + 1);
    const std::string line = one_line(said, kMostBytes);
    return describe() + (line.empty() ? "" : ": " + line);
}

// The child stays a zombie until finish() or the destructor reaps it: as long as it is one, its pid and its process
// group cannot belong to anybody else, so that killing the group hits only ours. (sd_event_add_child() would reap it
// first; hence the pidfd.)
struct Process::Impl {
    Loop& loop;
    Child child;
    std::function<void(ProcessEnd)> done;
    ProcessEnd end;
    std::size_t output_cap;
    std::array<Stream, 2> streams;
    Source exited;
    Source timer;  // the deadline, then one of the graces
    bool has_ended{false};

    Impl(Loop& l, Child c, std::function<void(ProcessEnd)> callback, const ProcessSpec& spec)
        : loop(l), child(std::move(c)), done(std::move(callback)), output_cap(spec.output_cap) {
        end.timeout = spec.timeout;
        watch(streams[0], std::move(child.output), end.output);
        if (spec.separate_stdout) watch(streams[1], std::move(child.error_output), end.error_output);
        exited = loop.add_io(child.pidfd.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); });
        timer = loop.add_timer(spec.timeout, [this] { on_deadline(); });
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        if (child.pid > 0) kill_and_reap();
    }

    void watch(Stream& stream, Fd fd, std::string& into) {
        stream.fd = std::move(fd);
        stream.into = &into;
        stream.source = loop.add_io(stream.fd.get(), EPOLLIN, [this, &stream](std::uint32_t) {
            read_some(stream);
            if (has_ended && all_read()) finish();
        });
    }

    bool all_read() const {
        return std::ranges::all_of(streams, [](const Stream& stream) { return !stream.fd; });
    }

    // One read a turn: a child that writes without end must not keep the loop from everybody else.
    bool read_some(Stream& stream) {
        std::array<char, kReadChunk> chunk;  // NOLINT: filled by read()
        const ssize_t count = ::read(stream.fd.get(), chunk.data(), chunk.size());
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) return false;
        if (count <= 0) {
            stream.source.reset();
            stream.fd.reset();
            return false;
        }
        const std::size_t room = output_cap - std::min(output_cap, stream.into->size());
        const std::size_t taken = std::min(room, static_cast<std::size_t>(count));
        stream.into->append(chunk.data(), taken);
        if (taken < static_cast<std::size_t>(count)) end.truncated = true;
        return true;
    }

    void on_exit() {
        siginfo_t info{};
        if (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED | WNOWAIT | WNOHANG) != 0 ||
            info.si_pid == 0)
            return;
        exited.reset();
        has_ended = true;
        if (info.si_code == CLD_EXITED)
            end.exit_status = info.si_status;
        else
            end.signal = info.si_status;
        // Usually everything is in the pipes already, then this is the end.
        for (Stream& stream : streams)
            if (stream.fd) read_some(stream);
        for (Stream& stream : streams)
            if (stream.fd) read_some(stream);
        if (all_read()) return finish();
        timer = loop.add_timer(kPipeGrace, [this] { finish(); });
    }

    void on_deadline() {
        end.timed_out = true;
        std::ignore = ::kill(-child.pid, SIGKILL);  // EPERM (it changed its user) is caught by the grace
        timer = loop.add_timer(kKillGrace, [this] {
            end.signal = SIGKILL;
            finish();
        });
    }

    void finish() {
        kill_and_reap();
        for (Stream& stream : streams) {
            stream.source.reset();
            stream.fd.reset();
        }
        exited.reset();
        timer.reset();
        const auto callback = std::move(done);
        callback(std::move(end));  // may drop us
    }

    void kill_and_reap() {
        std::ignore = ::kill(-child.pid, SIGKILL);  // ESRCH: all have ended, which is what we want
        pollfd ended{child.pidfd.get(), POLLIN, 0};
        std::ignore = ::poll(&ended, 1, kReapWaitMs);
        siginfo_t info{};
        const int r = ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED | WNOHANG);
        if (r == 0 && info.si_pid == 0) reap_later(loop, child.pid);
        child.pid = -1;
    }
};

Process::Process() = default;
Process::Process(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;
int Process::pid() const { return impl_ ? impl_->child.pid : -1; }

Result<Process> spawn(Loop& loop, ProcessSpec spec, std::function<void(ProcessEnd)> done) {
    MG_TRY(Child child, start_child(spec));
    return Process(std::make_unique<Process::Impl>(loop, std::move(child), std::move(done), spec));
}

}  // namespace modelguard::sys
