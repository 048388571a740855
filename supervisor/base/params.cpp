#include "supervisor/base/params.hpp"

#include <algorithm>

namespace modelguard {

std::string_view to_string(ParamType type) {
    switch (type) {
        case ParamType::boolean: return "boolean";
        case ParamType::integer: return "integer";
        case ParamType::number: return "number";
        case ParamType::text: return "text";
        case ParamType::duration: return "duration";
        case ParamType::text_list: return "list of text";
        case ParamType::object: return "object";
    }
    return "text";
}

bool ParamValue::operator==(const ParamValue& other) const { return value == other.value; }

namespace {
const ParamValue& find_param(const ParamMap& params, std::string_view name) {
    const auto it = params.find(name);
    MG_ASSERT(it != params.end());
    return it->second;
}
template <class T>
const T& typed(const ParamMap& params, std::string_view name) {
    const T* value = std::get_if<T>(&find_param(params, name).value);
    MG_ASSERT(value != nullptr);
    return *value;
}
}  // namespace

const std::string& text_param(const ParamMap& params, std::string_view name) {
    return typed<std::string>(params, name);
}
double number_param(const ParamMap& params, std::string_view name) {
    const ParamValue& found = find_param(params, name);
    if (const auto* integer = std::get_if<std::int64_t>(&found.value)) return static_cast<double>(*integer);
    return typed<double>(params, name);
}
std::int64_t integer_param(const ParamMap& params, std::string_view name) { return typed<std::int64_t>(params, name); }
bool boolean_param(const ParamMap& params, std::string_view name) { return typed<bool>(params, name); }
Usec duration_param(const ParamMap& params, std::string_view name) { return typed<Usec>(params, name); }
const std::vector<std::string>& text_list_param(const ParamMap& params, std::string_view name) {
    return typed<std::vector<std::string>>(params, name);
}
const ParamMap& object_param(const ParamMap& params, std::string_view name) { return typed<ParamMap>(params, name); }
bool has_param(const ParamMap& params, std::string_view name) { return params.contains(name); }

namespace {
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
        }
    }
    return row[b.size()];
}
}  // namespace

std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
    constexpr std::size_t kLongestWord = 64;  // beyond it there is nothing to guess, and the table is quadratic
    if (word.size() > kLongestWord) return std::nullopt;
    std::optional<std::string> best;
    std::size_t best_distance = 0;
    for (const std::string_view candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        const std::size_t allowed = std::max<std::size_t>(1, std::max(word.size(), candidate.size()) / 3);
        if (distance > allowed || (best && distance >= best_distance)) continue;
        best = std::string(candidate);
        best_distance = distance;
    }
    return best;
}

}  // namespace modelguard
