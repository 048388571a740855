#include "tests/sys/fake_systemd.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace modelguard::sys::test {

namespace {
constexpr const char* kManager = "org.freedesktop.systemd1";

std::string job_path(std::uint32_t id) { return "/org/freedesktop/systemd1/job/" + std::to_string(id); }
}  // namespace

FakeSystemd::FakeSystemd(Loop& loop, const std::string& socket_path) : loop_(loop) {
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(socket_path.size(), sizeof(address.sun_path));
    std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    listening_ = loop_.add_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

FakeSystemd::~FakeSystemd() = default;

void FakeSystemd::accept_one() {
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

int FakeSystemd::on_message(sd_bus_message* message, void* userdata, sd_bus_error*) {
    return static_cast<FakeSystemd*>(userdata)->answer(message);
}

int FakeSystemd::answer(sd_bus_message* message) {
    const char* member = sd_bus_message_get_member(message);
    if (member == nullptr || sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
    const std::string method = member;
    if (method == "Hello") return sd_bus_reply_method_return(message, "s", ":1.7") < 0 ? -EIO : 1;
    if (method == "Subscribe") subscribed_ = true;
    if (method == "GetAll") return answer_unit(message);
    if (method.ends_with("Unit")) return answer_job(message, method);
    return sd_bus_reply_method_return(message, "") < 0 ? -EIO : 1;  // AddMatch, RemoveMatch, Subscribe
}

int FakeSystemd::answer_unit(sd_bus_message* message) {
    read_.emplace_back(sd_bus_message_get_path(message));
    if (hangs) return 1;
    if (hangs_up) {
        hang_up_ = loop_.defer([this] { connections_.clear(); });
        return 1;
    }
    if (!error_name.empty()) return sd_bus_reply_method_errorf(message, error_name.c_str(), "it says no");
    sd_bus_message* raw = nullptr;
    if (sd_bus_message_new_method_return(message, &raw) < 0) return -EIO;
    const CPtr<sd_bus_message, sd_bus_message_unref> reply(raw);
    if (unit_states.empty())
        return sd_bus_message_append(raw, "a{sv}", 0) < 0 ? -EIO : sd_bus_send(nullptr, raw, nullptr);
    const UnitState unit = unit_states.front();
    if (unit_states.size() > 1) unit_states.erase(unit_states.begin());
    // Among others that nobody asked for, as systemd has them: lists, structures, nested variants.
    const std::uint32_t job = unit.has_job ? 7 : 0;
    int r = sd_bus_message_open_container(raw, 'a', "{sv}");
    r |= sd_bus_message_append(raw, "{sv}", "Names", "as", 2, "digits.service", "other.service");
    r |= sd_bus_message_append(raw, "{sv}", "LoadState", "s", unit.load_state.c_str());
    r |= sd_bus_message_append(raw, "{sv}", "ActiveState", "s", unit.active_state.c_str());
    r |= sd_bus_message_append(raw, "{sv}", "SubState", "s", unit.sub_state.c_str());
    r |= sd_bus_message_append(raw, "{sv}", "Job", "(uo)", job, job_path(job).c_str());
    r |= sd_bus_message_append(raw, "{sv}", "ActiveEnterTimestampMonotonic", "t", unit.active_since_usec);
    if (unit.restarts != UINT32_MAX) {
        r |= sd_bus_message_append(raw, "{sv}", "Result", "s", unit.result.c_str());
        r |= sd_bus_message_append(raw, "{sv}", "NRestarts", "u", unit.restarts);
        r |= sd_bus_message_append(raw, "{sv}", "ExecMainCode", "i", unit.exit_code);
        r |= sd_bus_message_append(raw, "{sv}", "ExecMainStatus", "i", unit.exit_status);
    }
    r |= sd_bus_message_close_container(raw);
    return r < 0 ? -EIO : sd_bus_send(nullptr, raw, nullptr);
}

int FakeSystemd::answer_job(sd_bus_message* message, const std::string& method) {
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

void FakeSystemd::end_job(sd_bus* bus, std::uint32_t id, const std::string& unit, const std::string& result) {
    sd_bus_message* signal = nullptr;
    ASSERT_GE(sd_bus_message_new_signal(bus, &signal, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                        "JobRemoved"),
              0);
    const CPtr<sd_bus_message, sd_bus_message_unref> owned(signal);
    ASSERT_GE(sd_bus_message_set_sender(signal, kManager), 0);
    ASSERT_GE(sd_bus_message_append(signal, "uoss", id, job_path(id).c_str(), unit.c_str(), result.c_str()), 0);
    ASSERT_GE(sd_bus_send(bus, signal, nullptr), 0);
}

}  // namespace modelguard::sys::test
