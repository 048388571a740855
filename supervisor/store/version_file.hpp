#pragma once
// `modelguard-version.yaml` in the root of a bundle: what the bundle says of itself. Internal to store; parsed in the
// import child only.

#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard::store {

inline constexpr std::string_view kVersionFileName = "modelguard-version.yaml";
inline constexpr std::size_t kMaxVersionFileBytes = 64u << 10;  // two short texts; more is not a version file

struct VersionFile {
    std::string label;           ///< the human name of the version
    std::string served_version;  ///< what the server is to report as its model_version
};

/// A map of `label` and `served_version`, both optional; an empty document is fine. invalid_config with the line for
/// everything else: other keys, twice the same key, anchors, aliases, tags, lists, a second document, texts over 128
/// bytes or with control characters.
Result<VersionFile> parse_version_file(std::string_view text);

}  // namespace modelguard::store
