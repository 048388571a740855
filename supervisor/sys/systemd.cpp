#include "supervisor/sys/systemd.hpp"

#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "supervisor/sys/fd.hpp"

namespace modelguard::sys {

namespace {
constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnitPrefix = "/org/freedesktop/systemd1/unit";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";
constexpr const char* kDisconnectedPath = "/org/freedesktop/DBus/Local";
constexpr const char* kDisconnectedInterface = "org.freedesktop.DBus.Local";

using Bus = CPtr<sd_bus, sd_bus_close_unref>;
using Slot = CPtr<sd_bus_slot, sd_bus_slot_unref>;
using Message = CPtr<sd_bus_message, sd_bus_message_unref>;

Error bus_error(const sd_bus_error& error) {
    const std::string_view name = error.name == nullptr ? "" : error.name;
    const std::string text =
        std::string(error.message != nullptr ? error.message : "no text") + " (" + std::string(name) + ")";
    if (name.ends_with(".AccessDenied") || name.ends_with(".InteractiveAuthorizationRequired"))
        return {ErrorKind::denied, text, 0};
    if (name.ends_with(".NoSuchUnit") || name.ends_with(".LoadFailed") || name.ends_with(".UnitMasked"))
        return {ErrorKind::not_found, text, 0};
    return {ErrorKind::unavailable, text, 0};
}

/// The variant under the cursor, where it holds a basic value of this type; skipped otherwise.
template <class Value>
int read_variant(sd_bus_message* message, const char* type, Value& value) {
    const char* contents = nullptr;
    if (const int r = sd_bus_message_peek_type(message, nullptr, &contents); r < 0) return r;
    if (contents == nullptr || std::string_view(contents) != type) return sd_bus_message_skip(message, "v");
    if (const int r = sd_bus_message_enter_container(message, 'v', type); r < 0) return r;
    if (const int r = sd_bus_message_read_basic(message, type[0], static_cast<void*>(&value)); r < 0) return r;
    return sd_bus_message_exit_container(message);
}

int read_text(sd_bus_message* message, std::string& text) {
    const char* value = nullptr;
    const int r = read_variant(message, "s", value);
    if (value != nullptr) text = value;
    return r;
}

/// The job is (id, path), id 0 where there is none.
int read_job(sd_bus_message* message, bool& has_job) {
    if (const int r = sd_bus_message_enter_container(message, 'v', "(uo)"); r < 0) return r;
    std::uint32_t id = 0;
    const char* path = nullptr;
    if (const int r = sd_bus_message_read(message, "(uo)", &id, &path); r < 0) return r;
    has_job = id != 0;
    return sd_bus_message_exit_container(message);
}

int read_property(sd_bus_message* message, std::string_view name, UnitState& state) {
    if (name == "LoadState") return read_text(message, state.load_state);
    if (name == "ActiveState") return read_text(message, state.active_state);
    if (name == "SubState") return read_text(message, state.sub_state);
    if (name == "Result") return read_text(message, state.result);
    if (name == "NRestarts") return read_variant(message, "u", state.restarts);
    if (name == "ExecMainCode") return read_variant(message, "i", state.exit_code);
    if (name == "ExecMainStatus") return read_variant(message, "i", state.exit_status);
    if (name == "ActiveEnterTimestampMonotonic") return read_variant(message, "t", state.active_since_usec);
    if (name == "Job") return read_job(message, state.has_job);
    return sd_bus_message_skip(message, "v");
}

int read_properties(sd_bus_message* message, UnitState& state) {
    if (const int r = sd_bus_message_enter_container(message, 'a', "{sv}"); r < 0) return r;
    for (;;) {
        const int more = sd_bus_message_enter_container(message, 'e', "sv");
        if (more <= 0) return more;
        const char* name = nullptr;
        if (const int r = sd_bus_message_read_basic(message, 's', static_cast<void*>(&name)); r < 0) return r;
        if (const int r = read_property(message, name, state); r < 0) return r;
        if (const int r = sd_bus_message_exit_container(message); r < 0) return r;
    }
}
}  // namespace

struct Systemd::Impl {
    Loop& loop;
    std::function<void(Result<std::string>)> job_done;
    std::function<void(Result<UnitState>)> unit_read;
    std::string job_path;  // empty until the manager has answered
    Source timer;
    Source delivery;
    // Slots go before the bus: they hold it, and their callbacks point here.
    Bus bus;
    Slot removed, disconnected, subscribe, call;

