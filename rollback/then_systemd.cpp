// Then `systemd`: the unit that serves the model is restarted or reloaded, and the job's result is the answer.

#include <array>

#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::rollback {

namespace {
struct UnitAction {
    std::string_view name;
    const char* method;
    bool keeps_serving;  // the unit may serve other models too, so it is not stopped when this one has no version left
};
constexpr std::array kActions{
    UnitAction{"restart", "RestartUnit", false},
    UnitAction{"reload", "ReloadUnit", true},
    UnitAction{"reload-or-restart", "ReloadOrRestartUnit", true},
    UnitAction{"start", "StartUnit", false},
};
constexpr std::string_view kActionNames[] = {"restart", "reload", "reload-or-restart", "start"};
static_assert(std::size(kActionNames) == kActions.size());

constexpr ParamSpec kParams[] = {
    {.name = "unit",
     .type = ParamType::text,
     .required = true,
     .help = "The unit that serves the model; the model's own or one listed under `units:` in modelguard.yaml."},
    {.name = "action",
     .type = ParamType::text,
     .default_text = "restart",
     .help = "What is done to the unit when the version changes.",
     .choices = kActionNames},
};

const char* method_for(std::string_view action, ThenVerb verb, bool nothing_to_serve) {
    for (const UnitAction& known : kActions) {
        if (known.name != action) continue;
        if (nothing_to_serve && !known.keeps_serving) return "StopUnit";
        return verb == ThenVerb::restart ? "RestartUnit" : known.method;
    }
    return "RestartUnit";
}

class SystemdThen final : public Running {
  public:
    SystemdThen(const ServiceContext& service, const ParamMap& params, ThenVerb verb, std::function<void(Outcome)> done)
        : unit_(text_param(params, "unit")), delivery_(service.loop, std::move(done)) {
        const std::string_view action =
            has_param(params, "action") ? text_param(params, "action") : std::string_view("restart");
        method_ = method_for(action, verb, has_no_current(service));
        auto systemd = sys::Systemd::connect(service.loop);
        if (!systemd) {
            delivery_.deliver(failed_outcome(one_line("unsupported here: " + systemd.error().what)));
            return;
        }
        systemd_ = std::move(*systemd);
        systemd_->run_job(method_, unit_, service.timeout,
                          [this](const Result<std::string>& result) { ended(result); });
    }

  private:
    void ended(const Result<std::string>& result) {
        if (!result)
            delivery_.deliver(failed_outcome(one_line(method_ + " " + unit_ + ": " + result.error().what)));
        else if (*result == "done")
            delivery_.deliver(done_outcome());
        else
            delivery_.deliver(failed_outcome(
                one_line(method_ + " " + unit_ + ": the job ended as '" + *result + "'; see journalctl -u " + unit_)));
    }

    std::string unit_;
    std::string method_;
    Delivery delivery_;
    std::unique_ptr<sys::Systemd> systemd_;
};
}  // namespace

constinit const ThenKind then_systemd{
    .name = "systemd",
    .summary = "the unit that serves the model is restarted or reloaded, and stopped where no version is left",
    .params = kParams,
    .start = [](const ServiceContext& service, const ParamMap& params, ThenVerb verb, std::function<void(Outcome)> done)
        -> std::unique_ptr<Running> { return std::make_unique<SystemdThen>(service, params, verb, std::move(done)); },
};

}  // namespace modelguard::rollback
