#pragma once
// VersionInfo as JSON text: what the import child prints and what a ledger row holds. Internal to store.

#include <string>
#include <string_view>

#include "supervisor/store/versions.hpp"

namespace modelguard::store {

std::string version_info_to_json(const VersionInfo& info);
/// malformed_reply where it is not such a text; keys of newer releases are ignored.
Result<VersionInfo> version_info_from_json(std::string_view json);

}  // namespace modelguard::store
