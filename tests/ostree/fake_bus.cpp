#include "tests/ostree/fake_bus.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace modelguard::ostree_test {

namespace {
constexpr const char* kSocket = "/run/bus";
constexpr int kTurnMsec = 20;  // how soon the end is noticed
}  // namespace

FakeBus::FakeBus() {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/bus", 1);
    listener_ = sys::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, kSocket, sizeof(address.sun_path) - 1);
    ::unlink(kSocket);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener_.get(), 4) != 0)
        std::abort();
    thread_ = std::thread([this] { serve(); });
}

FakeBus::~FakeBus() {
    ended_ = true;
    thread_.join();
}

std::vector<std::string> FakeBus::take() {
    const std::lock_guard guard(mutex_);
    return std::exchange(calls_, {});
}

void FakeBus::serve() {
    while (!ended_) {
        pollfd waiting{.fd = listener_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&waiting, 1, kTurnMsec) <= 0) continue;
        const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) serve_one(fd);
    }
}

void FakeBus::serve_one(int fd) {
    sd_bus* bus = nullptr;
    sd_id128_t id{};
    id.bytes[0] = 1;
    if (sd_bus_new(&bus) < 0) std::abort();
    const sys::CPtr<sd_bus, sd_bus_close_unref> owned(bus);
    if (sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 || sd_bus_set_anonymous(bus, 1) < 0 ||
        sd_bus_add_filter(bus, nullptr, on_message, this) < 0 || sd_bus_start(bus) < 0)
        std::abort();
    while (!ended_) {
        const int done = sd_bus_process(bus, nullptr);
        if (done < 0) return;  // it has hung up
        if (done == 0) sd_bus_wait(bus, kTurnMsec * 1000U);
    }
}

int FakeBus::on_message(sd_bus_message* message, void* userdata, sd_bus_error*) {
    auto& self = *static_cast<FakeBus*>(userdata);
    if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
    const std::string_view method = sd_bus_message_get_member(message);
    const char* to = sd_bus_message_get_destination(message);
    if (method == "Hello") return sd_bus_reply_method_return(message, "s", ":1.7");
    if (method == "NameHasOwner") {
        const char* name = nullptr;
        if (sd_bus_message_read(message, "s", &name) < 0) return -EINVAL;
        const bool runs = std::ranges::find(self.running, name) != self.running.end();
        return sd_bus_reply_method_return(message, "b", runs ? 1 : 0);
    }
    {
        const std::lock_guard guard(self.mutex_);
        std::string call = std::string(to ? to : "") + " " + std::string(method);
        const char* text = nullptr;
        if (method == "StartUnit" && sd_bus_message_read(message, "s", &text) > 0) call += " " + std::string(text);
        self.calls_.push_back(std::move(call));
    }
    if (method == self.refused) return sd_bus_reply_method_errorf(message, "org.test.No", "it says no");
    if (method == "StartUnit") return sd_bus_reply_method_return(message, "o", "/org/freedesktop/systemd1/job/1");
    if (method != "ListInhibitors") return sd_bus_reply_method_return(message, "");
    sd_bus_message* reply = nullptr;
    if (sd_bus_message_new_method_return(message, &reply) < 0) return -EIO;
    const sys::CPtr<sd_bus_message, sd_bus_message_unref> owned(reply);
    int r = sd_bus_message_open_container(reply, 'a', "(ssssuu)");
    for (const Inhibitor& each : self.inhibitors)
        r |= sd_bus_message_append(reply, "(ssssuu)", each.what.c_str(), each.who.c_str(), each.why.c_str(),
                                   each.mode.c_str(), 0U, 42U);
    r |= sd_bus_message_close_container(reply);
    return r < 0 ? -EIO : sd_bus_send(nullptr, reply, nullptr);
}

}  // namespace modelguard::ostree_test
