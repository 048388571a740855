#pragma once
// The `inputs` of an Open Inference Protocol request, from either form of a canary input: the whole array, or the
// values of one tensor, which the manifest's `input:` wraps.

#include <string>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks::oip {

/// The array as JSON text. invalid_config: the input is neither form, or its values do not fit the shape.
Result<std::string> inputs_text(const CanaryItem& item, const InferShape& shape);

}  // namespace modelguard::checks::oip
