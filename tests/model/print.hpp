#pragma once
// Events, actions, decisions and states as one line for people: what a counterexample is printed with.

#include <string>

#include "tests/model/world.hpp"

namespace modelguard::model {

std::string describe(const core::Event& event);
std::string describe(const core::Action& action);
std::string describe(const core::Decision& decision);
/// The lines of a node that matter to a reader, each indented.
std::string describe(const Node& node);

}  // namespace modelguard::model
