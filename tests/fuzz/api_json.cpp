// The documents of the API, as the CLI reads them from a daemon of another release, and the one body that the daemon
// reads: refused, or what is read says the same when it is written again.

#include <utility>

#include "supervisor/api/client.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

template <class Document>
void check_round_trip(std::string_view text, Result<Document> (*read)(std::string_view)) {
    const Result<Document> first = read(text);
    if (!first) {
        MG_ASSERT(first.error().kind == ErrorKind::malformed_reply || first.error().kind == ErrorKind::invalid_config);
        return;
    }
    const std::string written = api::to_json(*first);
    const Result<Document> second = read(written);
    MG_ASSERT(second.has_value());
    MG_ASSERT(api::to_json(*second) == written);
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    fuzz::Input input(data, size);
    const unsigned which = input.take_byte() % 10;
    const std::string_view text = input.rest();
    switch (which) {
        case 0: check_round_trip(text, api::status_from_json); break;
        case 1: check_round_trip(text, api::history_from_json); break;
        case 2: check_round_trip(text, api::explanation_from_json); break;
        case 3: check_round_trip(text, api::versions_from_json); break;
        case 4: check_round_trip(text, api::operation_from_json); break;
        case 5: check_round_trip(text, api::problem_from_json); break;
        case 6: check_round_trip(text, api::validation_from_json); break;
        case 7: check_round_trip(text, api::kinds_from_json); break;
        case 8: check_round_trip(text, api::rollback_body_from_json); break;
        default: {
            api::Response response;
            response.status = 500;
            response.content_type = "application/problem+json";
            response.body = text;
            const api::Problem problem = api::problem_of(response);
            MG_ASSERT(!problem.kind.empty() && !problem.title.empty());
            std::ignore = api::kind_of(problem);  // any word has a kind
        }
    }
    return 0;
}
