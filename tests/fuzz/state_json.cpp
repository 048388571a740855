// Rows of the ledger as an older, newer or damaged release left them: read whole, or refused; what is read is written
// back to the same text.

#include "supervisor/store/ledger.hpp"
#include "supervisor/store/version_json.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

template <class Read, class Write>
void check_round_trip(std::string_view text, Read read, Write write) {
    std::vector<std::string> notes;
    const auto first = read(text, notes);
    if (!first) {
        // invalid_config: a digest that is none
        MG_ASSERT(first.error().kind == ErrorKind::malformed_reply || first.error().kind == ErrorKind::invalid_config);
        return;
    }
    const std::string written = write(*first);
    MG_ASSERT(written.find('\n') == std::string::npos);
    std::vector<std::string> more;
    const auto second = read(written, more);
    MG_ASSERT(second && more.empty());
    MG_ASSERT(write(*second) == written);
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    fuzz::Input input(data, size);
    switch (input.take_byte() & 3) {
        case 0: check_round_trip(input.rest(), store::model_state_from_json, store::model_state_to_json); break;
        case 1: check_round_trip(input.rest(), store::os_state_from_json, store::os_state_to_json); break;
        case 2:
            check_round_trip(
                input.rest(),
                [](std::string_view text, std::vector<std::string>&) { return store::decision_from_json(text); },
                store::decision_to_json);
            break;
        default:
            check_round_trip(
                input.rest(),
                [](std::string_view text, std::vector<std::string>&) { return store::version_info_from_json(text); },
                store::version_info_to_json);
            break;
    }
    return 0;
}
