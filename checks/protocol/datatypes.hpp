#pragma once
// The Open Inference Protocol's number types as raw bytes: how wide each is, and how a number is written and read.
// Not for BYTES, which are texts of their own lengths.

#include <cstdint>
#include <optional>
#include <string_view>

namespace modelguard::checks::oip {

struct Datatype {
    std::string_view name;
    std::size_t size{0};  ///< bytes
    bool whole{false};    ///< of integers and booleans
    double (*read)(std::uint64_t bits){nullptr};
    /// The bits of a number of a type that is not whole.
    std::uint64_t (*write)(double number){nullptr};
};

/// nullptr: not a number type of the protocol.
const Datatype* find_datatype(std::string_view name);

}  // namespace modelguard::checks::oip
