#include <utility>
#include <vector>

#include "rollback/lists.hpp"

namespace modelguard::rollback {

namespace {
// One deployment that never changes: "the OS changed" is never true, so no blame ever falls on it.
class NoneBackend final : public OsBackend {
  public:
    explicit NoneBackend(sys::Loop& loop) : loop_(loop) {}

    void observe(std::function<void(Result<core::OsView>)> done) override {
        answer_later([done = std::move(done)] {
            core::OsView view;
            view.deployments.push_back({.id = "none", .identity = "none"});
            view.booted = "none";
            view.default_ = "none";
            done(std::move(view));
        });
    }

    void perform(core::OsVerb verb, const std::string& /*target*/, std::function<void(Result<void>)> done) override {
        answer_later([verb, done = std::move(done)] {
            done(fail(ErrorKind::unsupported,
                      "this device has no OS backend, so '" + std::string(core::to_word(verb)) + "' cannot be done"));
        });
    }

  private:
    // Two questions may be open at once, and an answer may bring the next question.
    void answer_later(std::function<void()> answer) {
        answers_.push_back(std::move(answer));
        if (!turn_)
            turn_ = loop_.defer([this] {
                turn_.reset();
                const auto answers = std::exchange(answers_, {});
                for (const auto& due : answers)
                    due();
            });
    }

    sys::Loop& loop_;
    std::vector<std::function<void()>> answers_;
    sys::Source turn_;
};
}  // namespace

constinit const OsBackendKind os_none{
    .name = "none",
    .summary = "a device whose OS never changes under modelguard: nothing is ordered, nothing is rolled back",
    .is_present = [] { return true; },
    .make = [](sys::Loop& loop) -> Result<std::unique_ptr<OsBackend>> { return std::make_unique<NoneBackend>(loop); },
};

}  // namespace modelguard::rollback
