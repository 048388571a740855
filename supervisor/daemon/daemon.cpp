#include "supervisor/daemon/daemon.hpp"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "supervisor/daemon/announce.hpp"
#include "supervisor/daemon/boot_gate.hpp"
#include "supervisor/daemon/commands.hpp"
#include "supervisor/daemon/config_files.hpp"
#include "supervisor/daemon/garbage.hpp"
#include "supervisor/daemon/metrics_file.hpp"
#include "supervisor/daemon/rebuild.hpp"
#include "supervisor/daemon/scrub.hpp"
#include "supervisor/daemon/service.hpp"
#include "supervisor/store/reserve.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/journal.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::daemon {

namespace {

constexpr unsigned kReaders = 64;                         // connections of api.sock
constexpr unsigned kChangers = 16;                        // of control.sock, so that readers cannot starve a rollback
constexpr Usec kReserveRetry = std::chrono::seconds(30);  // only while there is no space
constexpr Usec kPredecessorGone = std::chrono::seconds(3);
constexpr Usec kSocketRetry = std::chrono::milliseconds(20);
constexpr Usec kBackupDelay = std::chrono::milliseconds(100);
constexpr Usec kGarbageDelay = std::chrono::seconds(1);  // after the last decision: the way back needs the disk first
constexpr const char* kBootComplete = "boot-complete.target";
constexpr Usec kAskSystemd = std::chrono::seconds(5);
constexpr mode_t kReadMode = 0666;
constexpr mode_t kControlMode = 0660;

store::Places system_places() {
    return {.state = "/var/lib/modelguard", .runtime = "/run/modelguard", .config = "/etc/modelguard", .rooted = false};
}

Result<std::unique_ptr<rollback::OsBackend>> make_os_backend(sys::Loop& loop, const std::string& wanted,
                                                             std::string& name) {
    const rollback::OsBackendKind* chosen = nullptr;
    for (const rollback::OsBackendKind* kind : rollback::os_backends()) {
        if (wanted.empty() ? kind->is_present() : kind->name == wanted) {
            chosen = kind;
            break;
        }
    }
    if (!chosen)
        return fail(ErrorKind::invalid_config, "no OS backend '" + wanted + "'; `modelguardd --kinds` lists them");
    name = chosen->name;
    return chosen->make(loop);
}

/// The listening socket that the service manager handed over under this name, if any.
sys::Fd handed_over(const std::string& name) {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(0, &names);
    sys::Fd found;
    for (int i = 0; i < count; ++i) {
        if (!found && name == names[i]) found = sys::Fd(SD_LISTEN_FDS_START + i);
        std::free(names[i]);
    }
    std::free(names);
    return found;
}

class Daemon {
  public:
    static Result<int> run(const DaemonOptions& options);

  private:
    Result<void> start(const DaemonOptions& options);
    Result<void> listen(const char* name, unsigned mode, bool control, unsigned connections,
                        std::unique_ptr<HttpServer>& server);
    void leave_out_applied(ManifestFiles& files) const;
    void load_manifests(ManifestFiles files, bool first);
    void look_at_boot(std::function<void(bool complete)> seen);
    void remove_orphans(const store::Loaded& loaded);
    Result<void> has_room(const std::string& model, std::uint64_t announced_bytes);
    bool give_up_reserve();
    Result<void> hold_reserve();
    void open_sockets(Instant give_up);
    void backup_soon();
    void tidy_soon();
    void write_backup();
    void write_metrics();
    void tell_service_manager();
    void note(const std::string& text);

