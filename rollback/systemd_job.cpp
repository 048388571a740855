#include "rollback/systemd_job.hpp"

#include <systemd/sd-bus.h>

#include "supervisor/sys/fd.hpp"

namespace modelguard::rollback {

namespace {
constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";

using Bus = sys::CPtr<sd_bus, sd_bus_close_unref>;
using Slot = sys::CPtr<sd_bus_slot, sd_bus_slot_unref>;

Error bus_error(const sd_bus_error& error) {
    const std::string_view name = error.name == nullptr ? "" : error.name;
    const std::string text =
        std::string(error.message != nullptr ? error.message : "no text") + " (" + std::string(name) + ")";
    if (name.ends_with(".AccessDenied") || name.ends_with(".InteractiveAuthorizationRequired"))
        return {ErrorKind::denied, text, 0};
    if (name.ends_with(".NoSuchUnit") || name.ends_with(".LoadFailed") || name.ends_with(".UnitMasked"))
        return {ErrorKind::not_found, text, 0};
    if (name == SD_BUS_ERROR_NO_REPLY || name == SD_BUS_ERROR_TIMEOUT) return {ErrorKind::timed_out, text, 0};
    return {ErrorKind::unavailable, text, 0};
}
}  // namespace

struct SystemdJob::Impl {
    sys::Loop* loop{nullptr};
    std::function<void(Result<std::string>)> done;
    std::string job_path;  // empty until the manager has answered
    sys::Source timer;
    sys::Source delivery;
    // Slots go before the bus: they hold it, and their callbacks point here.
    Bus bus;
    Slot removed, disconnected, subscribe, call;

    // Out of sd-bus's own frames, since `done` may drop this object and the bus with it.
    void finish(Result<std::string> result) {
        if (delivery) return;
        timer.reset();
        delivery = loop->defer([this, result = std::move(result)]() mutable {
            auto callback = std::move(done);
            auto kept = std::move(result);
            callback(std::move(kept));
        });
    }
    static int on_answer(sd_bus_message* message, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        if (const sd_bus_error* error = sd_bus_message_get_error(message)) {
            self.finish(std::unexpected(bus_error(*error)));
            return 0;
        }
        const char* path = nullptr;
        if (sd_bus_message_read(message, "o", &path) < 0)
            self.finish(fail(ErrorKind::malformed_reply, "systemd answered without a job"));
        else
            self.job_path = path;
        return 0;
    }
    static int on_job_removed(sd_bus_message* message, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        std::uint32_t id = 0;
        const char *path = nullptr, *unit = nullptr, *result = nullptr;
        if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0) return 0;
        if (!self.job_path.empty() && self.job_path == path) self.finish(std::string(result));
        return 0;
    }
    static int on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        self.finish(fail(ErrorKind::unavailable, "the system bus went away"));
        return 0;
    }
    // AlreadySubscribed is as good as done, and without any subscription systemd still tells who asked for the job.
    static int on_ignored(sd_bus_message*, void*, sd_bus_error*) { return 0; }

    int start(const std::string& method, const std::string& unit, Usec timeout);
};

int SystemdJob::Impl::start(const std::string& method, const std::string& unit, Usec timeout) {
    sd_bus* opened = nullptr;
    if (const int r = sd_bus_open_system(&opened); r < 0) return r;
    bus.reset(opened);
    if (const int r = sd_bus_attach_event(opened, loop->raw(), SD_EVENT_PRIORITY_NORMAL); r < 0) return r;
    sd_bus_slot* slot = nullptr;
    // The signal is asked for before the job: a job may be over at once.
    if (const int r = sd_bus_match_signal_async(opened, &slot, kManager, kManagerPath, kManagerInterface, "JobRemoved",
                                                on_job_removed, on_ignored, this);
        r < 0)
        return r;
    removed.reset(slot);
    if (const int r = sd_bus_match_signal(opened, &slot, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                          "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, this);
        r < 0)
        return r;
    disconnected.reset(slot);
    if (const int r = sd_bus_call_method_async(opened, &slot, kManager, kManagerPath, kManagerInterface, "Subscribe",
                                               on_ignored, this, "");
        r < 0)
        return r;
    subscribe.reset(slot);
    sd_bus_message* raw_message = nullptr;
    if (const int r = sd_bus_message_new_method_call(opened, &raw_message, kManager, kManagerPath, kManagerInterface,
                                                     method.c_str());
        r < 0)
        return r;
    const sys::CPtr<sd_bus_message, sd_bus_message_unref> message(raw_message);
    if (const int r = sd_bus_message_append(raw_message, "ss", unit.c_str(), "replace"); r < 0) return r;
    if (const int r =
            sd_bus_call_async(opened, &slot, raw_message, on_answer, this, static_cast<std::uint64_t>(timeout.count()));
        r < 0)
        return r;
    call.reset(slot);
    timer = loop->add_timer(timeout, [this, timeout] {
        finish(fail(ErrorKind::timed_out, "no end of the job within " + format_duration(timeout)));
    });
    return 0;
}

SystemdJob::SystemdJob(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SystemdJob::SystemdJob(SystemdJob&&) noexcept = default;
SystemdJob& SystemdJob::operator=(SystemdJob&&) noexcept = default;
SystemdJob::~SystemdJob() = default;

Result<SystemdJob> start_systemd_job(sys::Loop& loop, const std::string& method, const std::string& unit, Usec timeout,
                                     std::function<void(Result<std::string>)> done) {
    auto impl = std::make_unique<SystemdJob::Impl>();
    impl->done = std::move(done);
    impl->loop = &loop;
    if (const int r = impl->start(method, unit, timeout); r < 0)
        return fail(ErrorKind::unsupported, errno_error("no system bus to reach systemd by", -r).what);
    return SystemdJob(std::move(impl));
}

}  // namespace modelguard::rollback
