#include "rollback/os_helper/order.hpp"

#include <algorithm>

namespace modelguard::rollback::os_helper {

namespace {
template <class Predicate>
std::string first_id(std::span<const Tree> trees, Predicate holds) {
    const auto found = std::ranges::find_if(trees, holds);
    return found == trees.end() ? std::string() : found->id;
}

std::string list_of(std::span<const Tree> trees) {
    std::string list;
    for (const Tree& tree : trees)
        list += (list.empty() ? "" : ", ") + tree.id;
    return list;
}
}  // namespace

std::string booted_id(std::span<const Tree> trees) { return first_id(trees, &Tree::booted); }
std::string staged_id(std::span<const Tree> trees) { return first_id(trees, &Tree::staged); }
std::string default_id(std::span<const Tree> trees) {
    return first_id(trees, [](const Tree& tree) { return !tree.staged; });
}

Result<WantedOrder> order_with_first(std::span<const Tree> trees, std::string_view id) {
    const auto target = std::ranges::find(trees, id, &Tree::id);
    const auto booted = std::ranges::find_if(trees, &Tree::booted);
    if (target == trees.end() || booted == trees.end() || target->osname != booted->osname)
        return fail(ErrorKind::not_found, "no such deployment of the booted OS; expected one of " + list_of(trees) +
                                              "; next: read the list again");
    if (target->staged)
        return fail(ErrorKind::conflict,
                    "it is only staged; expected one that is deployed; next: reboot to deploy it, or drop it");
    if (const std::string staged = staged_id(trees); !staged.empty())
        return fail(ErrorKind::conflict, staged +
                                             " is staged and would win at the reboot; expected nothing staged; "
                                             "next: drop_staged:" +
                                             staged);
    if (!target->bootable)
        return fail(ErrorKind::conflict,
                    "it cannot boot, its kernel is not in /boot; expected a bootable deployment; "
                    "next: choose another one");
    if (target == trees.begin()) return WantedOrder{};
    const auto wanted = static_cast<std::size_t>(target - trees.begin());
    std::vector<std::size_t> order{wanted};
    for (std::size_t index = 0; index < trees.size(); ++index)
        if (index != wanted) order.push_back(index);
    return WantedOrder{std::move(order)};
}

Result<WantedOrder> order_with_booted_first(std::span<const Tree> trees, std::string_view id) {
    const auto target = std::ranges::find(trees, id, &Tree::id);
    if (target != trees.end() && !target->booted)
        return fail(ErrorKind::conflict,
                    "it is not booted; expected " + booted_id(trees) + ", which is; next: read the list again");
    return order_with_first(trees, id);
}

Result<WantedOrder> order_without_staged(std::span<const Tree> trees, std::string_view id) {
    const std::string staged = staged_id(trees);
    if (staged.empty()) return WantedOrder{};
    if (staged != id)
        return fail(ErrorKind::conflict, "another one is staged now, " + staged +
                                             "; expected the one named or none; next: read the list again");
    std::vector<std::size_t> order;
    for (std::size_t index = 0; index < trees.size(); ++index)
        if (!trees[index].staged) order.push_back(index);
    return WantedOrder{std::move(order)};
}

}  // namespace modelguard::rollback::os_helper
