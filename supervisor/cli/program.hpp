#pragma once
// Programs of this installation that the CLI starts, since their libraries would cost every start of its own.

#include <initializer_list>
#include <string>

#include "supervisor/base/result.hpp"

namespace modelguard::cli {

/// The program `name` in one of the folders, which are relative to that of this program; never from PATH, which is not
/// ours. internal: this installation lacks it.
Result<std::string> find_program(const std::string& name, std::initializer_list<const char*> folders);

}  // namespace modelguard::cli
