#pragma once
// Canary sets: inputs with known answers, JSON Lines, in the version's tree. Read and validated whole before the first
// probe. A line: {"id": text or integer, "input": the protocol's payload, "label": …, "reference"?: …}; other keys are
// left alone.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "checks/protocol/protocol.hpp"
#include "supervisor/base/result.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::checks {

inline constexpr std::size_t kMaxCanaryBytes = 16u << 20;  ///< read and parsed on the loop: 16 MiB take about 0.1 s
inline constexpr std::size_t kMaxCanaryItems = 20'000;     ///< their scores are kept with the baseline

/// A canary path of a manifest: relative, inside of the version's tree. invalid_config for "", "/x", "a/../b", "./x",
/// "a//b", control characters and more than 255 bytes.
Result<void> validate_canary_path(std::string_view path);

/// Calls `take` with the number and the text of each line that is not blank, until it returns false. CRLF and a UTF-8
/// mark at the beginning are fine.
void for_each_line(std::string_view text, const std::function<bool(int number, std::string_view line)>& take);

/// Parses one line of a set; invalid_config says what was expected, without the place.
Result<CanaryItem> parse_canary_item(std::string_view line);

/// Parses the text of a set. Blank lines, CRLF and a UTF-8 mark are fine. invalid_config names `name`:line and what was
/// expected: not JSON, no object, id, input or label missing, an id twice, no item at all, too many.
Result<std::vector<CanaryItem>> parse_canary_set(std::string_view text, std::string_view name);

/// Reads `path` below `version_dir`. Errors: of the file (not_found, io, denied) with the path, of its content as
/// above. Blocks for as long as reading 16 MiB takes.
Result<std::vector<CanaryItem>> load_canary_set(const sys::Path& version_dir, const std::string& path);

/// The first item alone: reads no further than its line, so that asking for it every second costs nothing. Errors as
/// above, but what is wrong behind the first item is not seen.
Result<CanaryItem> load_first_item(const sys::Path& version_dir, const std::string& path);

/// One hex word over ids and inputs: measurements on different inputs are not compared.
std::string inputs_fingerprint(const std::vector<CanaryItem>& items);

}  // namespace modelguard::checks
