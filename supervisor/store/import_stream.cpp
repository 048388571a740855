#include "supervisor/store/import_stream.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "supervisor/base/text.hpp"
#include "supervisor/store/entry_names.hpp"
#include "supervisor/store/tar_stream.hpp"
#include "supervisor/store/tree.hpp"
#include "supervisor/store/version_file.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

namespace {

// How much is written before the free space is looked at again and writeback is started; a flash card takes about 0.2 s
// for it.
constexpr std::uint64_t kChunk = 8u << 20;

std::unexpected<Error> refuse(std::string_view path, std::string_view why) {
    return fail(ErrorKind::invalid_config, "entry '" + printable_name(path) + "': " + std::string(why));
}

/// Writes below one directory by descriptors only: every component is opened with O_NOFOLLOW.
class TreeWriter {
  public:
    explicit TreeWriter(sys::Fd root) : root_(std::move(root)) {}

    Result<void> make_directory(const std::string& path);
    Result<sys::Fd> create_file(const std::string& path);
    /// Modes and fsync of all directories, the deepest first; the root keeps its mode, it still has to be moved.
    Result<void> finish();

  private:
    Result<int> parent_of(const std::string& path);

    sys::Fd root_;
    std::vector<std::string> directories_;
    std::string opened_path_;  // of the last parent: entries come by directory
    sys::Fd opened_;
};

std::string_view parent_path(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// Opens the parent of `path`, making what is missing of it.
Result<int> TreeWriter::parent_of(const std::string& path) {
    const std::string_view wanted = parent_path(path);
    if (wanted.empty()) return root_.get();
    if (opened_ && opened_path_ == wanted) return opened_.get();
    sys::Fd at;
    for (std::size_t begin = 0; begin < wanted.size();) {
        const std::size_t end = std::min(wanted.find('/', begin), wanted.size());
        const std::string component(wanted.substr(begin, end - begin));
        const int above = at ? at.get() : root_.get();
        if (::mkdirat(above, component.c_str(), 0700) == 0)
            directories_.emplace_back(wanted.substr(0, end));
        else if (errno != EEXIST)
            return fail_errno("make directory for '" + printable_name(path) + "'", errno);
        sys::Fd next(::openat(above, component.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!next) return fail_errno("open directory for '" + printable_name(path) + "'", errno);
        at = std::move(next);
        begin = end + 1;
    }
    opened_ = std::move(at);
    opened_path_ = wanted;
    return opened_.get();
}

Result<void> TreeWriter::make_directory(const std::string& path) {
    // As the parent of something in it: makes what is missing, and the entries that follow find it open.
    MG_TRY([[maybe_unused]] const int made, parent_of(path + "/."));
    return {};
}

Result<sys::Fd> TreeWriter::create_file(const std::string& path) {
    MG_TRY(const int parent, parent_of(path));
    const std::string name(std::string_view(path).substr(parent_path(path).empty() ? 0 : parent_path(path).size() + 1));
    sys::Fd file(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno("create '" + printable_name(path) + "'", errno);
    return file;
}

Result<void> TreeWriter::finish() {
    opened_.reset();
    std::ranges::sort(directories_, std::greater<>());
    for (const std::string& path : directories_) {
        const sys::Fd directory(::openat(root_.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory) return fail_errno("open '" + printable_name(path) + "'", errno);
        if (::fchmod(directory.get(), 0555) != 0) return fail_errno("chmod '" + printable_name(path) + "'", errno);
        if (::fsync(directory.get()) != 0) return fail_errno("fsync '" + printable_name(path) + "'", errno);
    }
    if (::fsync(root_.get()) != 0) return fail_errno("fsync the new version", errno);
    return {};
}

class ImportRun {
  public:
    ImportRun(int fd, const sys::Path& tree, const ImportLimits& limits, sys::Fd root)
        : tree_(tree), limits_(limits), stream_(fd, limits), names_(limits.max_entries), writer_(std::move(root)) {}

    Result<VersionInfo> run();

  private:
    Result<void> take_entry(archive_entry* entry);
    Result<void> take_file(archive_entry* entry, const std::string& path);
    Result<void> copy_content(const sys::Fd& file, const std::string& path, std::uint64_t size, sys::Sha256& sum);
    Result<void> write_block(const sys::Fd& file, const std::string& path, const TarStream::Block& block);
    Result<void> check_space(std::uint64_t needed, const std::string& path) const;

    const sys::Path& tree_;
    const ImportLimits& limits_;
    TarStream stream_;
    EntryNames names_;
    TreeWriter writer_;
    std::vector<FileLine> lines_;
    std::vector<FileStamp> stamps_;
    std::uint64_t bytes_{0};
    std::string version_file_;
};

Result<void> ImportRun::check_space(std::uint64_t needed, const std::string& path) const {
    MG_TRY(const std::uint64_t available, sys::free_bytes(tree_));
    if (available >= needed && available - needed >= limits_.reserve_bytes) return {};
    const std::string what = "entry '" + printable_name(path) + "': no space: " + std::to_string(needed) +
                             " bytes more are needed, " + std::to_string(available) + " are free, and " +
                             std::to_string(limits_.reserve_bytes) + " stay reserved";
    return std::unexpected(Error{ErrorKind::io, what, ENOSPC});
}

Result<void> ImportRun::write_block(const sys::Fd& file, const std::string& path, const TarStream::Block& block) {
    const char* bytes = static_cast<const char*>(block.bytes);
    for (std::size_t left = block.size; left > 0;) {
        const ssize_t count = ::write(file.get(), bytes, left);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("write '" + printable_name(path) + "'", errno);
        bytes += count;
        left -= static_cast<std::size_t>(count);
    }
    return {};
}

Result<void> ImportRun::copy_content(const sys::Fd& file, const std::string& path, std::uint64_t size,
                                     sys::Sha256& sum) {
    const bool is_version_file = path == kVersionFileName;
    std::uint64_t written = 0;
    std::uint64_t started = 0;
    for (;;) {
        MG_TRY(const TarStream::Block block, stream_.next_block());
        // A hole shows as an offset ahead of what was written. Sparse files are not taken: they unpack without a limit.
        if (block.offset != written && (block.size > 0 || block.offset > written)) return refuse(path, "sparse file");
        if (block.size == 0) break;
        if (written + block.size > size) return refuse(path, "holds more than its header says");
        sum.update(block.bytes, block.size);
        MG_CHECK(write_block(file, path, block));
        written += block.size;
        if (written - started >= kChunk) {
            // So that the disk works while we hash, and the fsync at the end is short.
            std::ignore =
                ::sync_file_range(file.get(), static_cast<off_t>(started), static_cast<off_t>(written - started),
                                  SYNC_FILE_RANGE_WRITE);  // a hint only
            started = written;
            MG_CHECK(check_space(size - written, path));
        }
        if (is_version_file) version_file_.append(static_cast<const char*>(block.bytes), block.size);
    }
    if (written != size) return refuse(path, "truncated");
    return {};
}

Result<void> ImportRun::take_file(archive_entry* entry, const std::string& path) {
    MG_CHECK(names_.add_file(path));
    if (archive_entry_sparse_count(entry) > 0) return refuse(path, "sparse file");
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0) return refuse(path, "no size");
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    if (size > limits_.max_bytes - bytes_)
        return refuse(path, "the bundle unpacks to more than " + std::to_string(limits_.max_bytes) + " bytes");
    if (path == kVersionFileName && size > kMaxVersionFileBytes) return refuse(path, "larger than 64 KiB");
    MG_CHECK(check_space(size, path));

    MG_TRY(const sys::Fd file, writer_.create_file(path));
    sys::Sha256 sum;
    MG_CHECK(copy_content(file, path, size, sum));
    const bool executable = (archive_entry_mode(entry) & 0111) != 0;
    if (::fchmod(file.get(), executable ? 0555 : 0444) != 0)
        return fail_errno("chmod '" + printable_name(path) + "'", errno);
    if (::fsync(file.get()) != 0) return fail_errno("fsync '" + printable_name(path) + "'", errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return fail_errno("stat '" + printable_name(path) + "'", errno);
    lines_.push_back({path, executable, size, sum.finish_hex()});
    stamps_.push_back(stamp_of(path, status));
    bytes_ += size;
    return {};
}

Result<void> ImportRun::take_entry(archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    MG_TRY(const std::string path, clean_entry_path(raw ? raw : "", limits_.max_path, limits_.max_depth));
    if (const char* target = archive_entry_hardlink(entry))
        return refuse(path, "hard link to '" + printable_name(target) + "'");
    switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
            if (path.empty()) return refuse(raw, "no name");
            if ((archive_entry_mode(entry) & (S_ISUID | S_ISGID)) != 0) return refuse(path, "setuid or setgid bit");
            return take_file(entry, path);
        case AE_IFDIR:
            // setgid on a directory only passes the group on; common in shared folders, gone after normalising.
            if ((archive_entry_mode(entry) & S_ISUID) != 0) return refuse(path, "setuid bit");
            if (path.empty()) return {};
            MG_CHECK(names_.add_directory(path));
            return writer_.make_directory(path);
        case AE_IFLNK: return refuse(path, "symbolic link");
        case AE_IFIFO: return refuse(path, "named pipe");
        case AE_IFCHR:
        case AE_IFBLK: return refuse(path, "device");
        case AE_IFSOCK: return refuse(path, "socket");
        default: return refuse(path, "neither a regular file nor a directory");
    }
}

Result<VersionInfo> ImportRun::run() {
    MG_CHECK(stream_.open());
    for (;;) {
        MG_TRY(archive_entry * entry, stream_.next_entry());
        if (entry == nullptr) break;
        MG_CHECK(take_entry(entry));
    }
    MG_CHECK(stream_.finish());
    if (lines_.empty()) return fail(ErrorKind::invalid_config, "the bundle holds no file");
    MG_TRY(VersionFile version_file, parse_version_file(version_file_));
    MG_CHECK(writer_.finish());

    struct stat status{};
    if (::stat(tree_.c_str(), &status) != 0) return fail_errno("stat the new version", errno);
    VersionInfo info;
    info.files = lines_.size();
    info.digest = digest_of(std::move(lines_));
    info.label = std::move(version_file.label);
    info.served_version = std::move(version_file.served_version);
    info.bytes = bytes_;
    info.imported_wall_usec = sys::wall_now_usec();
    info.stamps = stamps_to_json({.boot_id = sys::boot_id(), .dev = status.st_dev, .files = std::move(stamps_)});
    return info;
}

}  // namespace

Result<VersionInfo> import_stream(int fd, const sys::Path& tree, const ImportLimits& limits) {
    MG_TRY(sys::Fd root, sys::open_directory(tree));
    return ImportRun(fd, tree, limits, std::move(root)).run();
}

}  // namespace modelguard::store
