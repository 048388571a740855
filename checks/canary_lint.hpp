#pragma once
// What is wrong with a canary set, or weak about it: all of it at once, where loading one stops at the first error.
// Pure. Not for asking a model server.

#include <string>
#include <string_view>
#include <vector>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks {

struct CanaryFinding {
    bool is_error{true};  ///< the set cannot be used; else it can, and shows less than its author thinks
    int line{0};          ///< 0: the set as a whole
    std::string text;
};

struct CanaryLint {
    std::vector<CanaryItem> items;  ///< the lines that can be used
    std::vector<CanaryFinding> findings;
    bool has_error() const;
};

/// At most 50 findings; says how many more there are. Errors are those of parse_canary_set(), and a label that no score
/// can grade. Warnings: too few items, one class or nearly so, inputs that are there twice (an error where the labels
/// contradict each other), labels of several kinds.
CanaryLint lint_canary_set(std::string_view text);

}  // namespace modelguard::checks
