#include "checks/protocol/protocol.hpp"

#include <array>

namespace modelguard::checks {

#define MG_KIND(name) extern const ProtocolKind kProtocolKind_##name;
#include "checks/protocol/protocols.def"
#undef MG_KIND

namespace {
const std::array kProtocols{
#define MG_KIND(name) &kProtocolKind_##name,
#include "checks/protocol/protocols.def"
#undef MG_KIND
};
}  // namespace

std::span<const ProtocolKind* const> protocols() { return kProtocols; }

const ProtocolKind* find_protocol(std::string_view name) {
    for (const ProtocolKind* kind : kProtocols) {
        if (kind->name == name) return kind;
    }
    return nullptr;
}

std::string_view to_word(Outcome outcome) {
    switch (outcome) {
        case Outcome::ok: return "ok";
        case Outcome::loading: return "loading";
        case Outcome::missing: return "missing";
        case Outcome::broken: return "broken";
        case Outcome::wrong_version: return "wrong_version";
        case Outcome::unreachable: return "unreachable";
    }
    return "unreachable";
}

}  // namespace modelguard::checks
