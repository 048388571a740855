#include "supervisor/sys/command.hpp"

namespace modelguard::sys {

namespace {
class ChildRun final : public CommandRun {
  public:
    explicit ChildRun(Process process) : process_(std::move(process)) {}

  private:
    Process process_;
};
}  // namespace

Result<std::unique_ptr<CommandRun>> run_as_child(Loop& loop, const Command& command,
                                                 std::vector<std::string> environment, CommandDone done) {
    ProcessSpec spec;
    spec.argv = command.argv;
    spec.user = command.user;
    spec.timeout = command.timeout;
    spec.environment = std::move(environment);
    MG_TRY(Process process,
           spawn(loop, std::move(spec), [done = std::move(done)](ProcessEnd end) { done(std::move(end)); }));
    return std::make_unique<ChildRun>(std::move(process));
}

}  // namespace modelguard::sys
