// The Open Inference Protocol over REST (KServe V2): requests here, answers in oip_answers.
// Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/oip_answers.hpp"
#include "checks/protocol/protocol.hpp"
#include "checks/protocol/tolerant_json.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_oip;

namespace {

using nlohmann::json;

/// Answers to canary inputs are small; a full-HD mask as JSON text is about 8 MiB.
constexpr std::size_t kMaxInferBody = 16u << 20;
/// The ready endpoint says a few bytes; more is a page of something else.
constexpr std::size_t kMaxReadyBody = 64u << 10;

std::string model_url(const Target& target, std::string_view verb) {
    // No version path: the KServe Python SDK answers 501 to it. The version served is read from the answer instead.
    return fmt::format("{}/v2/models/{}/{}", target.endpoint, url_encode(target.server_model), verb);
}

bool is_inputs_array(const json& input) {
    return !input.empty() && input.front().is_object() && input.front().contains("name");
}

/// Leaves of an array; 0 where one is neither a number, a boolean nor a string.
std::int64_t count_leaves(const json& value, bool& nested) {
    std::int64_t count = 0;
    for (const json& element : value) {
        if (element.is_array()) {
            nested = true;
            const std::int64_t inner = count_leaves(element, nested);
            if (inner == 0) return 0;
            count += inner;
        } else if (element.is_number() || element.is_boolean() || element.is_string()) {
            ++count;
        } else {
            return 0;
        }
    }
    return count;
}

/// The shape to send: as configured, one -1 in it resolved by the count, or [1, n].
Result<std::vector<std::int64_t>> resolve_shape(const InferShape& shape, std::int64_t count, bool nested) {
    if (shape.shape.empty()) {
        if (nested) return fail(ErrorKind::invalid_config, "a nested input needs input.shape");
        return std::vector<std::int64_t>{1, count};
    }
    std::int64_t product = 1;
    std::vector<std::int64_t> resolved = shape.shape;
    std::int64_t* open = nullptr;
    for (std::int64_t& axis : resolved) {
        if (axis == -1)
            open = &axis;
        else
            product *= axis;
    }
    if (open != nullptr && product > 0 && count % product == 0) {
        *open = count / product;
        product = count;
    }
    if (product != count)
        return fail(ErrorKind::invalid_config,
                    fmt::format("the input has {} numbers, input.shape wants {}", count, product));
    return resolved;
}

/// The `inputs` array of the request, from either form of a canary input.
Result<std::string> inputs_text(const CanaryItem& item, const InferShape& shape) {
    std::string storage;
    bool not_finite = false;
    // For its limits alone: NaN in an input stays an error.
    if (const auto fits = tolerant_json(item.input, storage, not_finite); !fits)
        return fail(ErrorKind::invalid_config, fits.error().what);
    const json input = json::parse(item.input, nullptr, /*allow_exceptions=*/false);
    if (!input.is_array() || input.empty())
        return fail(ErrorKind::invalid_config, "the input is neither an `inputs` array nor a flat array");
    if (is_inputs_array(input)) return item.input;
    bool nested = false;
    const std::int64_t count = count_leaves(input, nested);
    if (count == 0)
        return fail(ErrorKind::invalid_config, "the input holds something else than numbers, booleans or text");
    MG_TRY(const std::vector<std::int64_t> axes, resolve_shape(shape, count, nested));
    std::string text = fmt::format(R"([{{"name":{},"datatype":{},"shape":[)", json_quoted(shape.input_name),
                                   json_quoted(shape.datatype));
    for (std::size_t i = 0; i < axes.size(); ++i)
        text += fmt::format("{}{}", i == 0 ? "" : ",", axes[i]);
    return text + R"(],"data":)" + item.input + "}]";
}

class Oip final : public Protocol {
  public:
    sys::HttpRequest ready_request(const Target& target) const override {
        sys::HttpRequest request;
        request.url = model_url(target, "ready");
        request.headers = {"Accept: application/json"};
        request.max_body = kMaxReadyBody;
        return request;
    }

    ReadyAnswer classify_ready(const Target&, const Result<sys::HttpReply>& reply) const override {
        if (auto unready = unready_answer(reply)) return *std::move(unready);
        return oip::classify_ready_body(reply->body);
    }

    Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item, const InferShape& shape,
                                           std::uint64_t unique) const override {
        MG_TRY(const std::string inputs, with_context(inputs_text(item, shape), "item " + item.id));
        sys::HttpRequest request;
        request.method = "POST";
        request.url = model_url(target, "infer");
        request.headers = {"Content-Type: application/json", "Accept: application/json"};
        // MLServer keys its response cache on the whole payload: a new id misses it.
        request.body = fmt::format(R"({{"id":"mg-{:016x}","inputs":{})", unique, inputs);
        // Asking for one output spares the others, and picks predict_proba on MLServer's scikit-learn runtime.
        if (!shape.output_name.empty())
            request.body += fmt::format(R"(,"outputs":[{{"name":{}}}])", json_quoted(shape.output_name));
        request.body += "}";
        request.max_body = kMaxInferBody;
        return request;
    }

    InferAnswer read_infer(const Target& target, const InferShape& shape,
                           const Result<sys::HttpReply>& reply) const override {
        if (auto unreadable = unreadable_answer(reply)) return *std::move(unreadable);
        return oip::read_outputs(target, shape, reply->body);
    }
};

Result<std::shared_ptr<const Protocol>> make(const ParamMap&) { return std::make_shared<Oip>(); }

}  // namespace

const ProtocolKind kProtocolKind_oip{
    .name = "oip",
    .summary = "Open Inference Protocol (KServe V2) over REST: MLServer, Triton, KServe, OpenVINO Model Server",
    .params = {},
    .make = make,
};

}  // namespace modelguard::checks