    explicit Impl(Loop& l) : loop(l) {}

    // Out of sd-bus's own frames, since `done` may drop this object and the bus with it.
    template <class Value>
    void finish(std::function<void(Result<Value>)>& done, Result<Value> result) {
        if (delivery || !done) return;
        timer.reset();
        call.reset();
        delivery = loop.defer([this, &done, result = std::move(result)]() mutable {
            auto callback = std::exchange(done, nullptr);
            auto kept = std::move(result);
            delivery.reset();  // and with it `this` of the closure
            callback(std::move(kept));
        });
    }
    /// Whatever is under way ends with this error.
    void give_up(const Error& error) {
        finish<std::string>(job_done, std::unexpected(error));
        finish<UnitState>(unit_read, std::unexpected(error));
    }
    void give_up(int r, const char* what) { give_up({ErrorKind::unavailable, errno_error(what, -r).what, 0}); }

    static int on_job(sd_bus_message* message, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        const char* path = nullptr;
        if (const sd_bus_error* error = sd_bus_message_get_error(message))
            self.give_up(bus_error(*error));
        else if (sd_bus_message_read(message, "o", &path) < 0)
            self.give_up({ErrorKind::malformed_reply, "systemd answered without a job", 0});
        else
            self.job_path = path;
        return 0;
    }
    static int on_unit(sd_bus_message* message, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        UnitState state;
        if (const sd_bus_error* error = sd_bus_message_get_error(message))
            self.give_up(bus_error(*error));
        else if (read_properties(message, state) < 0 || state.load_state.empty() || state.active_state.empty())
            self.give_up({ErrorKind::malformed_reply, "systemd answered without the unit's state", 0});
        else
            self.finish<UnitState>(self.unit_read, std::move(state));
        return 0;
    }
    static int on_job_removed(sd_bus_message* message, void* userdata, sd_bus_error*) {
        auto& self = *static_cast<Impl*>(userdata);
        std::uint32_t id = 0;
        const char *path = nullptr, *unit = nullptr, *result = nullptr;
        if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0) return 0;
        if (!self.job_path.empty() && self.job_path == path)
            self.finish<std::string>(self.job_done, std::string(result));
        return 0;
    }
    static int on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) {
        static_cast<Impl*>(userdata)->give_up({ErrorKind::unavailable, "the system bus went away", 0});
        return 0;
    }
    // AlreadySubscribed is as good as done, and without any subscription systemd still tells who asked for the job.
    static int on_ignored(sd_bus_message*, void*, sd_bus_error*) { return 0; }

    int connect();
    int follow_jobs();
    int send(const Message& message, sd_bus_message_handler_t on_answer);
    int call_job(const std::string& method, const std::string& unit);
    int call_unit(const std::string& unit);
};

int Systemd::Impl::connect() {
    sd_bus* opened = nullptr;
    if (const int r = sd_bus_open_system(&opened); r < 0) return r;
    bus.reset(opened);
    if (const int r = sd_bus_attach_event(opened, loop.raw(), SD_EVENT_PRIORITY_NORMAL); r < 0) return r;
    sd_bus_slot* slot = nullptr;
    const int r = sd_bus_match_signal(opened, &slot, kDisconnectedInterface, kDisconnectedPath, kDisconnectedInterface,
                                      "Disconnected", on_disconnected, this);
    disconnected.reset(slot);
    return r;
}

int Systemd::Impl::follow_jobs() {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_match_signal_async(bus.get(), &slot, kManager, kManagerPath, kManagerInterface,
                                                "JobRemoved", on_job_removed, on_ignored, this);
        r < 0)
        return r;
    removed.reset(slot);
    const int r = sd_bus_call_method_async(bus.get(), &slot, kManager, kManagerPath, kManagerInterface, "Subscribe",
                                           on_ignored, this, "");
    if (r >= 0) subscribe.reset(slot);
    return r;
}

