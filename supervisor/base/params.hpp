#pragma once
// Parameter tables: what a check kind, protocol, switch or OS backend takes. One table drives validation errors,
// `modelguard kinds`, the JSON schema and the man page. Not for the fixed keys of the manifest itself.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervisor/base/result.hpp"
#include "supervisor/base/time.hpp"

namespace modelguard {

enum class ParamType { boolean, integer, number, text, duration, text_list, object };
std::string_view to_string(ParamType type);

/// One row of a table. Everything is a string_view into static storage.
struct ParamSpec {
    std::string_view name;
    ParamType type{ParamType::text};
    std::string_view unit;  ///< "seconds", "share 0-1", …, or empty
    bool required{false};
    std::string_view default_text;  ///< as it would be written in YAML; empty: no default
    std::string_view help;          ///< one sentence
    double minimum{0};  ///< inclusive; for integer, number (and duration in seconds); used if minimum < maximum
    double maximum{0};
    std::span<const std::string_view> choices{};  ///< allowed words, for text
    std::span<const ParamSpec> fields{};          ///< for object
};

struct ParamValue;
using ParamMap = std::map<std::string, ParamValue, std::less<>>;

/// A parsed value with the place it came from (line 0: a default).
struct ParamValue {
    std::variant<std::monostate, bool, std::int64_t, double, std::string, Usec, std::vector<std::string>, ParamMap>
        value;
    int line{0};

    bool operator==(const ParamValue&) const;
};

/// Typed access after validation; MG_ASSERT where the table does not promise the type.
const std::string& text_param(const ParamMap& params, std::string_view name);
double number_param(const ParamMap& params, std::string_view name);  ///< integer or number
std::int64_t integer_param(const ParamMap& params, std::string_view name);
bool boolean_param(const ParamMap& params, std::string_view name);
Usec duration_param(const ParamMap& params, std::string_view name);
const std::vector<std::string>& text_list_param(const ParamMap& params, std::string_view name);
const ParamMap& object_param(const ParamMap& params, std::string_view name);
bool has_param(const ParamMap& params, std::string_view name);

/// The candidate nearest to `word` by edit distance, if at most a third of its letters (and at least one) differ.
std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace modelguard
