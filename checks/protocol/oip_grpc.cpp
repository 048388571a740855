// The Open Inference Protocol over gRPC: what oip asks by REST, as messages over HTTP/2. A unary call is one POST whose
// outcome stands in its trailers, so the daemon's HTTP client is all that it takes.
// Sources: grpc/grpc doc/PROTOCOL-HTTP2.md; kserve protocol/grpc/interceptors.py, MLServer grpc/utils.py, OVMS
// grpc_utils.cpp and Triton for what each status means.

#include <fmt/format.h>

#include <charconv>

#include "checks/protocol/oip_inputs.hpp"
#include "checks/protocol/oip_messages.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_oip_grpc;

namespace {

constexpr std::size_t kMaxInferBody = 16u << 20;
constexpr std::size_t kMaxReadyBody = 64u << 10;

/// The codes of google.rpc.Code that say something about a model.
enum Code : int {
    kOk = 0,
    kDeadlineExceeded = 4,
    kNotFound = 5,
    kResourceExhausted = 8,
    kUnavailable = 14,
};
constexpr std::string_view kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

/// The last field of that name (lower case in HTTP/2), without blanks around its value; nullopt: there is none.
std::optional<std::string_view> find_field(const sys::HttpReply& reply, std::string_view name) {
    for (auto field = reply.fields.rbegin(); field != reply.fields.rend(); ++field) {
        const std::string_view line = *field;
        if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
        const std::size_t begin = line.find_first_not_of(" \t", name.size() + 1);
        const std::size_t end = line.find_last_not_of(" \t\r\n") + 1;
        return begin < end ? line.substr(begin, end - begin) : std::string_view();
    }
    return std::nullopt;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// grpc-message is percent-encoded UTF-8; what is wrongly encoded stays as it is.
std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
        if (low >= 0) i += 2;
        decoded += low < 0 ? text[i] : static_cast<char>(high * 16 + low);
    }
    return decoded;
}

ReadyAnswer classify_code(int code, const std::string& said, bool infer) {
    const std::string name = code >= 0 && code < static_cast<int>(std::size(kCodeNames)) ? std::string(kCodeNames[code])
                                                                                         : fmt::format("code {}", code);
    std::string detail = said.empty() ? "gRPC " + name : fmt::format("gRPC {}: {}", name, said);
    switch (code) {
        case kUnavailable:
        case kResourceExhausted: return {Outcome::loading, std::move(detail)};
        case kNotFound: return {Outcome::missing, std::move(detail)};
        case kDeadlineExceeded: return {infer ? Outcome::broken : Outcome::loading, std::move(detail)};
        // MLServer says INVALID_ARGUMENT while a model loads, and UNKNOWN of one that ModelReady does not find.
        default: return {outcome_of_words(said).value_or(Outcome::broken), std::move(detail)};
    }
}

/// What keeps a call's message from being read; nullopt: it can be.
std::optional<ReadyAnswer> failed_call(const Result<sys::HttpReply>& reply, bool infer) {
    if (!reply) return classify_error(reply.error(), infer);
    if (reply->status != 200) return classify_status(reply->status, reply->body, infer);
    const auto status = find_field(*reply, "grpc-status");
    int code = -1;
    if (!status ||
        std::from_chars(status->data(), status->data() + status->size(), code).ptr != status->data() + status->size())
        return ReadyAnswer{Outcome::broken,
                           find_field(*reply, "content-type").value_or("").starts_with("application/grpc")
                               ? "the call ended without a grpc-status"
                               : "HTTP 200 without a grpc-status: not a gRPC server"};
    if (code == kOk) return std::nullopt;
    return classify_code(code, plain_line(percent_decoded(find_field(*reply, "grpc-message").value_or(""))), infer);
}

sys::HttpRequest call(const Target& target, std::string_view method, std::string_view message, std::size_t max_body) {
    return {.method = "POST",
            .url = fmt::format("{}/inference.GRPCInferenceService/{}", target.endpoint, method),
            .headers = {"Content-Type: application/grpc", "TE: trailers"},
            .body = oip::grpc_frame(message),
            .max_body = max_body,
            .http2 = true};
}

void choose_output(oip::InferReply reply, const InferShape& shape, InferAnswer& answer) {
    if (reply.outputs.empty()) return static_cast<void>(answer = broken_answer("the answer has no outputs"));
    std::string names;
    for (oip::OutputTensor& output : reply.outputs) {
        if (!shape.output_name.empty() && output.name != shape.output_name) {
            if (names.size() < 120) names += (names.empty() ? "" : ", ") + output.name;
            continue;
        }
        const std::size_t count = output.values.numbers.size();
        const std::int64_t last = output.shape.empty() ? 0 : output.shape.back();
        const bool fits = last > 0 && count % static_cast<std::size_t>(last) == 0;
        return take_values(std::move(output.values), "output " + output.name,
                           fits ? static_cast<std::size_t>(last) : count, shape.argmax, answer);
    }
    answer = broken_answer(fmt::format("no output named {} (there is: {})", shape.output_name, names));
}

class OipGrpc final : public Protocol {
  public:
    sys::HttpRequest ready_request(const Target& target) const override {
        return call(target, "ModelReady", oip::model_ready_message(target.server_model), kMaxReadyBody);
    }

    ReadyAnswer classify_ready(const Target&, const Result<sys::HttpReply>& reply) const override {
        if (auto failed = failed_call(reply, false)) return *std::move(failed);
        const auto message = oip::open_grpc_frame(reply->body);
        if (!message) return {Outcome::broken, message.error().what};
        const auto ready = oip::read_model_ready(*message);
        if (!ready) return {Outcome::broken, ready.error().what};
        return *ready ? ReadyAnswer{Outcome::ok, "ready"} : ReadyAnswer{Outcome::loading, "ready is false"};
    }

    Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item, const InferShape& shape,
                                           std::uint64_t unique) const override {
        const std::string where = "item " + item.id;
        MG_TRY(const std::string inputs, with_context(oip::inputs_text(item, shape), where));
        MG_TRY(
            const std::string message,
            with_context(oip::model_infer_message(target, fmt::format("mg-{:016x}", unique), inputs, shape.output_name),
                         where));
        return call(target, "ModelInfer", message, kMaxInferBody);
    }

    InferAnswer read_infer(const Target& target, const InferShape& shape,
                           const Result<sys::HttpReply>& reply) const override {
        if (auto failed = failed_call(reply, true))
            return {.outcome = failed->outcome, .detail = std::move(failed->detail)};
        const auto message = oip::open_grpc_frame(reply->body);
        if (!message) return broken_answer(message.error().what);
        auto read = oip::read_model_infer(*message);
        if (!read) return broken_answer(read.error().what);
        InferAnswer answer{.outcome = Outcome::ok, .model_version = read->model_version};
        if (!target.served_version.empty() && !answer.model_version.empty() &&
            answer.model_version != target.served_version) {
            answer.outcome = Outcome::wrong_version;
            answer.detail = fmt::format("serves version {} instead of {}", answer.model_version, target.served_version);
            return answer;
        }
        choose_output(*std::move(read), shape, answer);
        return answer;
    }
};

Result<std::shared_ptr<const Protocol>> make(const ParamMap&) { return std::make_shared<OipGrpc>(); }

}  // namespace

const ProtocolKind kProtocolKind_oip_grpc{
    .name = "oip_grpc",
    .summary = "Open Inference Protocol (KServe V2) over gRPC: Triton, KServe, MLServer, OpenVINO Model Server",
    .params = {},
    .make = make,
};

}  // namespace modelguard::checks
