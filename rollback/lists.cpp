#include "rollback/lists.hpp"

#include <algorithm>

namespace modelguard::rollback {

namespace {
constexpr const SwitchKind* kSwitches[] = {
#define MG_KIND(name) &switch_##name,
#include "rollback/switches.def"
#undef MG_KIND
};
constexpr const ThenKind* kThens[] = {
#define MG_KIND(name) &then_##name,
#include "rollback/thens.def"
#undef MG_KIND
};
constexpr const OsBackendKind* kOsBackends[] = {
#define MG_KIND(name) &os_##name,
#include "rollback/os_backends.def"
#undef MG_KIND
};

template <class Kind>
const Kind* find_in(std::span<const Kind* const> list, std::string_view name) {
    const auto it = std::ranges::find(list, name, &Kind::name);
    return it == list.end() ? nullptr : *it;
}
}  // namespace

std::span<const SwitchKind* const> switches() { return kSwitches; }
const SwitchKind* find_switch(std::string_view name) { return find_in(switches(), name); }
std::span<const ThenKind* const> thens() { return kThens; }
const ThenKind* find_then(std::string_view name) { return find_in(thens(), name); }
std::span<const OsBackendKind* const> os_backends() { return kOsBackends; }
const OsBackendKind* find_os_backend(std::string_view name) { return find_in(os_backends(), name); }

}  // namespace modelguard::rollback
