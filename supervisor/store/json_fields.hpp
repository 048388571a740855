#pragma once
// Reading one JSON object key by key, noting what a newer release may have put there. Internal to store; brings
// nlohmann/json.hpp, so include it in .cpp files only.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/core/values.hpp"

namespace modelguard::store {

/// Deterministic text on one line; what is not UTF-8 is replaced, since texts of servers and scripts end up here.
inline std::string dump_json(const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// A whole number that `Int` can hold, else nlohmann::json::exception: get<Int>() would cut a fraction off, wrap what
/// is too large round, and believe the rest.
template <std::integral Int>
Int whole_number(const nlohmann::json& value) {
    if (value.is_number_unsigned() && std::in_range<Int>(value.get<std::uint64_t>())) return value.get<Int>();
    if (value.is_number_integer() && !value.is_number_unsigned() && std::in_range<Int>(value.get<std::int64_t>()))
        return value.get<Int>();
    throw nlohmann::json::other_error::create(501, "expected a whole number, found " + value.dump().substr(0, 40),
                                              static_cast<const nlohmann::json*>(nullptr));
}

/// Throws nlohmann::json::exception where a value has the wrong type; callers turn that into an Error.
class Fields {
  public:
    /// Borrows `object` and `notes`. `where` starts each note ("model digits: trial").
    Fields(const nlohmann::json& object, std::string where, std::vector<std::string>& notes)
        : object_(object), where_(std::move(where)), notes_(notes) {
        object_.get_ref<const nlohmann::json::object_t&>();  // throws where it is not an object
    }

    const std::string& where() const { return where_; }
    std::vector<std::string>& notes() { return notes_; }

    /// nullptr where the key is missing or null: an older release did not know it, and the default stands.
    const nlohmann::json* find(std::string_view key) {
        taken_.emplace(key);
        const auto at = object_.find(key);
        return at == object_.end() || at->is_null() ? nullptr : &*at;
    }
    template <class T>
    void take(std::string_view key, T& into) {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return;
        if constexpr (std::integral<T> && !std::same_as<T, bool>)
            into = whole_number<T>(*value);
        else
            into = value->get<T>();
    }
    void take(std::string_view key, Usec& into) {
        if (const nlohmann::json* value = find(key)) into = Usec{whole_number<std::int64_t>(*value)};
    }
    void take(std::string_view key, Digest& into) { take(key, into.text); }
    /// False, with a note, where the word is not of this release; `into` keeps its value then.
    template <class Enum>
    bool take_word(std::string_view key, Enum& into) {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return true;
        const auto word = value->get<std::string>();
        if (const auto known = core::from_word<Enum>(word)) {
            into = *known;
            return true;
        }
        note("unknown " + std::string(key) + " '" + word + "'");
        return false;
    }
    template <class Enum>
    bool take_word(std::string_view key, std::optional<Enum>& into) {
        if (find(key) == nullptr) return true;
        Enum value{};
        if (!take_word(key, value)) return false;
        into = value;
        return true;
    }
    /// Unknown words are left out, with a note.
    template <class Enum>
    void take_words(std::string_view key, std::vector<Enum>& into) {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return;
        for (const nlohmann::json& item : *value) {
            const auto word = item.get<std::string>();
            if (const auto known = core::from_word<Enum>(word))
                into.push_back(*known);
            else
                note("unknown word '" + word + "' in " + std::string(key));
        }
    }
    void note(std::string text) { notes_.push_back(where_ + ": " + std::move(text)); }
    /// To be called when everything known was taken: notes the keys that are left.
    void note_unknown_keys() {
        for (const auto& [key, value] : object_.items())
            if (!taken_.contains(key)) note("unknown key '" + key + "'");
    }

  private:
    const nlohmann::json& object_;
    std::string where_;
    std::vector<std::string>& notes_;
    std::set<std::string, std::less<>> taken_;
};

/// `ours`, which names every key that this release knows, with what else is in the outermost object of `found`: a newer
/// release finds its own again after this one wrote the row.
inline std::string keep_unknown_keys(std::string_view found, std::string_view ours) {
    const auto before = nlohmann::json::parse(found, nullptr, false);
    auto now = nlohmann::json::parse(ours, nullptr, false);
    if (!before.is_object() || !now.is_object()) return std::string(ours);
    for (const auto& [key, value] : before.items())
        if (!now.contains(key)) now[key] = value;
    return dump_json(now);
}

nlohmann::json reports_to_json(const std::vector<core::CheckReport>& reports);
std::vector<core::CheckReport> reports_from_json(const nlohmann::json& json, const std::string& where,
                                                 std::vector<std::string>& notes);

}  // namespace modelguard::store
