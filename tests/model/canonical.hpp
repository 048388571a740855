#pragma once
// A node as bytes in which ids are numbered in the order they are met, so that nodes that differ in numbering only are
// one. Not for storage: nothing reads these bytes back.

#include <cstdint>
#include <string>

#include "tests/model/world.hpp"

namespace modelguard::model {

/// `budgets`: with what may still happen. Text for people (`why`) is left out: it decides nothing.
std::string canonical(const Node& node, bool budgets = true);
/// Only what core holds.
std::string canonical(const core::State& state);

struct Hash {
    std::uint64_t low{0};
    std::uint64_t high{0};
    bool operator==(const Hash&) const = default;
};
/// 128 bits: with 10^8 nodes the chance that two differ and hash alike is below 10^-22.
Hash hash_of(const std::string& bytes);

}  // namespace modelguard::model
