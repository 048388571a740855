#pragma once
// How OIP servers answer: one classifier over the dialects of the KServe Python SDK, MLServer, Triton and OVMS, which
// agree on no status code. Source: Open Inference Protocol inference_rest.md and the servers' own handlers (kserve
// errors.py, MLServer rest/utils.py, Triton http_server.cc HttpCodeFromError, OVMS http_server.cpp status map).

#include <string>
#include <string_view>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks::oip {

struct Classified {
    Outcome outcome{Outcome::broken};
    std::string detail;  ///< one line: status and the server's own words
};

/// No reply at all. timed_out is `unreachable` while asking for readiness, but `broken` for an inference: the request
/// was taken.
Classified classify_error(const Error& error, bool infer);

/// A reply with a status other than 200.
Classified classify_status(int status, std::string_view body, bool infer);

/// A 200 of the ready endpoint, whose body may be empty, JSON, JSON in a JSON string, or a page of something else.
Classified classify_ready_body(std::string_view body);

/// A 200 of the infer endpoint: outputs read leniently, checked strictly.
InferAnswer read_outputs(const Target& target, const InferShape& shape, std::string_view body);

}  // namespace modelguard::checks::oip
