#pragma once
// The Open Inference Protocol's gRPC messages as bytes: requests written, answers read. Tensors go out as raw contents,
// which every datatype has, and are read in either form. Internal to the protocols; brings nlohmann/json.hpp.
// Source: kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto.

#include <string>
#include <string_view>
#include <vector>

#include "checks/protocol/answers.hpp"

namespace modelguard::checks::oip {

std::string model_ready_message(std::string_view model);

/// `inputs` is the array of tensors as JSON. invalid_config: a tensor without name, datatype, shape or data, or with
/// data that its datatype does not hold.
Result<std::string> model_infer_message(const Target& target, std::string_view id, const std::string& inputs,
                                        std::string_view output_name);

/// malformed_reply: not the message.
Result<bool> read_model_ready(std::string_view message);

struct OutputTensor {
    std::string name;
    std::string datatype;
    std::vector<std::int64_t> shape;
    Values values;
};
struct InferReply {
    std::string model_version;
    std::vector<OutputTensor> outputs;
};
/// malformed_reply: not the message, raw contents that fit no output, or more than kMaxJsonValues values.
Result<InferReply> read_model_infer(std::string_view message);

/// A message as gRPC frames it, and back. malformed_reply: cut off, compressed, or more than one.
std::string grpc_frame(std::string_view message);
Result<std::string_view> open_grpc_frame(std::string_view body);

}  // namespace modelguard::checks::oip
