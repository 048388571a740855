#pragma once
// How OIP servers answer with 200. Source: Open Inference Protocol inference_rest.md and the servers' own handlers.

#include <string>
#include <string_view>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks::oip {

/// A 200 of the ready endpoint, whose body may be empty, JSON, JSON in a JSON string, or a page of something else.
ReadyAnswer classify_ready_body(std::string_view body);

/// A 200 of the infer endpoint: outputs read leniently, checked strictly.
InferAnswer read_outputs(const Target& target, const InferShape& shape, std::string_view body);

}  // namespace modelguard::checks::oip
