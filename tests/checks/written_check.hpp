#pragma once
// Checks as a manifest writes them, read by the daemon's own reader: kinds that need no model server.

#include <string>

#include "tests/checks/bench_server.hpp"
#include "tests/sys/tiny_server.hpp"

namespace modelguard::checks::test {

class WrittenCheck : public CheckBench {
  protected:
    /// One pass of the check with this text, as in "kind: tcp, address: 127.0.0.1:1".
    CheckOutcome run_written(const std::string& text);
    /// The check itself, for more than one pass of it; fails the test where the text is wrong.
    std::shared_ptr<const Check> written(const std::string& text);
    /// What is said where the text is wrong; fails the test where it is not.
    std::string refusal(const std::string& text);

    std::string device_ = "{}";  ///< modelguard.yaml
};

}  // namespace modelguard::checks::test
