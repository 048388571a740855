// modelguard-version.yaml in the root of a bundle.

#include "supervisor/store/version_file.hpp"

#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const auto file = store::parse_version_file(fuzz::text_of(data, size));
    if (!file) {
        MG_ASSERT(file.error().kind == ErrorKind::invalid_config);
        MG_ASSERT(file.error().what.starts_with(store::kVersionFileName));
        MG_ASSERT(fuzz::is_one_line(file.error().what));
        return 0;
    }
    MG_ASSERT(file->label.size() <= 128 && fuzz::is_one_line(file->label));
    MG_ASSERT(file->served_version.size() <= 128 && fuzz::is_one_line(file->served_version));
    return 0;
}
