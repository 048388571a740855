#pragma once
// What `deploy` sends: a directory as a tar made on the fly, a file as it is, or standard input.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "supervisor/base/result.hpp"

namespace modelguard::cli {

class Bundle {
  public:
    /// `path`: a directory, a file, or "-". A directory is packed by the program `modelguard-pack` beside this one
    /// (libarchive costs each start of the CLI 1.3 ms, so only `deploy` pays for it, in a child). Nothing is sent yet.
    /// Errors: invalid_config (a link in the directory, no files, standard input is a terminal), not_found, denied, io.
    static Result<Bundle> open(const std::string& path);

    Bundle(Bundle&& other) noexcept;
    Bundle& operator=(Bundle&&) = delete;
    /// Ends the packing child if it still runs.
    ~Bundle();

    int fd() const { return fd_; }
    /// Bytes to come, about (a tar adds its headers); nullopt where nobody knows.
    std::optional<std::uint64_t> expected_bytes() const { return expected_bytes_; }
    /// To be called when fd() has come to its end: io where the packing went wrong, and what was sent must not count.
    Result<void> complete();

  private:
    Bundle() = default;
    static Result<Bundle> pack(const std::string& directory);

    int fd_{-1};
    pid_t packer_{-1};
    std::optional<std::uint64_t> expected_bytes_;
};

}  // namespace modelguard::cli
