#include "rollback/outcome.hpp"

namespace modelguard::rollback {

Outcome done_outcome() { return {.result = core::SwitchResult::done, .link_moved = false, .why = {}}; }
Outcome failed_outcome(std::string why) {
    return {.result = core::SwitchResult::failed, .link_moved = false, .why = std::move(why)};
}
Outcome refused_outcome(std::string why) {
    return {.result = core::SwitchResult::refused, .link_moved = false, .why = std::move(why)};
}

bool has_no_current(const ServiceContext& service) {
    const auto link = sys::read_symlink(service.model_dir / "current");
    return link.has_value() && !link->has_value();
}

void Delivery::deliver(Outcome outcome) {
    if (delivered_) return;
    delivered_ = true;
    source_ = loop_.defer([this, outcome = std::move(outcome)]() mutable {
        // Both leave this object before the call: `done` may drop it.
        auto done = std::move(done_);
        auto kept = std::move(outcome);
        done(std::move(kept));
    });
}

}  // namespace modelguard::rollback
