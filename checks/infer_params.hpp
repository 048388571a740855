#pragma once
// The parameters that every inferring check shares (`canary`, `input`, `output`), as table rows and as a compiled
// value.

#include <array>
#include <string>

#include "checks/protocol/protocol.hpp"
#include "supervisor/base/params.hpp"

namespace modelguard::checks {

inline constexpr std::array<std::string_view, 13> kDatatypes{
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"};
inline constexpr std::array<std::string_view, 2> kReductions{"none", "argmax"};

inline constexpr std::array<ParamSpec, 3> kInputFields{
    ParamSpec{.name = "name", .default_text = "input-0", .help = "The input tensor's name."},
    ParamSpec{.name = "datatype", .default_text = "FP32", .help = "The input tensor's type.", .choices = kDatatypes},
    ParamSpec{
        .name = "shape",
        .type = ParamType::text_list,
        .help = "The shape of one item with its batch dimension, as in [1, 64]; one axis may be -1. Absent: [1, n]."},
};
inline constexpr std::array<ParamSpec, 2> kOutputFields{
    ParamSpec{.name = "name", .help = "The output tensor to judge. Absent: the first one."},
    ParamSpec{.name = "reduce",
              .default_text = "none",
              .help = "argmax takes the index of the largest number along the last axis.",
              .choices = kReductions},
};

inline constexpr ParamSpec kCanaryParam{
    .name = "canary", .required = true, .help = "The canary set: a JSON Lines file inside of the version's tree."};
inline constexpr ParamSpec kInputParam{.name = "input",
                                       .type = ParamType::object,
                                       .help = "How a flat input of the canary set becomes a tensor.",
                                       .fields = kInputFields};
inline constexpr ParamSpec kOutputParam{
    .name = "output", .type = ParamType::object, .help = "Which output is the answer.", .fields = kOutputFields};

/// Compiled `canary`, `input` and `output`.
struct InferParams {
    std::string canary;  ///< empty: none (only where the table does not require it)
    InferShape shape;
};

/// invalid_config: a path that leaves the version, a shape that is no list of positive integers.
Result<InferParams> infer_params(const ParamMap& params);

}  // namespace modelguard::checks
