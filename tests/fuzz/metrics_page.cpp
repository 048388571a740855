// A metrics page and a selector: samples are found or the page is refused with its line, never believed.

#include "checks/prometheus_text.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string_view written = text.substr(0, text.find('\n'));
    const std::string_view page = text.substr(std::min(size, written.size() + 1));
    const auto selector = checks::parse_selector(written);
    if (!selector) {
        MG_ASSERT(fuzz::is_one_line(selector.error().what));
        return 0;
    }
    const auto values = checks::select_samples(page, *selector);
    if (values)
        MG_ASSERT(2 * values->size() <= page.size());
    else
        MG_ASSERT(fuzz::is_one_line(values.error().what));
    return 0;
}
