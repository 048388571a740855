// The small parsers that a request or a command line reaches: paths, percent escapes, digests, names, durations.

#include "supervisor/base/ids.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/base/time.hpp"
#include "supervisor/daemon/http_path.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string_view text = fuzz::text_of(data, size);

    if (const auto plain = daemon::percent_decoded(text)) {
        MG_ASSERT(plain->size() <= text.size() && plain->find('\0') == std::string::npos);
    }
    if (text.find('\0') == std::string_view::npos) {  // what our client encodes is what the server sees
        MG_ASSERT(daemon::percent_decoded(percent_encoded(text)) == std::string(text));
        const auto parts = daemon::path_segments("/v1/models/" + percent_encoded(text) + "/deploy");
        MG_ASSERT(parts && parts->size() == 4 && (*parts)[2] == text);
    }
    if (const auto parts = daemon::path_segments(text)) {
        MG_ASSERT(text.front() == '/');
        for (const std::string& part : *parts)
            MG_ASSERT(part.find('\0') == std::string::npos);
    }
    if (const auto digest = parse_digest(text)) {
        MG_ASSERT(digest->text.size() == 71 && digest->text.starts_with("sha256:"));
        MG_ASSERT(digest->text.find_first_not_of("0123456789abcdef", 7) == std::string::npos);
        const auto again = parse_digest(digest->dir_name());
        MG_ASSERT(again && *again == *digest);
    }
    if (is_valid_name(text)) {  // a name becomes a directory
        MG_ASSERT(text.find('/') == std::string_view::npos && text != "." && text != ".." && text.size() <= 63);
    }
    if (const auto duration = parse_duration(text)) {
        MG_ASSERT(duration->count() >= 0 && *duration <= std::chrono::days(3660));
        const auto again = parse_duration(format_duration(*duration));
        MG_ASSERT(again && *again == *duration);
    }
    return 0;
}
