#pragma once
// The reading half of an import: libarchive's tar reader over libarchive's decompressor, with the bytes of both sides
// counted. Two readers on top of each other instead of one, because only so can be seen what stands behind the end of
// the archive and how much was unpacked from how little. Internal to store.

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/store/versions.hpp"
#include "supervisor/sys/fd.hpp"

namespace modelguard::store {

class TarStream {
  public:
    TarStream(int fd, const ImportLimits& limits);

    /// Recognises the packing. invalid_config where it is not plain, gzip or zstd, or packed twice.
    Result<void> open();
    /// The next entry (borrowed until the next call), or nullptr at the end-of-archive mark.
    Result<archive_entry*> next_entry();
    struct Block {
        const void* bytes{nullptr};
        std::size_t size{0};
        std::uint64_t offset{0};
    };
    /// The next piece of the entry's content; size 0 at its end.
    Result<Block> next_block();
    /// To be called when next_entry() said nullptr. invalid_config where the end mark is missing or something follows
    /// it.
    Result<void> finish();

  private:
    /// Bytes handed to a reader: how many, and where the last byte other than NUL ended.
    struct Given {
        std::uint64_t bytes{0};
        std::uint64_t last_set{0};
        void add(const void* block, std::size_t size);
    };
    static la_ssize_t read_packed(archive*, void* self, const void** block);
    static la_ssize_t read_unpacked(archive*, void* self, const void** block);
    std::unexpected<Error> broken(archive* reader);
    Result<void> check_tail(const Given& given, std::uint64_t from, const char* what);

    int fd_;
    const ImportLimits& limits_;
    std::vector<char> buffer_;
    Given packed_;
    Given unpacked_;
    std::array<unsigned char, 6> head_{};  // the first bytes, to name a wrong format
    std::optional<Error> error_;           // what a callback could say only as -1
    std::string last_name_;
    bool unpacker_done_{false};
    sys::CPtr<archive, ::archive_read_free> unpacker_;
    sys::CPtr<archive, ::archive_read_free> tar_;
};

}  // namespace modelguard::store
