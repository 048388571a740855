#pragma once
// A directory that is to travel as a bundle: what is in it, and what a bundle cannot hold.

#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/base/result.hpp"

namespace modelguard::cli {

struct TreeEntry {
    std::string path;  ///< below the top, without leading "./"
    bool is_directory{false};
    bool is_executable{false};  ///< any execute bit; nothing else of a mode is part of a version
    std::uint64_t size{0};
};

/// Everything below `top`, sorted bytewise by path. invalid_config names the first entry that a bundle cannot hold (a
/// symbolic link, a device, a socket, a fifo) or says that there are no files. Blocks.
Result<std::vector<TreeEntry>> list_tree(const std::string& top);

}  // namespace modelguard::cli