    store::Places places_;
    store::ImportLimits limits_;
    DeviceFacts facts_;
    DeviceConfig device_;
    std::unique_ptr<sys::Loop> loop_;
    std::unique_ptr<sys::HttpClient> http_;
    std::unique_ptr<store::VersionStore> versions_;
    std::unique_ptr<store::Ledger> ledger_;
    std::unique_ptr<rollback::OsBackend> os_;
    std::unique_ptr<Commands> commands_;
    std::unique_ptr<Runner> runner_;
    std::unique_ptr<BootGate> gate_;
    std::unique_ptr<Service> service_;
    std::unique_ptr<Scrub> scrub_;
    std::unique_ptr<MetricsFile> metrics_file_;
    std::unique_ptr<HttpServer> reading_, changing_;
    std::vector<sys::Source> signals_;
    sys::Source backup_timer_;
    std::optional<store::Reserve> reserve_;
    sys::Source reserve_timer_;
    sys::Source sockets_timer_;
    sys::Source garbage_timer_;
    std::unique_ptr<sys::Systemd> systemd_;  // only while it is asked about this boot
    sys::Source boot_seen_;
    std::uint64_t backups_{0};
    std::size_t lasting_notes_{0};  ///< notes from before the manifests were read, which a reload keeps
    Result<void> started_;
};

Result<int> Daemon::run(const DaemonOptions& options) {
    Daemon daemon;
    MG_CHECK(daemon.start(options));
    MG_TRY(const int code, daemon.loop_->run());
    if (!daemon.started_) return std::unexpected(daemon.started_.error());
    daemon.loop_->notify("STOPPING=1");
    return code;
}

/// What was left behind: of a model whose removal was decided and not carried out, and versions without a row.
void Daemon::remove_orphans(const store::Loaded& loaded) {
    for (const std::string& model : store::models_on_disk(places_)) {
        if (loaded.state.models.contains(model)) continue;
        const auto newest = ledger_->history(model, 0, 1);
        if (!newest || newest->empty() || newest->front().decision.kind != core::DecisionKind::removed) continue;
        const auto removed = versions_->remove_model(model);
        note("what the removed model " + model + " had left on the disk " +
             (removed ? "was removed" : "could not be removed: " + removed.error().what));
    }
    for (const auto& [model, digest] : orphans_of(loaded, *versions_)) {
        const auto removed = versions_->remove(model, digest);
        note("version " + digest.short_form() + " of " + model + " was left behind without a row in the ledger and " +
             (removed ? "was removed" : "could not be removed: " + removed.error().what));
    }
}

void Daemon::note(const std::string& text) { spdlog::warn("{}", text); }

Result<void> Daemon::start(const DaemonOptions& options) {
    places_ = options.root.empty() ? system_places() : store::places_under(options.root);
    facts_.cli = options.root.empty() ? "modelguard" : "modelguard --root " + options.root;
    MG_CHECK(with_context(sys::make_directories(places_.state, 0755), "state directory"));
    MG_CHECK(with_context(sys::make_directories(places_.runtime, 0755), "runtime directory"));
    if (places_.rooted)
        MG_CHECK(with_context(sys::make_directories(places_.config / "models.d", 0755), "config directory"));
    MG_TRY(device_, read_device_config(places_.config));
    if (places_.rooted && !device_.metrics_textfile.empty())
        device_.metrics_textfile =
            std::filesystem::absolute(options.root) / sys::Path(device_.metrics_textfile).relative_path();

    MG_TRY(loop_, sys::Loop::create());
    MG_TRY(http_, sys::HttpClient::create(*loop_));
    // The ledger first: its lock keeps a second daemon from touching anything.
    store::Loaded loaded;
    reserve_.emplace(places_.state / "reserve");
    auto opened = store::Ledger::open(places_.database(), loaded);
    if (!opened && opened.error().sys_errno == ENOSPC && reserve_->give_up())
        opened = store::Ledger::open(places_.database(), loaded);
    MG_TRY(ledger_, with_context(std::move(opened), "ledger"));
    limits_.max_bytes = device_.max_bundle_bytes;
    MG_TRY(versions_,
           with_context(store::VersionStore::open(*loop_, places_, limits_, options.self_exe), "version store"));
    // What is under a directory has no OS of its own, whatever this host runs from.
    const bool is_none = places_.rooted && options.os_backend.empty();
    MG_TRY(os_, make_os_backend(*loop_, is_none ? "none" : options.os_backend, facts_.os_backend));
    std::ignore = hold_reserve();  // it is tried again; an update is told why it cannot be taken
    ManifestFiles files = read_manifests(places_.config, device_);
    if (loaded.blank) rebuild_from_links(loaded, places_, files.manifests);
    if (loaded.restored) follow_newer_links(loaded, places_, files.manifests);
    if (loaded.blank || loaded.restored || (loaded.versions_lost && !loaded.versions_unread))
        adopt_unknown_versions(loaded, *versions_);
    versions_->on_note([this](const std::string& text) { note(text); });
    remove_orphans(loaded);
    store::bound_notes(loaded.notes);
    backups_ = loaded.backup_number;
    facts_.notes = loaded.notes;
    for (const std::string& text : loaded.notes)
        note(text);

    commands_ = std::make_unique<Commands>(*loop_, places_, device_);
    runner_ = std::make_unique<Runner>(RunnerParts{*loop_, *http_, *ledger_, *versions_, *os_, device_, core::Policy{},
                                                   commands_->runner(), [this] { return give_up_reserve(); }},
                                       std::move(loaded));
    lasting_notes_ = facts_.notes.size();
    gate_ = std::make_unique<BootGate>(places_.runtime / "gate.json",
                                       installed_greenboot(options.root.empty() ? "/" : options.root),
                                       find_scripts(places_.config));
    service_ = std::make_unique<Service>(*loop_, *runner_, *versions_, facts_, *gate_);
    service_->on_audit = [](const std::string& what) { spdlog::info("request: {}", what); };
    scrub_ = std::make_unique<Scrub>(*loop_, *runner_, *versions_, device_.scrub_period,
                                     [this] { return service_->is_importing(); });
    service_->on_change = [this] { scrub_->pause(); };
    service_->hold_space = [this](const std::string& model, std::uint64_t bytes) { return has_room(model, bytes); };
    runner_->on_note = [this](const std::string& text) { note(text); };
    runner_->on_decision = [this](const store::HistoryEntry& entry) {
        if (sys::has_journal() && !places_.rooted)
            announce_to_journal(entry, runner_->state().os.view.booted);
        else
            spdlog::info("{}", decision_line(entry.decision));
    };
    runner_->on_commit = [this](bool decided) {
        service_->wake();
        if (!runner_->is_idle()) scrub_->pause();
        backup_soon();
        if (!decided) return;
        if (metrics_file_) metrics_file_->write_soon();
        tell_service_manager();
        tidy_soon();
    };
    for (const int signal : {SIGTERM, SIGINT})
        signals_.push_back(loop_->add_signal(signal, [this] { loop_->exit(0); }));
    signals_.push_back(
        loop_->add_signal(SIGHUP, [this] { load_manifests(read_manifests(places_.config, device_), false); }));
    std::signal(SIGPIPE, SIG_IGN);
    load_manifests(std::move(files), true);
    return {};
}

/// A file that describes a model which was applied is told, and left out: the first origin stays.
void Daemon::leave_out_applied(ManifestFiles& files) const {
    std::erase_if(files.manifests, [&](const Manifest& manifest) {
        const Manifests::Source* owner = runner_->owner(manifest.model);
        if (!owner || owner->origin == core::Origin::file || !runner_->state().models.at(manifest.model).managed)
            return false;
        files.findings.push_back({Finding::Severity::error, manifest.file, 1, "model",
                                  "model '" + manifest.model + "' is described by a manifest that was applied (" +
                                      owner->file + "), which counts; remove this file, or `" + facts_.cli +
                                      " remove " + manifest.model + "` first"});
        return true;
    });
}

void Daemon::load_manifests(ManifestFiles files, bool first) {
    facts_.notes.resize(lasting_notes_);
    leave_out_applied(files);
    for (const Finding& finding : files.findings) {
        if (finding.severity == Finding::Severity::error) facts_.notes.push_back(describe(finding));
        note(describe(finding));
    }
    if (!first) {
        runner_->apply(std::move(files.manifests), files.wrong);
        spdlog::info("manifests read again");
        return write_backup();
    }
    look_at_boot([this, files = std::move(files)](bool complete) mutable {
        runner_->start(complete, std::move(files.manifests), files.wrong, [this](Result<void> ready) {
            started_ = std::move(ready);
            if (!started_) return loop_->exit(1);
            open_sockets(sys::boottime_now() + kPredecessorGone);
        });
    });
}

/// Whether the boot is complete already: under --root, and without systemd, it is; else boot-complete.target says so,
/// and what pulls that in tells us when it comes (modelguard-boot-complete.service).
void Daemon::look_at_boot(std::function<void(bool complete)> seen) {
    if (places_.rooted || sd_booted() <= 0) return seen(true);
    auto systemd = sys::Systemd::connect(*loop_);
    if (!systemd) {
        note("whether this boot is complete cannot be seen, and is waited for: " + systemd.error().what);
        return seen(false);
    }
    systemd_ = std::move(*systemd);
    systemd_->read_unit(kBootComplete, kAskSystemd, [this, seen = std::move(seen)](const Result<sys::UnitState>& unit) {
        if (!unit) note("whether this boot is complete cannot be seen, and is waited for: " + unit.error().what);
        const bool complete = unit && unit->active_state == "active";
        boot_seen_ = loop_->defer([this, complete, seen] {
            systemd_.reset();
            seen(complete);
        });
    });
}

/// A child of a predecessor that was killed holds its sockets until it has come as far as its exec. That nobody else
/// is at work here is sure already: the ledger is ours.
void Daemon::open_sockets(Instant give_up) {
    started_ = {};
    if (!reading_) started_ = listen("api", kReadMode, false, kReaders, reading_);
    if (started_) started_ = listen("control", kControlMode, true, kChangers, changing_);
    if (!started_ && started_.error().kind == ErrorKind::conflict && sys::boottime_now() < give_up) {
        sockets_timer_ = loop_->add_timer(kSocketRetry, [this, give_up] { open_sockets(give_up); });
        return;
    }
    if (!started_) return loop_->exit(1);
    loop_->enable_watchdog();
    loop_->notify("READY=1");
    tell_service_manager();
    tidy_soon();  // what a predecessor did not come to
    scrub_->start();
    gate_->run_scripts(*runner_, commands_->runner(), [this](const core::GateScript& script) {
        if (!script.passed) note("the boot gate's script " + core::file_of(script) + ": " + script.text);
        service_->wake();
    });
    write_metrics();
    write_backup();
    spdlog::info("ready: {}", (places_.runtime / "api.sock").string());
}

Result<void> Daemon::listen(const char* name, unsigned mode, bool control, unsigned connections,
                            std::unique_ptr<HttpServer>& server) {
    HttpServerOptions options;
    options.listener = handed_over(name);
    options.path = (places_.runtime / (std::string(name) + ".sock")).string();
    options.mode = mode;
    options.control = control;
    options.connection_limit = connections;
    MG_TRY(server, HttpServer::create(*loop_, std::move(options), service_->handlers()));
    return {};
}

bool Daemon::give_up_reserve() {
    const bool given = reserve_->give_up();
    if (given) reserve_timer_ = loop_->add_timer(kReserveRetry, [this] { std::ignore = hold_reserve(); });
    return given;
}

/// Whether an update may be taken, or why not. Where it may find no space, what nobody needs goes first: how large it
/// is unpacked is not known before it is there, so that as much as it says, and the largest version of the model once
/// more, are wanted.
Result<void> Daemon::has_room(const std::string& model, std::uint64_t announced_bytes) {
    Result<void> held = hold_reserve();
    const std::uint64_t wanted = limits_.reserve_bytes + announced_bytes;
    std::uint64_t largest = 0;
    for (const store::VersionInfo* version : runner_->versions_of(model))
        largest = std::max(largest, version->bytes);
    const auto free = sys::free_bytes(places_.state);
    if ((reserve_timer_ || (free && *free < wanted + 2 * largest)) && !service_->is_importing() &&
        runner_->collect_garbage(0) > 0)
        held = hold_reserve();
    return versions_->is_deleting() ? Result<void>() : held;
}

Result<void> Daemon::hold_reserve() {
    reserve_timer_.reset();
    Result<void> held = reserve_->hold();
    if (!held) reserve_timer_ = loop_->add_timer(kReserveRetry, [this] { std::ignore = hold_reserve(); });
    return held;
}

void Daemon::tidy_soon() {
    garbage_timer_ = loop_->add_timer(kGarbageDelay, [this] {
        if (service_->is_importing() || runner_->storage_failed()) return tidy_soon();
        runner_->quarantine_damaged();
        runner_->collect_garbage(kSpareVersions);
        runner_->metrics().forget_absent(make_metric_facts(*runner_, facts_));
        if (runner_->storage_failed()) tidy_soon();  // no decision may come by to ask for it
    });
}

/// The copy for when the daemon is dead costs two fsyncs: it waits for a moment in which no version is on its way back.
void Daemon::backup_soon() {
    if (backup_timer_) return;
    backup_timer_ = loop_->add_timer(kBackupDelay, [this] {
        backup_timer_.reset();
        for (const auto& [name, model] : runner_->state().models)
            if (model.phase == core::Phase::reverting) return backup_soon();
        write_backup();
    });
}

void Daemon::write_backup() {
    if (reserve_timer_) std::ignore = hold_reserve();  // there may be space again: a commit has just found some
    const api::Status status = make_status(*runner_, facts_);
    const auto ledger = ledger_->backup_json();
    if (!ledger) return;  // it cannot be written at present and that was said; the next commit asks again
    const auto done = store::write_backup(places_, api::to_json(status), *ledger, backups_ + 1);
    if (done)
        ++backups_;
    else
        note("state.bak could not be written (the ledger has everything): " + done.error().what);
}

/// Besides the API, as a file: where the device wants one.
void Daemon::write_metrics() {
    if (device_.metrics_textfile.empty()) return;
    metrics_file_ = std::make_unique<MetricsFile>(
        *loop_, device_.metrics_textfile,
        [this] { return runner_->metrics().page(make_metric_facts(*runner_, facts_), MetricsFormat::prometheus); },
        [this](const std::string& text) { note(text); });
}

void Daemon::tell_service_manager() {
    std::string text;
    for (const auto& [name, model] : runner_->state().models)
        text += (text.empty() ? "" : ", ") + name + " " + std::string(core::to_word(model.phase)) +
                (model.current.empty() ? "" : " " + model.current.short_form());
    loop_->notify("STATUS=" + (text.empty() ? "no models" : text));
}

}  // namespace

Result<int> run_daemon(const DaemonOptions& options) { return Daemon::run(options); }

}  // namespace modelguard::daemon
