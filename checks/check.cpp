#include "checks/check.hpp"

#include <array>

namespace modelguard::checks {

#define MG_KIND(name) extern const CheckKind kCheckKind_##name;
#include "checks/kinds.def"
#undef MG_KIND

namespace {
// An explicit list and no self-registration: the linker drops what only registers itself in a static library.
const std::array kKinds{
#define MG_KIND(name) &kCheckKind_##name,
#include "checks/kinds.def"
#undef MG_KIND
};
}  // namespace

std::span<const CheckKind* const> kinds() { return kKinds; }

const CheckKind* find_kind(std::string_view name) {
    for (const CheckKind* kind : kKinds) {
        if (kind->name == name) return kind;
    }
    return nullptr;
}

}  // namespace modelguard::checks
