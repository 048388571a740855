#pragma once
// Which order of the deployments a verb wants, and when it is refused. Pure. Nothing is ever dropped but the staged
// deployment that drop_staged names.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/base/result.hpp"

namespace modelguard::rollback::os_helper {

/// A deployment as the boot order has it.
struct Tree {
    std::string id;  ///< osname-checksum.serial
    std::string osname;
    bool booted{false};
    bool staged{false};
    bool os_pinned{false};
    bool bootable{true};  ///< its kernel is where the boot loader looks for it

    bool operator==(const Tree&) const = default;
};

/// Indices of trees, those of the order wanted; nullopt: it is so already.
using WantedOrder = std::optional<std::vector<std::size_t>>;

/// `id` first, all others as they were. not_found: no such deployment of the booted OS. conflict: it cannot boot, or
/// something is staged, which would be finalised at the reboot and win.
Result<WantedOrder> order_with_first(std::span<const Tree> trees, std::string_view id);
/// The same for the booted deployment alone; conflict for any other.
Result<WantedOrder> order_with_booted_first(std::span<const Tree> trees, std::string_view id);
/// All but the staged deployment `id`. Nothing staged is done already; conflict: another one is staged now.
Result<WantedOrder> order_without_staged(std::span<const Tree> trees, std::string_view id);

/// Empty where there is none.
std::string booted_id(std::span<const Tree> trees);
std::string staged_id(std::span<const Tree> trees);
/// What boots next, staged ones aside.
std::string default_id(std::span<const Tree> trees);

}  // namespace modelguard::rollback::os_helper
