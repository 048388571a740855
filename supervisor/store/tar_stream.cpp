#include "supervisor/store/tar_stream.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "supervisor/base/text.hpp"
#include "supervisor/store/tree.hpp"

namespace modelguard::store {

namespace {
// As large as the pipe from the daemon, so that one read empties it.
constexpr std::size_t kReadBytes = 1u << 20;
// A ratio means nothing for the first megabyte: a small model with a large empty table is no bomb.
constexpr std::uint64_t kRatioFrom = 1u << 20;
// tar pads to its blocking factor, 10 KiB by default and 1 MiB at most in practice.
constexpr std::uint64_t kMostPadding = 1u << 20;
constexpr std::uint64_t kEndMark = 1024;  // two blocks of zeros

std::string reader_error(archive* reader) {
    const char* text = archive_error_string(reader);
    return text ? printable_name(text) : "cannot be read";
}

/// The one warning that is none to us: names are taken as bytes, and whether they are UTF-8 we check ourselves. (In a
/// UTF-8 locale libarchive would be silent, but rewrite names to NFC, and the version would not be the one that was
/// packed.)
bool is_charset_warning(archive* reader) {
    const char* text = archive_error_string(reader);
    return text != nullptr && std::strstr(text, "can't be converted from") != nullptr;
}
}  // namespace

void TarStream::Given::add(const void* block, std::size_t size) {
    const auto* content = static_cast<const unsigned char*>(block);
    std::size_t end = size;
    while (end > 0 && content[end - 1] == 0)
        --end;
    if (end > 0) last_set = bytes + end;
    bytes += size;
}

TarStream::TarStream(int fd, const ImportLimits& limits)
    : fd_(fd), limits_(limits), buffer_(kReadBytes), unpacker_(archive_read_new()), tar_(archive_read_new()) {
    MG_ASSERT(unpacker_ != nullptr && tar_ != nullptr);  // out of memory before the first byte
}

la_ssize_t TarStream::read_packed(archive*, void* self, const void** block) {
    auto& stream = *static_cast<TarStream*>(self);
    ssize_t count = 0;
    do
        count = ::read(stream.fd_, stream.buffer_.data(), stream.buffer_.size());
    while (count < 0 && errno == EINTR);
    if (count < 0) {
        stream.error_ = errno_error("read the bundle", errno);
        return -1;
    }
    const auto size = static_cast<std::size_t>(count);
    if (stream.packed_.bytes < stream.head_.size()) {
        const auto at = static_cast<std::size_t>(stream.packed_.bytes);
        std::memcpy(stream.head_.data() + at, stream.buffer_.data(), std::min(size, stream.head_.size() - at));
    }
    stream.packed_.add(stream.buffer_.data(), size);
    *block = stream.buffer_.data();
    return count;
}

la_ssize_t TarStream::read_unpacked(archive*, void* self, const void** block) {
    auto& stream = *static_cast<TarStream*>(self);
    if (stream.unpacker_done_) return 0;
    for (;;) {
        std::size_t size = 0;
        la_int64_t offset = 0;
        const int r = archive_read_data_block(stream.unpacker_.get(), block, &size, &offset);
        if (r == ARCHIVE_EOF) {
            stream.unpacker_done_ = true;
            return 0;
        }
        if (r != ARCHIVE_OK) {
            if (!stream.error_)
                stream.error_ = Error{ErrorKind::invalid_config, "unpack: " + reader_error(stream.unpacker_.get()), 0};
            return -1;
        }
        if (size == 0) continue;
        stream.unpacked_.add(*block, size);
        const std::uint64_t unpacked = stream.unpacked_.bytes;
        if (unpacked > kRatioFrom && unpacked / stream.limits_.max_ratio > stream.packed_.bytes) {
            stream.error_ =
                Error{ErrorKind::invalid_config,
                      "unpacks to more than " + std::to_string(stream.limits_.max_ratio) + " times its size", 0};
            return -1;
        }
        return static_cast<la_ssize_t>(size);
    }
}

std::unexpected<Error> TarStream::broken(archive* reader) {
    if (error_) return std::unexpected(*error_);
    const std::string where = last_name_.empty() ? "" : " at or after entry '" + printable_name(last_name_) + "'";
    return fail(ErrorKind::invalid_config, "broken archive" + where + ": " + reader_error(reader));
}

Result<void> TarStream::open() {
    archive* unpacker = unpacker_.get();
    archive_read_support_filter_gzip(unpacker);
    archive_read_support_filter_zstd(unpacker);
    archive_read_support_format_raw(unpacker);
    archive_entry* whole = nullptr;
    if (archive_read_open(unpacker, this, nullptr, read_packed, nullptr) != ARCHIVE_OK ||
        archive_read_next_header(unpacker, &whole) != ARCHIVE_OK) {
        if (packed_.bytes == 0 && !error_) return fail(ErrorKind::invalid_config, "the bundle is empty: 0 bytes");
        return broken(unpacker);
    }
    // The reader itself counts as one filter. A second layer of packing has no honest use, and hides a ratio.
    if (archive_filter_count(unpacker) > 2)
        return fail(ErrorKind::invalid_config, "the bundle is packed more than once");

    archive* tar = tar_.get();
    archive_read_support_format_tar(tar);
    if (archive_read_open(tar, this, nullptr, read_unpacked, nullptr) == ARCHIVE_OK) return {};
    if (error_) return broken(tar);
    const std::string_view head(reinterpret_cast<const char*>(head_.data()), head_.size());
    const char* found = head.starts_with("BZh") ? " (it looks like bzip2)"
                        : head.starts_with(
                              "\xfd"
                              "7zXZ")
                            ? " (it looks like xz)"
                        : head.starts_with("PK") ? " (it looks like zip)"
                                                 : "";
    return fail(ErrorKind::invalid_config, std::string("not a tar archive, plain or packed with gzip or zstd") + found);
}

Result<archive_entry*> TarStream::next_entry() {
    archive_entry* entry = nullptr;
    const int r = archive_read_next_header(tar_.get(), &entry);
    if (r == ARCHIVE_EOF) return nullptr;
    if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && is_charset_warning(tar_.get()))) return broken(tar_.get());
    const char* name = archive_entry_pathname(entry);
    last_name_ = name ? name : "";
    return entry;
}

