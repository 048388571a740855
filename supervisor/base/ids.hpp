#pragma once
// Strong identifiers. Not for parsing whole documents: only for the small words that name things.

#include <compare>
#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard {

/// The shape of model and check names: `[a-z0-9][a-z0-9_.-]{0,62}` (DESIGN.md section 8).
bool is_valid_name(std::string_view name);

/// A version digest: "sha256:" and 64 lower-case hex digits. Empty means "no version".
struct Digest {
    std::string text;

    auto operator<=>(const Digest&) const = default;
    bool empty() const { return text.empty(); }
    /// The first 12 hex digits, for people.
    std::string short_form() const;
    /// "sha256-<hex>", the name of the version's directory.
    std::string dir_name() const;
};

/// Accepts "sha256:<64 hex>", "sha256-<64 hex>" or the bare 64 hex digits, any case. invalid_config otherwise.
Result<Digest> parse_digest(std::string_view text);

}  // namespace modelguard
