#include "supervisor/daemon/commands.hpp"

#include <fmt/core.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>

#include "supervisor/base/unit_name.hpp"
#include "supervisor/daemon/config_files.hpp"
#include "supervisor/daemon/gate_scripts.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::daemon {

namespace {
using nlohmann::json;

constexpr const char* kTemplate = "modelguard-check@.service";
constexpr const char* kConfig = "/etc/modelguard";
constexpr const char* kResults = "/run/modelguard-check";  // root's, which the daemon may read
constexpr const char* kRequests = "commands";              // the daemon's, below its runtime directory
constexpr const char* kRuntime = "/run/modelguard";
constexpr const char* kOwnUser = "modelguard";
constexpr const char* kSchema = "modelguard.command_result/1";
constexpr std::string_view kVariables = "MODELGUARD_";
constexpr Usec kJobGrace = std::chrono::seconds(15);  // beyond the command's own deadline
constexpr std::size_t kMostRequest = 64u << 10;
constexpr std::size_t kMostResult = 1u << 20;  // 64 KiB of output, each byte as \u00XX at worst
constexpr unsigned kResultMode = 0640;
constexpr int kUsage = 2;
constexpr int kNothingLeft = 6;

Result<sys::Command> find_command(const sys::Path& config, const DeviceConfig& device, std::string_view name) {
    if (name.find(':') != std::string_view::npos) return script_command(config, name, device.script_timeout);
    const auto found = device.commands.find(name);
    if (found == device.commands.end())
        return fail(ErrorKind::not_found, "the device lists no command '" + std::string(name) + "'");
    return found->second;
}

sys::Path request_file(const sys::Path& runtime, const std::string& instance) {
    return runtime / kRequests / (instance + ".env");
}
sys::Path result_file(const std::string& instance) { return sys::Path(kResults) / (instance + ".json"); }

std::string result_json(const Result<sys::ProcessEnd>& how, Instant began) {
    json object{{"schema", kSchema}, {"began_boottime_usec", began.boottime_usec}};
    if (!how) {
        object["error"] = {{"kind", to_string(how.error().kind)}, {"text", how.error().what}};
    } else {
        object["exit_status"] = how->exit_status;
        object["signal"] = how->signal;
        object["timed_out"] = how->timed_out;
        object["truncated"] = how->truncated;
        object["timeout_usec"] = how->timeout.count();
        object["output"] = how->output;
    }
    return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// nullopt: it is not of a run that began at `asked` or later.
std::optional<Result<sys::ProcessEnd>> parse_result(const std::string& text, Instant asked) {
    try {
        const json object = json::parse(text);
        if (object.at("schema") != kSchema ||
            object.at("began_boottime_usec").get<std::int64_t>() < asked.boottime_usec)
            return std::nullopt;
        if (const auto error = object.find("error"); error != object.end()) {
            const bool denied = error->at("kind") == to_string(ErrorKind::denied);
            return fail(denied ? ErrorKind::denied : ErrorKind::unavailable, error->at("text").get<std::string>());
        }
        return sys::ProcessEnd{.exit_status = object.at("exit_status").get<int>(),
                               .signal = object.at("signal").get<int>(),
                               .timed_out = object.at("timed_out").get<bool>(),
                               .truncated = object.at("truncated").get<bool>(),
                               .timeout = Usec(object.at("timeout_usec").get<std::int64_t>()),
                               .output = object.at("output").get<std::string>(),
                               .error_output = {}};
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

}  // namespace

// ---- as units ----------------------------------------------------------------------------------------------------

class Commands::Units {
  public:
    class Run final : public sys::CommandRun {
      public:
        Run(Units& units, std::string run_instance, std::vector<std::string> run_environment, Usec run_timeout,
            sys::CommandDone run_done)
            : instance(std::move(run_instance)),
              environment(std::move(run_environment)),
              timeout(run_timeout),
              done(std::move(run_done)),
              units_(units) {}
        Run(const Run&) = delete;
        Run& operator=(const Run&) = delete;
        ~Run() override { units_.forget(*this); }

        const std::string instance;
        const std::vector<std::string> environment;
        const Usec timeout;
        sys::CommandDone done;
        Instant asked;
        bool is_second_try{false};

      private:
        Units& units_;
    };

    explicit Units(sys::Loop& loop, sys::Path runtime) : loop_(loop), runtime_(std::move(runtime)) {}

    std::unique_ptr<sys::CommandRun> run(std::string_view name, std::vector<std::string> environment, Usec timeout,
                                         sys::CommandDone done) {
        auto made =
            std::make_unique<Run>(*this, escape_instance(name), std::move(environment), timeout, std::move(done));
        slots_[made->instance].waiting.push_back(made.get());
        start_later(made->instance);
        return made;
    }

  private:
    /// What is under way by one name.
    struct Slot {
        std::deque<Run*> waiting;
        Run* running{nullptr};
        std::unique_ptr<sys::Systemd> systemd;  ///< a job is under way, whoever waits for it
        sys::Source turn;
    };

    static std::string unit_of(const std::string& instance) { return "modelguard-check@" + instance + ".service"; }

    void start_later(const std::string& instance) {
        Slot& slot = slots_[instance];
        if (!slot.systemd && !slot.turn) slot.turn = loop_.defer([this, instance] { start_next(instance); });
    }

    void start_next(const std::string instance) {  // a copy: the turn it came with goes
        Slot& slot = slots_[instance];
        slot.turn.reset();
        if (slot.systemd) return;
        if (slot.waiting.empty()) {
            slots_.erase(instance);
            return;
        }
        slot.running = slot.waiting.front();
        slot.waiting.pop_front();
        slot.running->asked = sys::boottime_now();
        if (const auto asked = ask(*slot.running); !asked) return end(instance, std::unexpected(asked.error()));
        auto systemd = sys::Systemd::connect(loop_);
        if (!systemd) return end(instance, std::unexpected(systemd.error()));
        slot.systemd = std::move(*systemd);
        slot.systemd->run_job("StartUnit", unit_of(instance), slot.running->timeout + kJobGrace,
                              [this, instance](const Result<std::string>& job) { job_ended(instance, job); });
    }

    /// What the unit is to know besides its name.
    Result<void> ask(const Run& run) const {
        std::string text;
        for (const std::string& variable : run.environment)
            if (variable.find('\n') == std::string::npos) text += variable + "\n";
        MG_CHECK(sys::make_directories(runtime_ / kRequests, 0755));
        return sys::replace_file(request_file(runtime_, run.instance), text, 0644);
    }

    void job_ended(const std::string& instance, const Result<std::string>& job) {
        Slot& slot = slots_[instance];
        slot.systemd.reset();
        if (!slot.running) return start_later(instance);
        if (!job) {
            Error error = job.error();
            if (error.kind == ErrorKind::denied)
                error.what += "; expected the polkit rule 50-modelguard.rules to allow " + unit_of(instance);
            return end(instance, std::unexpected(std::move(error)));
        }
        const auto text = sys::read_file(result_file(instance), kMostResult);
        auto how = text ? parse_result(*text, slot.running->asked) : std::nullopt;
        // One that a predecessor of ours had started was still under way, and systemd took ours for the same.
        if (!how && !std::exchange(slot.running->is_second_try, true)) {
            slot.waiting.push_front(std::exchange(slot.running, nullptr));
            return start_later(instance);
        }
        if (!how)
            how = fail(ErrorKind::unavailable, "the job of " + unit_of(instance) + " ended as '" + *job +
                                                   "' without a result; see journalctl -u '" + unit_of(instance) + "'");
        end(instance, *how);
    }

    void end(const std::string& instance, const Result<sys::ProcessEnd>& how) {
        Run* const run = std::exchange(slots_[instance].running, nullptr);
        start_later(instance);
        const auto done = std::exchange(run->done, nullptr);
        done(how);  // which may drop the run
    }

    /// What nobody waits for any longer is ended.
    void forget(const Run& run) {
        const auto found = slots_.find(run.instance);
        if (found == slots_.end()) return;
        Slot& slot = found->second;
        std::erase(slot.waiting, &run);
        if (slot.running != &run) return;
        slot.running = nullptr;
        slot.systemd.reset();
        auto systemd = sys::Systemd::connect(loop_);
        if (!systemd) return start_later(run.instance);
        slot.systemd = std::move(*systemd);
        slot.systemd->run_job("StopUnit", unit_of(run.instance), kJobGrace,
                              [this, instance = run.instance](const Result<std::string>&) {
                                  slots_[instance].systemd.reset();
                                  start_later(instance);
                              });
    }

    sys::Loop& loop_;
    sys::Path runtime_;
    std::map<std::string, Slot> slots_;
};

Commands::Commands(sys::Loop& loop, const store::Places& places, const DeviceConfig& device)
    : loop_(loop), config_(places.config), device_(device) {
    if (!places.rooted && sd_booted() > 0 && sys::has_unit_file("/", kTemplate))
        units_ = std::make_unique<Units>(loop, places.runtime);
}
Commands::~Commands() = default;

Result<std::unique_ptr<sys::CommandRun>> Commands::run(std::string_view name, std::vector<std::string> environment,
                                                       sys::CommandDone done) {
    MG_TRY(const sys::Command command, find_command(config_, device_, name));
    if (units_) return units_->run(name, std::move(environment), command.timeout, std::move(done));
    return sys::run_as_child(loop_, command, std::move(environment), std::move(done));
}

sys::RunCommand Commands::runner() {
    return [this](std::string_view name, std::vector<std::string> environment, sys::CommandDone done) {
        return run(name, std::move(environment), std::move(done));
    };
}

// ---- inside of the unit ------------------------------------------------------------------------------------------

namespace {

/// Of what the daemon, which has fewer rights than we, asks to be set: nothing but its own variables.
std::vector<std::string> asked_environment(const std::string& instance) {
    std::vector<std::string> variables;
    std::string text = sys::read_file(request_file(kRuntime, instance), kMostRequest).value_or("");
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
        if (text.starts_with(kVariables) && text.find('=') < end) variables.push_back(text.substr(0, end));
    return variables;
}

Result<sys::ProcessEnd> run_here(const std::string& instance, const std::string& name) {
    MG_TRY(const DeviceConfig device, read_device_config(kConfig));
    MG_TRY(sys::Command command, find_command(kConfig, device, name));
    const bool is_script = name.find(':') != std::string::npos;
    if (command.user.empty() && !is_script) command.user = kOwnUser;
    MG_TRY(const std::unique_ptr<sys::Loop> loop, sys::Loop::create());
    Result<sys::ProcessEnd> how = fail(ErrorKind::internal, "no end");
    MG_TRY(const std::unique_ptr<sys::CommandRun> run,
           sys::run_as_child(*loop, command, asked_environment(instance), [&](const Result<sys::ProcessEnd>& end) {
               how = end;
               loop->exit(0);
           }));
    MG_CHECK(loop->run());
    return how;
}

}  // namespace

int run_command_unit(const std::string& instance) {
    const std::optional<std::string> name = unescape_instance(instance);
    if (!name || name->empty()) {
        fmt::print(stderr, "modelguardd: expected the name of a command, or required:FILE or wanted:FILE\n");
        return kUsage;
    }
    const Instant began = sys::boottime_now();
    const Result<sys::ProcessEnd> how = run_here(instance, *name);
    if (how)
        fmt::print("{}{}{}\n", how->output, how->output.ends_with('\n') || how->output.empty() ? "" : "\n",
                   how->describe());
    else
        fmt::print(stderr, "modelguardd: {}: {}\n", *name, how.error().what);
    const auto left = sys::replace_file(result_file(instance), result_json(how, began), kResultMode);
    if (left) return 0;
    fmt::print(stderr, "modelguardd: {}\n", left.error().what);
    return kNothingLeft;
}

}  // namespace modelguard::daemon
