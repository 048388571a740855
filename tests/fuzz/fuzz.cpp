#include "tests/fuzz/fuzz.hpp"

#include <stdlib.h>
#include <unistd.h>

#include "supervisor/daemon/plain_text.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::fuzz {

namespace {
struct Scratch {
    std::filesystem::path path;
    Scratch() {
        const bool in_memory = ::access("/dev/shm", W_OK) == 0;
        std::string pattern =
            ((in_memory ? "/dev/shm" : std::filesystem::temp_directory_path()) / "modelguard-fuzz-XXXXXX").native();
        MG_ASSERT(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Scratch() { std::ignore = sys::remove_tree(path); }  // at exit there is nobody to tell
};
}  // namespace

const std::filesystem::path& scratch() {
    static const Scratch place;
    return place.path;
}

bool is_one_line(std::string_view text) {
    return !daemon::find_bad_text(text) && text.find_first_of("\n\r\t") == std::string_view::npos;
}

}  // namespace modelguard::fuzz
