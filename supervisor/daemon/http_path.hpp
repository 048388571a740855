#pragma once
// Percent-decoding of request paths. Splits first and decodes then, so that "%2F" stays inside its part. Not a URL
// parser.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelguard::daemon {

/// nullopt for a broken escape ("%", "%4", "%zz") and for NUL, raw or escaped.
std::optional<std::string> percent_decoded(std::string_view text);

/// "/v1/models/a%2Fb" → {"v1", "models", "a/b"}; "/" → {}. Empty parts are kept, so "/v1//x" is not "/v1/x".
/// nullopt where the path does not begin with "/" or a part does not decode.
std::optional<std::vector<std::string>> path_segments(std::string_view path);

}  // namespace modelguard::daemon
