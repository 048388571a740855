// Then `exec`: a command of the device is run. The manifest names it; what it does stands in modelguard.yaml.

#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/process.hpp"

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
        auto command = service.command(name_);
        if (!command) {
            delivery_.deliver(failed_outcome(one_line(command.error().what)));
            return;
        }
        sys::ProcessSpec spec;
        spec.argv = std::move(command->argv);
        spec.user = std::move(command->user);
        spec.timeout = command->timeout;
        spec.environment = service.environment;
        spec.environment.push_back("MODELGUARD_VERB=" + std::string(to_word(verb)));
        auto process = sys::spawn(service.loop, std::move(spec), [this](const sys::ProcessEnd& end) { ended(end); });
        if (process)
            process_ = std::move(*process);
        else
            delivery_.deliver(failed_outcome(one_line("command '" + name_ + "': " + process.error().what)));
    }

  private:
    void ended(const sys::ProcessEnd& end) {
        if (end.ok()) {
            delivery_.deliver(done_outcome());
            return;
        }
        std::string why = "command '" + name_ + "': " + end.describe();
        if (const std::string output = last_line(end.output); !output.empty()) why += ": " + output;
        delivery_.deliver(failed_outcome(one_line(why)));
    }

    // Scripts say why they fail in what they print last.
    static std::string last_line(std::string_view output) {
        while (!output.empty() && static_cast<unsigned char>(output.back()) <= 0x20)
            output.remove_suffix(1);
        if (const auto newline = output.rfind('\n'); newline != std::string_view::npos)
            output.remove_prefix(newline + 1);
        return one_line(output, 200);
    }

    std::string name_;
    Delivery delivery_;
    sys::Process process_;
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
