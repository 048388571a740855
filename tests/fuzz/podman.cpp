// image.json of a bundle, and what podman answers.

#include "supervisor/sys/podman.hpp"

#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string_view text = fuzz::text_of(data, size);
    if (const auto file = sys::parse_image_file(text)) {
        MG_ASSERT(file->reference.size() <= 255 && fuzz::is_one_line(file->reference));
        MG_ASSERT(file->digest.size() == 71);
    } else {
        MG_ASSERT(file.error().kind == ErrorKind::invalid_config && fuzz::is_one_line(file.error().what));
    }
    if (const auto images = sys::parse_images(text)) {
        for (const sys::LocalImage& image : *images)
            MG_ASSERT(!image.id.empty() && !image.is(""));
    } else {
        MG_ASSERT(images.error().kind == ErrorKind::malformed_reply);
    }
    if (const auto container = sys::parse_container(text))
        MG_ASSERT(!container->id.empty() && !container->status.empty());
    MG_ASSERT(fuzz::is_one_line(sys::podman_error({.status = 500, .body = std::string(text)})));
    return 0;
}
