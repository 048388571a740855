#include "rollback/os_helper/bus.hpp"

#include <systemd/sd-bus.h>

#include <string_view>

#include "supervisor/base/text.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::rollback::os_helper {

namespace {
using Bus = sys::CPtr<sd_bus, sd_bus_flush_close_unref>;
using Message = sys::CPtr<sd_bus_message, sd_bus_message_unref>;

constexpr std::uint64_t kAnswerUsec = 60'000'000;  // rpm-ostreed answers when its transaction lets it

struct Service {
    const char* name;
    const char* path;
    const char* interface;
};
constexpr Service kBusItself{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"};
constexpr Service kRpmOstree{"org.projectatomic.rpmostree1", "/org/projectatomic/rpmostree1/Sysroot",
                             "org.projectatomic.rpmostree1.Sysroot"};
constexpr Service kLogind{"org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"};
constexpr Service kSystemd{"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"};

struct BusError {
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&raw); }
    std::unexpected<Error> as_error(const std::string& what, int r) const {
        return fail(ErrorKind::unavailable, what + ": " +
                                                one_line(raw.message ? std::string(raw.message) + " (" + raw.name + ")"
                                                                     : errno_error("", -r).what) +
                                                "; expected an answer; next: journalctl -b");
    }
    sd_bus_error raw{};
};

template <class... Arguments>
Result<Message> call(sd_bus* bus, const Service& service, const char* method, const char* types, Arguments... values) {
    const std::string what = std::string(service.name) + " " + method;
    sd_bus_message* request = nullptr;
    int r = sd_bus_message_new_method_call(bus, &request, service.name, service.path, service.interface, method);
    const Message owned(request);
    if (r >= 0) r = sd_bus_message_append(request, types, values...);
    BusError error;
    sd_bus_message* reply = nullptr;
    if (r >= 0) r = sd_bus_call(bus, request, kAnswerUsec, &error.raw, &reply);
    if (r < 0) return error.as_error(what, r);
    return Message(reply);
}

Result<Bus> open_bus() {
    sd_bus* raw = nullptr;
    if (const int r = sd_bus_open_system(&raw); r < 0)
        return fail(ErrorKind::unavailable,
                    errno_error("the system bus", -r).what + "; expected to reach it; next: systemctl status dbus");
    return Bus(raw);
}

Result<bool> runs(sd_bus* bus, const Service& service) {
    MG_TRY(const Message reply, call(bus, kBusItself, "NameHasOwner", "s", service.name));
    int owned = 0;
    if (const int r = sd_bus_message_read(reply.get(), "b", &owned); r < 0)
        return fail_errno("read the answer of the bus", -r);
    return owned != 0;
}

/// "handle-lid-switch:shutdown"
bool names_shutdown(std::string_view what) {
    for (std::size_t at = 0; at <= what.size();) {
        const std::size_t end = std::min(what.find(':', at), what.size());
        if (what.substr(at, end - at) == "shutdown") return true;
        at = end + 1;
    }
    return false;
}
}  // namespace

Result<void> reload_rpm_ostreed() {
    const Result<Bus> bus = open_bus();
    if (!bus) return {};  // without a bus there is no rpm-ostreed either
    MG_TRY(const bool running, runs(bus->get(), kRpmOstree));
    if (!running) return {};
    MG_CHECK(call(bus->get(), kRpmOstree, "Reload", ""));
    return {};
}

Result<std::string> shutdown_inhibitor() {
    MG_TRY(const Bus bus, open_bus());
    MG_TRY(const bool running, runs(bus.get(), kLogind));
    if (!running) return std::string();
    MG_TRY(const Message reply, call(bus.get(), kLogind, "ListInhibitors", ""));
    int r = sd_bus_message_enter_container(reply.get(), 'a', "(ssssuu)");
    const char *what = nullptr, *who = nullptr, *why = nullptr, *mode = nullptr;
    std::uint32_t uid = 0, pid = 0;
    while (r >= 0 && (r = sd_bus_message_read(reply.get(), "(ssssuu)", &what, &who, &why, &mode, &uid, &pid)) > 0) {
        if (std::string_view(mode) == "block" && names_shutdown(what))
            return printable_name(who) + " (pid " + std::to_string(pid) + "): " + plain_line(why);
    }
    if (r < 0) return fail(ErrorKind::malformed_reply, "logind's list of inhibitors cannot be read");
    return std::string();
}

Result<void> request_reboot() {
    MG_TRY(const Bus bus, open_bus());
    MG_TRY(const bool has_logind, runs(bus.get(), kLogind));
    // Never systemd's own Manager.Reboot: that one stops no service.
    if (has_logind)
        MG_CHECK(call(bus.get(), kLogind, "Reboot", "b", 0));
    else
        MG_CHECK(call(bus.get(), kSystemd, "StartUnit", "ss", "reboot.target", "replace-irreversibly"));
    return {};
}

}  // namespace modelguard::rollback::os_helper
