#pragma once
// What the switches and thens share: outcomes, texts cut to one line, and handing an outcome over from the loop.

#include <functional>
#include <string>
#include <string_view>

#include "rollback/switch.hpp"

namespace modelguard::rollback {

Outcome done_outcome();
Outcome failed_outcome(std::string why);
Outcome refused_outcome(std::string why);

/// True where the model has no current version; then a service has nothing to serve. An unreadable link counts as "has
/// one".
bool has_no_current(const ServiceContext& service);

/// Calls `done` once, on a later turn of the loop, from no other frame than the loop's. Dropping it cancels.
/// `done` may destroy this object.
class Delivery {
  public:
    Delivery(sys::Loop& loop, std::function<void(Outcome)> done) : loop_(loop), done_(std::move(done)) {}
    /// The first call counts, later ones are ignored.
    void deliver(Outcome outcome);
    bool is_delivered() const { return delivered_; }

  private:
    sys::Loop& loop_;
    std::function<void(Outcome)> done_;
    bool delivered_{false};
    sys::Source source_;
};

}  // namespace modelguard::rollback
