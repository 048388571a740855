#pragma once
// The devices that the explorer goes through, each small enough to be enumerated whole.

#include <vector>

#include "tests/model/world.hpp"

namespace modelguard::model {

/// The default set explores in well under a minute; `all` has the full bounds.
std::vector<Bounds> configurations(bool all);

}  // namespace modelguard::model
