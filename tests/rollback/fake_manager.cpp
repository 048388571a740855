#include "tests/rollback/fake_manager.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace modelguard::rollback::test {

namespace {
constexpr const char* kManager = "org.freedesktop.systemd1";

std::string job_path(std::uint32_t id) { return "/org/freedesktop/systemd1/job/" + std::to_string(id); }
}  // namespace

FakeManager::FakeManager(sys::Loop& loop, const std::string& socket_path) : loop_(loop) {
    listener_ = sys::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(socket_path.size(), sizeof(address.sun_path));
    std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    listening_ = loop_.add_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

FakeManager::~FakeManager() = default;

void FakeManager::accept_one() {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ASSERT_GE(fd, 0);
    sd_bus* bus = nullptr;
    ASSERT_GE(sd_bus_new(&bus), 0);
    Bus owned(bus);
    ASSERT_GE(sd_bus_set_fd(bus, fd, fd), 0);
    sd_id128_t id{};
    id.bytes[0] = 1;
    ASSERT_GE(sd_bus_set_server(bus, 1, id), 0);
    ASSERT_GE(sd_bus_set_anonymous(bus, 1), 0);
    ASSERT_GE(sd_bus_add_filter(bus, nullptr, on_message, this), 0);
    ASSERT_GE(sd_bus_start(bus), 0);
    ASSERT_GE(sd_bus_attach_event(bus, loop_.raw(), 0), 0);
    connections_.push_back(std::move(owned));
}

int FakeManager::on_message(sd_bus_message* message, void* userdata, sd_bus_error*) {
    return static_cast<FakeManager*>(userdata)->answer(message);
}

int FakeManager::answer(sd_bus_message* message) {
    const char* member = sd_bus_message_get_member(message);
    if (member == nullptr || sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
    const std::string method = member;
    if (method == "Hello") return sd_bus_reply_method_return(message, "s", ":1.7") < 0 ? -EIO : 1;
    if (method == "Subscribe") subscribed_ = true;
    if (method.ends_with("Unit")) return answer_job(message, method);
    return sd_bus_reply_method_return(message, "") < 0 ? -EIO : 1;  // AddMatch, RemoveMatch, Subscribe
}

int FakeManager::answer_job(sd_bus_message* message, const std::string& method) {
    const char *unit = nullptr, *mode = nullptr;
    if (sd_bus_message_read(message, "ss", &unit, &mode) < 0) return -EINVAL;
    calls_.push_back(method + " " + unit + " " + mode);
    if (!error_name.empty()) return sd_bus_reply_method_errorf(message, error_name.c_str(), "it says no");
    const std::uint32_t id = next_job_++;
    sd_bus* bus = sd_bus_message_get_bus(message);
    if (sd_bus_reply_method_return(message, "o", job_path(id).c_str()) < 0) return -EIO;
    if (hangs_up) {
        sd_bus_flush(bus);
        hang_up_ = loop_.defer([this] { connections_.clear(); });
        return 1;
    }
    if (other_jobs_end_too) end_job(bus, 7, "other.service", "failed");
    if (!hangs) end_job(bus, id, unit, job_result);
    return 1;
}

void FakeManager::end_job(sd_bus* bus, std::uint32_t id, const std::string& unit, const std::string& result) {
    sd_bus_message* signal = nullptr;
    ASSERT_GE(sd_bus_message_new_signal(bus, &signal, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                        "JobRemoved"),
              0);
    const sys::CPtr<sd_bus_message, sd_bus_message_unref> owned(signal);
    ASSERT_GE(sd_bus_message_set_sender(signal, kManager), 0);
    ASSERT_GE(sd_bus_message_append(signal, "uoss", id, job_path(id).c_str(), unit.c_str(), result.c_str()), 0);
    ASSERT_GE(sd_bus_send(bus, signal, nullptr), 0);
}

}  // namespace modelguard::rollback::test