Result<TarStream::Block> TarStream::next_block() {
    Block block;
    la_int64_t offset = 0;
    const int r = archive_read_data_block(tar_.get(), &block.bytes, &block.size, &offset);
    if (r == ARCHIVE_EOF) return Block{.bytes = nullptr, .size = 0, .offset = static_cast<std::uint64_t>(offset)};
    if (r != ARCHIVE_OK) return broken(tar_.get());
    block.offset = static_cast<std::uint64_t>(offset);
    return block;
}

Result<void> TarStream::check_tail(const Given& given, std::uint64_t from, const char* what) {
    if (given.last_set > from)
        return fail(ErrorKind::invalid_config, std::string("trailing data after the end of the ") + what);
    if (given.bytes > from + kMostPadding)
        return fail(ErrorKind::invalid_config, std::string("more than 1 MiB of padding after the end of the ") + what);
    return {};
}

Result<void> TarStream::finish() {
    const auto end_mark = static_cast<std::uint64_t>(archive_read_header_position(tar_.get()));
    const void* block = nullptr;
    for (la_ssize_t count = 1; count != 0;) {
        count = read_unpacked(nullptr, this, &block);
        if (count < 0) return std::unexpected(*error_);
        MG_CHECK(check_tail(unpacked_, end_mark, "archive"));
    }
    if (unpacked_.bytes < end_mark + kEndMark)
        return fail(ErrorKind::invalid_config, "truncated archive: its end mark is missing");
    const auto packed_end = static_cast<std::uint64_t>(archive_filter_bytes(unpacker_.get(), -1));
    for (la_ssize_t count = 1; count != 0;) {
        count = read_packed(nullptr, this, &block);
        if (count < 0) return std::unexpected(*error_);
        MG_CHECK(check_tail(packed_, packed_end, "packed stream"));
    }
    return {};
}

}  // namespace modelguard::store
