#pragma once
// Space set aside for the way back: a full disk fails the update, never the rollback. A file that is given up when a
// commit finds no space, and taken again when there is plenty. Not for limiting imports: those leave
// ImportLimits::reserve_bytes.

#include <cstdint>

#include "supervisor/sys/files.hpp"

namespace modelguard::store {

/// Hundreds of commits and links; a way back needs about ten.
inline constexpr std::uint64_t kReserveBytes = 4u << 20;

class Reserve {
  public:
    explicit Reserve(sys::Path file) : file_(std::move(file)) {}

    /// Makes the file with its blocks, where at least four times as much is free; fine where it is there. io with the
    /// reason, ENOSPC where too little is free. Blocks for one allocation, writes no data.
    Result<void> hold();
    /// Gives the space back; true if there was any to give.
    bool give_up();

  private:
    sys::Path file_;
};

}  // namespace modelguard::store
