#pragma once
// Fills the templates of packaging/man: prose stays as it is, and a line that begins with @ becomes what the tables
// and descriptors of this program say. Pure. Not for --help: CLI11 prints that.

#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard::daemon {

/// The page in roff. `@keys SECTION` stands for the keys of a section of the manifest (top, version, serve,
/// check, must_detect, canary, trial, rollout), `@kinds CATEGORY` for the descriptors of checks, protocols, switches,
/// thens or os_backends. invalid_config: any other line with an @.
Result<std::string> fill_man_page(std::string_view page);

}  // namespace modelguard::daemon
