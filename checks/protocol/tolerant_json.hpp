#pragma once
// What stands between a server's body and a strict JSON parser: limits for hostile bodies, and the bare NaN and
// Infinity tokens that several servers write (TensorFlow Serving's api_rest.md, "JSON conformance"; Python's json by
// default).

#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard::checks {

inline constexpr int kMaxJsonDepth = 64;                  ///< a tensor has at most a handful of axes
inline constexpr std::size_t kMaxJsonValues = 2'000'000;  ///< about 32 MiB once parsed; a full-HD mask fits

/// `body` itself where nothing had to be replaced, else a view into `storage`, in which each bare NaN, Infinity and
/// -Infinity outside of strings (any case, also `inf`) is `null`; `not_finite` says whether there was one.
/// malformed_reply: nested deeper than kMaxJsonDepth or more than kMaxJsonValues values. Does not otherwise check the
/// JSON.
Result<std::string_view> tolerant_json(std::string_view body, std::string& storage, bool& not_finite);

}  // namespace modelguard::checks
