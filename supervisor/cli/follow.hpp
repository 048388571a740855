#pragma once
// Following an operation to its end, with one line for each decision on the way.

#include "supervisor/cli/session.hpp"

namespace modelguard::cli {

struct FollowOptions {
    bool narrate{true};     ///< a line on stderr for each decision
    Usec timeout{0};        ///< 0: as long as it takes; the manifest's deadline and soak bound a trial
    std::int64_t after{0};  ///< tell decisions with a larger number
};

/// The number of the newest decision about `model`, 0 where there is none: what to follow from.
Answer<std::int64_t> newest_decision(const Session& session, const std::string& model);

/// Blocks until the operation is no longer running; the last document as it came. A daemon that goes away is waited for
/// (the operation survives its restart). An interrupt and a timeout are Failures whose text says that the operation
/// goes on.
Answer<std::string> follow(const Session& session, const Interrupts& interrupts, const api::OperationDoc& operation,
                           const FollowOptions& options);

/// Exit code of an operation that has ended (or of a running one that is not waited for: kDone).
int exit_code_of(const api::OperationDoc& operation);

/// Prints how an operation stands (JSON: the document itself), and returns its exit code.
int finish(const Session& session, const std::string& document);

}  // namespace modelguard::cli
