// The Open Inference Protocol over REST (KServe V2): requests here, answers in oip_answers.
// Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/oip_answers.hpp"
#include "checks/protocol/oip_inputs.hpp"
#include "checks/protocol/protocol.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_oip;

namespace {

/// Answers to canary inputs are small; a full-HD mask as JSON text is about 8 MiB.
constexpr std::size_t kMaxInferBody = 16u << 20;
/// The ready endpoint says a few bytes; more is a page of something else.
constexpr std::size_t kMaxReadyBody = 64u << 10;

std::string model_url(const Target& target, std::string_view verb) {
    // No version path: the KServe Python SDK answers 501 to it. The version served is read from the answer instead.
    return fmt::format("{}/v2/models/{}/{}", target.endpoint, percent_encoded(target.server_model), verb);
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
        MG_TRY(const std::string inputs, with_context(oip::inputs_text(item, shape), "item " + item.id));
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
