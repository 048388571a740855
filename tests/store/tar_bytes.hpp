#pragma once
// Tar archives written byte by byte, so that a test can make what no honest program writes; packed by libarchive.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelguard::store::test {

struct TarHeader {
    std::string name;
    std::string content;
    char type{'0'};  ///< '0' file, '5' directory, '1' hard link, '2' symbolic link, '3' '4' device, '6' named pipe
    unsigned mode{0644};
    std::string link;
    std::uint64_t stated_size{UINT64_MAX};  ///< UINT64_MAX: the content's
};

class Tar {
  public:
    Tar& add(const TarHeader& header);
    Tar& file(std::string name, std::string content, unsigned mode = 0644) {
        return add({.name = std::move(name), .content = std::move(content), .mode = mode});
    }
    Tar& directory(std::string name, unsigned mode = 0755) {
        return add({.name = std::move(name), .type = '5', .mode = mode});
    }
    /// A pax header for the entry that follows: a long name, a sparse map.
    Tar& pax(const std::vector<std::pair<std::string, std::string>>& records);
    /// With the end mark, padded to 10 KiB as tar does.
    std::string bytes() const;
    std::string without_end() const { return bytes_; }

  private:
    std::string bytes_;
};

std::string gzip(std::string_view bytes);
std::string zstd(std::string_view bytes);

/// A small good bundle with a version file, two levels and an executable.
Tar good_bundle(const std::string& weights = "weights of a model");

}  // namespace modelguard::store::test
