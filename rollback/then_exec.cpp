// Then `exec`: a command of the device is run. The manifest names it; what it does stands in modelguard.yaml.

#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::rollback {

namespace {
constexpr ParamSpec kParams[] = {
    {.name = "run",
     .type = ParamType::text,
     .required = true,
     .help = "The name of a command under `commands:` in modelguard.yaml."},
};

std::string_view to_word(ThenVerb verb) {
    switch (verb) {
        case ThenVerb::version_changed: return "version_changed";
        case ThenVerb::restart: return "restart";
    }
    return "version_changed";
}

class ExecThen final : public Running {
  public:
    ExecThen(const ServiceContext& service, const ParamMap& params, ThenVerb verb, std::function<void(Outcome)> done)
        : name_(text_param(params, "run")), delivery_(service.loop, std::move(done)) {
        std::vector<std::string> environment = service.environment;
        environment.push_back("MODELGUARD_VERB=" + std::string(to_word(verb)));
        auto started = service.run_command(name_, std::move(environment), [this](const Result<sys::ProcessEnd>& end) {
            if (end) return ended(*end);
            not_run(end.error());
        });
        if (started)
            command_ = std::move(*started);
        else
            not_run(started.error());
    }

  private:
    void not_run(const Error& error) {
        delivery_.deliver(failed_outcome(one_line("command '" + name_ + "': " + error.what)));
    }

    void ended(const sys::ProcessEnd& end) {
        delivery_.deliver(end.ok() ? done_outcome()
                                   : failed_outcome(one_line("command '" + name_ + "': " + end.why())));
    }

    std::string name_;
    Delivery delivery_;
    std::unique_ptr<sys::CommandRun> command_;
};
}  // namespace

constinit const ThenKind then_exec{
    .name = "exec",
    .summary = "a command of the device is run; exit status 0 means the service was told",
    .params = kParams,
    .start = [](const ServiceContext& service, const ParamMap& params, ThenVerb verb, std::function<void(Outcome)> done)
        -> std::unique_ptr<Running> { return std::make_unique<ExecThen>(service, params, verb, std::move(done)); },
};

}  // namespace modelguard::rollback
