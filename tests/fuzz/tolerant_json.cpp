// The filter in front of the JSON parser: limits kept, nothing changed but bare NaN and Infinity.

#include "checks/protocol/tolerant_json.hpp"

#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string_view body = fuzz::text_of(data, size);
    std::string storage;
    bool not_finite = false;
    const auto clean = checks::tolerant_json(body, storage, not_finite);
    if (!clean) {
        MG_ASSERT(clean.error().kind == ErrorKind::malformed_reply);
        return 0;
    }
    if (!not_finite) MG_ASSERT(clean->data() == body.data() && clean->size() == body.size());
    // Strict JSON has nothing to be replaced. (To the parser a NUL outside of a string is the end.)
    if (body.find('\0') == std::string_view::npos && nlohmann::json::accept(body)) MG_ASSERT(!not_finite);
    // Once is enough: the second pass finds nothing left.
    std::string storage_again;
    bool again = false;
    const auto twice = checks::tolerant_json(*clean, storage_again, again);
    MG_ASSERT(twice && !again && *twice == *clean);

    // What the parser then builds is no deeper than promised.
    int depth = 0;
    int deepest = 0;
    const auto measure = [&](int at, nlohmann::json::parse_event_t, nlohmann::json&) {
        depth = at;
        deepest = std::max(deepest, depth);
        return true;
    };
    const auto parsed = nlohmann::json::parse(*clean, measure, false);
    if (!parsed.is_discarded()) MG_ASSERT(deepest <= checks::kMaxJsonDepth + 1);
    return 0;
}