int Systemd::Impl::send(const Message& message, sd_bus_message_handler_t on_answer) {
    sd_bus_slot* slot = nullptr;
    // The deadline is ours: sd-bus's own would tell as much as a bus that goes away.
    const int r = sd_bus_call_async(bus.get(), &slot, message.get(), on_answer, this, UINT64_MAX);
    if (r >= 0) call.reset(slot);
    return r;
}

int Systemd::Impl::call_job(const std::string& method, const std::string& unit) {
    // The signal is asked for before the job: a job may be over at once.
    if (!removed)
        if (const int r = follow_jobs(); r < 0) return r;
    job_path.clear();
    sd_bus_message* raw = nullptr;
    if (const int r =
            sd_bus_message_new_method_call(bus.get(), &raw, kManager, kManagerPath, kManagerInterface, method.c_str());
        r < 0)
        return r;
    const Message message(raw);
    if (const int r = sd_bus_message_append(raw, "ss", unit.c_str(), "replace"); r < 0) return r;
    return send(message, on_job);
}

/// systemd loads the unit whose object is asked for, as it does for `systemctl show`.
int Systemd::Impl::call_unit(const std::string& unit) {
    char* encoded = nullptr;
    if (const int r = sd_bus_path_encode(kUnitPrefix, unit.c_str(), &encoded); r < 0) return r;
    const CPtr<char, std::free> path(encoded);
    sd_bus_message* raw = nullptr;
    if (const int r = sd_bus_message_new_method_call(bus.get(), &raw, kManager, path.get(), kProperties, "GetAll");
        r < 0)
        return r;
    const Message message(raw);
    // No interface: those of every unit and those of its type in one answer.
    if (const int r = sd_bus_message_append(raw, "s", ""); r < 0) return r;
    return send(message, on_unit);
}

Systemd::Systemd(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Systemd::~Systemd() = default;

Result<std::unique_ptr<Systemd>> Systemd::connect(Loop& loop) {
    auto impl = std::make_unique<Impl>(loop);
    if (const int r = impl->connect(); r < 0)
        return fail(ErrorKind::unsupported, errno_error("no system bus to reach systemd by", -r).what);
    return std::unique_ptr<Systemd>(new Systemd(std::move(impl)));
}

void Systemd::run_job(const std::string& method, const std::string& unit, Usec timeout,
                      std::function<void(Result<std::string>)> done) {
    MG_ASSERT(!impl_->job_done && !impl_->unit_read);
    impl_->job_done = std::move(done);
    impl_->timer = impl_->loop.add_timer(timeout, [impl = impl_.get(), timeout] {
        impl->give_up({ErrorKind::timed_out, "no end of the job within " + format_duration(timeout), 0});
    });
    if (const int r = impl_->call_job(method, unit); r < 0) impl_->give_up(r, "ask systemd");
}

void Systemd::read_unit(const std::string& unit, Usec timeout, std::function<void(Result<UnitState>)> done) {
    MG_ASSERT(!impl_->job_done && !impl_->unit_read);
    impl_->unit_read = std::move(done);
    impl_->timer = impl_->loop.add_timer(timeout, [impl = impl_.get(), timeout] {
        impl->give_up({ErrorKind::timed_out, "no answer of systemd within " + format_duration(timeout), 0});
    });
    if (const int r = impl_->call_unit(unit); r < 0) impl_->give_up(r, "ask systemd");
}

// Source: systemd.unit(5), "System Unit Search Path"; a masked unit is an empty file or a link to /dev/null.
bool has_unit_file(const Path& root, const char* name) {
    constexpr std::array kPlaces{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system",
                                 "usr/lib/systemd/system", "lib/systemd/system"};
    for (const char* place : kPlaces) {
        struct stat found{};
        if (::stat((root / place / name).c_str(), &found) == 0) return S_ISREG(found.st_mode) && found.st_size > 0;
    }
    return false;
}

}  // namespace modelguard::sys
