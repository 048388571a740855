#pragma once
// The descriptors named by the three .def lists, declared for the files that define them and for lists.cpp.
// Not for users of a switch: those call find_switch() and its like.

#include "rollback/os_backend.hpp"
#include "rollback/switch.hpp"

namespace modelguard::rollback {

#define MG_KIND(name) extern const SwitchKind switch_##name;
#include "rollback/switches.def"
#undef MG_KIND
#define MG_KIND(name) extern const ThenKind then_##name;
#include "rollback/thens.def"
#undef MG_KIND
#define MG_KIND(name) extern const OsBackendKind os_##name;
#include "rollback/os_backends.def"
#undef MG_KIND

}  // namespace modelguard::rollback
