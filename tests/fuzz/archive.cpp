// A bundle, through the code of the import child: refused with a reason, or a tree whose digest is the one stated.
// Nothing is written beside the tree. The first byte may ask for the checksums of tar headers to be put right, since
// mutations would seldom get past them.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>

#include "supervisor/store/import_stream.hpp"
#include "supervisor/sys/fd.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBlock = 512;
constexpr store::ImportLimits kLimits{
    .max_bytes = 1u << 20, .max_entries = 64, .max_ratio = 1'000, .max_path = 200, .max_depth = 8, .reserve_bytes = 0};

void right_checksums(std::string& tar) {
    constexpr std::size_t kField = 148;
    constexpr std::size_t kFieldSize = 8;
    for (std::size_t at = 0; at + kBlock <= tar.size(); at += kBlock) {
        char* header = tar.data() + at;
        if (std::memcmp(header + 257, "ustar", 5) != 0) continue;
        std::memset(header + kField, ' ', kFieldSize);
        unsigned sum = 0;
        for (std::size_t i = 0; i < kBlock; ++i)
            sum += static_cast<unsigned char>(header[i]);
        std::snprintf(header + kField, kFieldSize, "%06o", sum & 0777777);
    }
}

sys::Fd file_with(std::string_view bytes) {
    sys::Fd file(::memfd_create("bundle", MFD_CLOEXEC));
    MG_ASSERT(file);
    MG_ASSERT(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    MG_ASSERT(::lseek(file.get(), 0, SEEK_SET) == 0);
    return file;
}

/// What a version may consist of, and nothing else.
void check_tree(const fs::path& tree, const store::VersionInfo& info) {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(tree)) {
        struct stat status{};
        MG_ASSERT(::lstat(entry.path().c_str(), &status) == 0);
        MG_ASSERT(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
        const auto mode = status.st_mode & 07777;
        MG_ASSERT(mode == 0555 || (mode == 0444 && S_ISREG(status.st_mode)));
        MG_ASSERT(fs::relative(entry.path(), tree).native().size() <= kLimits.max_path);
        if (!S_ISREG(status.st_mode)) continue;
        ++files;
        bytes += static_cast<std::uint64_t>(status.st_size);
    }
    MG_ASSERT(files == info.files && bytes == info.bytes && files > 0);
    MG_ASSERT(bytes <= kLimits.max_bytes && files <= kLimits.max_entries);
    const auto digest = store::digest_tree(tree);
    MG_ASSERT(digest && *digest == info.digest);
    MG_ASSERT(fuzz::is_one_line(info.label) && fuzz::is_one_line(info.served_version));
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    fuzz::Input input(data, size);
    const bool right = (input.take_byte() & 1) != 0;
    std::string bytes(input.rest());
    if (right) right_checksums(bytes);
    const fs::path tree = fuzz::scratch() / "tree";
    MG_ASSERT(::mkdir(tree.c_str(), 0700) == 0);

    const auto info = store::import_stream(file_with(bytes).get(), tree, kLimits);

    if (info) {
        check_tree(tree, *info);
    } else {
        MG_ASSERT(info.error().kind == ErrorKind::invalid_config);
        MG_ASSERT(!info.error().what.empty() && fuzz::is_one_line(info.error().what));
    }
    MG_ASSERT(sys::remove_tree(tree).has_value());
    MG_ASSERT(fs::is_empty(fuzz::scratch()));
    return 0;
}
