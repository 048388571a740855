// modelguard-pack DIR: writes DIR as a tar to standard output, for `modelguard deploy`. The same directory gives the
// same bytes: sorted, no times, no owners. Not for users.

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "supervisor/cli/tree.hpp"

namespace modelguard::cli {
namespace {

struct FreeArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

Result<void> checked(archive* writer, la_ssize_t result, const std::string& path) {
    if (result >= 0) return {};
    const char* why = archive_error_string(writer);
    return fail(ErrorKind::io, path + ": " + (why != nullptr ? why : "cannot be packed"));
}

std::unexpected<Error> changed(const std::string& path) {
    return fail(ErrorKind::io, path + " changed while it was being read");
}

Result<void> copy_file(archive* writer, int top, const TreeEntry& file) {
    const int fd = ::openat(top, file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return fail_errno(file.path, errno);
    const auto close_fd = [](const int* open) { ::close(*open); };
    const std::unique_ptr<const int, decltype(close_fd)> closer(&fd, close_fd);
    std::array<char, 128 * 1024> buffer;
    std::uint64_t left = file.size;
    for (;;) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(file.path, errno);
        if (count == 0) break;
        if (static_cast<std::uint64_t>(count) > left) return changed(file.path);
        left -= static_cast<std::uint64_t>(count);
        MG_CHECK(
            checked(writer, archive_write_data(writer, buffer.data(), static_cast<std::size_t>(count)), file.path));
    }
    if (left != 0) return changed(file.path);
    return {};
}

Result<void> pack(const std::string& directory) {
    MG_TRY(const auto entries, list_tree(directory));
    const int top = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0) return fail_errno(directory, errno);
    const std::unique_ptr<archive, FreeArchive> writer(archive_write_new());
    archive_write_set_format_pax_restricted(writer.get());
    // Names are bytes: without this a name outside ASCII is "translated" by the locale, or refused.
    archive_write_set_format_option(writer.get(), "pax", "hdrcharset", "BINARY");
    MG_CHECK(checked(writer.get(), archive_write_open_fd(writer.get(), STDOUT_FILENO), "standard output"));
    for (const TreeEntry& one : entries) {
        const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
        archive_entry_set_pathname(entry.get(), one.path.c_str());
        archive_entry_set_filetype(entry.get(), one.is_directory ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry.get(), one.is_directory || one.is_executable ? 0755 : 0644);
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(one.size));
        MG_CHECK(checked(writer.get(), archive_write_header(writer.get(), entry.get()), one.path));
        if (!one.is_directory) MG_CHECK(copy_file(writer.get(), top, one));
    }
    return checked(writer.get(), archive_write_close(writer.get()), "standard output");
}

}  // namespace
}  // namespace modelguard::cli

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: modelguard-pack DIR > TAR\n", stderr);
        return 2;
    }
    if (const auto packed = modelguard::cli::pack(argv[1]); !packed) {
        std::fprintf(stderr, "modelguard: %s\n", packed.error().what.c_str());
        return 1;
    }
    return 0;
}
