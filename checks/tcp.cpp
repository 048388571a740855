// `tcp`: something accepts connections at an address.

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "checks/run.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_tcp;

namespace {

constexpr std::array kParams{
    ParamSpec{.name = "address", .required = true, .help = "host:port, as in 127.0.0.1:8001 or [::1]:8001."},
    ParamSpec{.name = "timeout",
              .type = ParamType::duration,
              .unit = "seconds",
              .default_text = "5s",
              .help = "Until then it must have been accepted; refused connections are tried again meanwhile.",
              .minimum = 0.01,
              .maximum = 3600},
};
constexpr Usec kPause = std::chrono::milliseconds(100);

struct TcpParams {
    std::string address, host, port;
    Usec timeout{0};
};

struct FreeAddresses {
    void operator()(addrinfo* found) const { ::freeaddrinfo(found); }
};

class TcpRun final : public Run {
  public:
    TcpRun(const CheckContext& context, Done done, const TcpParams& params)
        : Run(context, std::move(done)), params_(params), began_(sys::boottime_now()) {
        deadline_ = context_.loop.add_timer(params_.timeout, [this] {
            end(failed("timed_out", fmt::format("{} did not accept a connection within {}{}", params_.address,
                                                format_age(params_.timeout), last_)));
        });
        attempt();
    }

  private:
    void attempt() {
        io_.reset();
        // Numbers only, or localhost: looking a name up blocks, and is what the check `dns` asks about.
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_NUMERICSERV | (params_.host == "localhost" ? 0 : AI_NUMERICHOST);
        addrinfo* found = nullptr;
        const int code = ::getaddrinfo(params_.host.c_str(), params_.port.c_str(), &hints, &found);
        if (code != 0) return end(inconclusive("not_asked", params_.address + ": " + ::gai_strerror(code)));
        const std::unique_ptr<addrinfo, FreeAddresses> owner(found);
        ++probes_;
        socket_ = sys::Fd(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!socket_) return end(inconclusive("not_asked", fmt::format("socket: {}", std::strerror(errno))));
        if (::connect(socket_.get(), found->ai_addr, found->ai_addrlen) == 0) return accepted();
        if (errno != EINPROGRESS) return refused(errno);
        io_ = context_.loop.add_io(socket_.get(), EPOLLOUT, [this](std::uint32_t) {
            int error = 0;
            socklen_t size = sizeof error;
            if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
            error == 0 ? accepted() : refused(error);
        });
    }

    void refused(int error) {
        io_.reset();
        last_ = fmt::format(": {}", std::strerror(error));
        after(kPause, [this] { attempt(); });
    }

    void accepted() {
        end({.verdict = core::VerdictKind::pass,
             .code = "ok",
             .text = fmt::format("{} accepted a connection after {}", params_.address,
                                 format_age(sys::boottime_now() - began_))});
    }

    void end(CheckOutcome outcome) {
        deadline_.reset();
        io_.reset();
        outcome.measured = std::chrono::duration<double>(sys::boottime_now() - began_).count();
        outcome.limit = std::chrono::duration<double>(params_.timeout).count();
        outcome.unit = "s";
        outcome.probes = probes_;
        finish(std::move(outcome));
    }

    const TcpParams& params_;
    Instant began_;
    std::string last_;
    std::int64_t probes_{0};
    sys::Fd socket_;
    sys::Source io_, deadline_;
};

class Tcp final : public Check {
  public:
    explicit Tcp(TcpParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<TcpRun>(context, std::move(done), params_);
    }

  private:
    TcpParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    TcpParams compiled{.address = text_param(params, "address"), .host = {}, .port = {}};
    compiled.timeout = duration_param(params, "timeout");
    const auto colon = compiled.address.rfind(':');
    if (colon != std::string::npos) {
        compiled.host = compiled.address.substr(0, colon);
        compiled.port = compiled.address.substr(colon + 1);
        if (compiled.host.starts_with('[') && compiled.host.ends_with(']'))
            compiled.host = compiled.host.substr(1, compiled.host.size() - 2);
    }
    int port = 0;
    const auto [end, error] = std::from_chars(compiled.port.data(), compiled.port.data() + compiled.port.size(), port);
    const bool number = error == std::errc{} && end == compiled.port.data() + compiled.port.size();
    if (compiled.host.empty() || !number || port < 1 || port > 65535)
        return fail(ErrorKind::invalid_config,
                    fmt::format("address: found '{}'; expected host:port, as in 127.0.0.1:8001", compiled.address));
    return std::make_unique<Tcp>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_tcp{
    .name = "tcp",
    .summary = "Something accepts connections at an address.",
    .params = kParams,
    .make = make,
    .needs_server = false,
    .late = true,
};

}  // namespace modelguard::checks
