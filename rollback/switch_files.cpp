// Switch `files`: `current` in the model's directory is a relative link into versions/, replaced whole.

#include "rollback/current_link.hpp"
#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::rollback {

namespace {
class FilesSwitch final : public Running {
  public:
    FilesSwitch(const SwitchRequest& request, std::function<void(Outcome)> done)
        : delivery_(request.service.loop, std::move(done)) {
        if (const auto moved = with_context(move_link(request.service.model_dir, request.to), "move the link");
            !moved) {
            Outcome outcome = failed_outcome(one_line(moved.error().what));
            outcome.link_moved = is_linked(request.service.model_dir, request.to);
            delivery_.deliver(std::move(outcome));
            return;
        }
        if (request.then == nullptr) {
            finish(done_outcome());
            return;
        }
        then_ = request.then->start(request.service, request.then_params, ThenVerb::version_changed,
                                    [this](Outcome outcome) { finish(std::move(outcome)); });
    }

  private:
    void finish(Outcome outcome) {
        outcome.link_moved = true;
        delivery_.deliver(std::move(outcome));
    }

    Delivery delivery_;
    std::unique_ptr<Running> then_;
};
}  // namespace

constinit const SwitchKind switch_files{
    .name = "files",
    .summary = "the link `current` in the model's directory names the version; servers read through it",
    .params = {},
    .start = [](const SwitchRequest& request, std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
        return std::make_unique<FilesSwitch>(request, std::move(done));
    },
    .current = read_current,
};

}  // namespace modelguard::rollback
