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
    auto process = spawn(loop, std::move(spec), [done = std::move(done)](ProcessEnd end) { done(std::move(end)); });
    if (process) return std::make_unique<ChildRun>(std::move(*process));
    // The command is there; that its program is not is another thing than a name that the device does not list.
    const bool is_missing = process.error().kind == ErrorKind::not_found;
    return fail(is_missing ? ErrorKind::unavailable : process.error().kind, process.error().what);
}

}  // namespace modelguard::sys
