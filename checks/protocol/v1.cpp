// The V1 protocol over REST: TensorFlow Serving's predict, and KServe's V1, which is the same with its own status.
// Sources: tensorflow/serving g3doc/api_rest.md and get_model_status.proto; kserve rest/v1_endpoints.py.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_v1;

namespace {

using nlohmann::json;

constexpr std::size_t kMaxInferBody = 16u << 20;
constexpr std::size_t kMaxReadyBody = 256u << 10;  // a status entry for each version that ever was

std::string model_url(const Target& target) {
    return fmt::format("{}/v1/models/{}", target.endpoint, percent_encoded(target.server_model));
}

/// TensorFlow Serving lists each version with its state; requests without a version go to the newest AVAILABLE one.
ReadyAnswer classify_versions(const Target& target, const json& versions) {
    std::string available, states;
    bool loading = false;
    for (const json& version : versions) {
        if (!version.is_object()) continue;
        const std::string name = plain_line(text_field(version, "version"), 40);
        const std::string state = text_field(version, "state");
        states += fmt::format("{}{} {}", states.empty() ? "" : ", ", name, plain_line(state, 20));
        if (state == "AVAILABLE" && available.empty()) available = name;  // listed newest first
        loading = loading || state == "START" || state == "LOADING" || state == "UNKNOWN";
        const json status = version.value("status", json::object());
        const std::string error = status.is_object() ? text_field(status, "error_message") : std::string();
        if (state == "END" && !error.empty() && versions.size() == 1)
            return {Outcome::broken, fmt::format("version {} did not load: {}", name, plain_line(error))};
    }
    if (available.empty()) return {loading ? Outcome::loading : Outcome::missing, "no version is AVAILABLE: " + states};
    if (!target.served_version.empty() && available != target.served_version)
        return {loading ? Outcome::loading : Outcome::wrong_version,
                fmt::format("serves version {} instead of {}", available, target.served_version)};
    return {Outcome::ok, fmt::format("version {} is AVAILABLE", available)};
}

bool has_text(const json& value) {
    if (value.is_string()) return true;
    if (!value.is_array()) return false;
    for (const json& element : value)
        if (has_text(element)) return true;
    return false;
}

/// The prediction for the one instance asked about; nullptr with the reason in `answer`.
const json* choose_prediction(const json& reply, const InferShape& shape, InferAnswer& answer) {
    const json* found = nullptr;
    if (const auto rows = reply.find("predictions"); rows != reply.end() && rows->is_array() && !rows->empty())
        found = &rows->front();
    else if (const auto columns = reply.find("outputs"); columns != reply.end())
        found = &*columns;
    if (found == nullptr) {
        answer = broken_answer("the answer has neither predictions nor outputs");
        return nullptr;
    }
    if (!found->is_object()) return found;
    // A model with several outputs answers an object of them.
    const auto output = shape.output_name.empty() ? found->begin() : found->find(shape.output_name);
    if (output != found->end()) return &*output;
    answer = broken_answer(fmt::format("no output named {}", shape.output_name));
    return nullptr;
}

class V1 final : public Protocol {
  public:
    sys::HttpRequest ready_request(const Target& target) const override {
        return {.url = model_url(target), .headers = {"Accept: application/json"}, .max_body = kMaxReadyBody};
    }

    ReadyAnswer classify_ready(const Target& target, const Result<sys::HttpReply>& reply) const override {
        if (auto unready = unready_answer(reply)) return *std::move(unready);
        const ParsedAnswer parsed = parse_answer(reply->body);
        if (!parsed.value.is_object())
            return {Outcome::broken, "HTTP 200 without a status of the model: not a V1 server"};
        if (const auto versions = parsed.value.find("model_version_status");
            versions != parsed.value.end() && versions->is_array())
            return classify_versions(target, *versions);
        const auto ready = parsed.value.find("ready");
        if (ready == parsed.value.end())
            return {Outcome::broken, "HTTP 200 without a status of the model: not a V1 server"};
        // KServe's SDK writes the boolean, its older releases the word.
        const bool is_ready = *ready == json(true) || *ready == json("True") || *ready == json("true");
        return is_ready ? ReadyAnswer{Outcome::ok, "ready"} : ReadyAnswer{Outcome::loading, "HTTP 200, ready is false"};
    }

    Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item, const InferShape&,
                                           std::uint64_t) const override {
        std::string storage;
        bool not_finite = false;
        if (const auto fits = tolerant_json(item.input, storage, not_finite); !fits)
            return fail(ErrorKind::invalid_config, fmt::format("item {}: {}", item.id, fits.error().what));
        const json input = json::parse(item.input, nullptr, /*allow_exceptions=*/false);
        if (input.is_discarded() || input.is_null())
            return fail(ErrorKind::invalid_config, fmt::format("item {}: the input is not JSON", item.id));
        const bool whole = input.is_object() && (input.contains("instances") || input.contains("inputs"));
        sys::HttpRequest request{.method = "POST", .url = model_url(target) + ":predict"};
        request.headers = {"Content-Type: application/json", "Accept: application/json"};
        request.body = whole ? item.input : fmt::format(R"({{"instances":[{}]}})", item.input);
        request.max_body = kMaxInferBody;
        return request;
    }

    InferAnswer read_infer(const Target&, const InferShape& shape, const Result<sys::HttpReply>& reply) const override {
        if (auto unreadable = unreadable_answer(reply)) return *std::move(unreadable);
        const ParsedAnswer parsed = parse_answer(reply->body);
        if (!parsed.value.is_object()) return broken_answer(why_no_object(parsed, reply->body));
        if (parsed.value.contains("error")) return broken_answer("HTTP 200 with an error: " + error_text(reply->body));
        InferAnswer answer{.outcome = Outcome::ok};
        const json* prediction = choose_prediction(parsed.value, shape, answer);
        if (prediction == nullptr) return answer;
        Values values{.bytes = has_text(*prediction)};
        values.read(*prediction);
        const std::size_t length = values.numbers.size();
        take_values(std::move(values), "the prediction", length, shape.argmax, answer);
        return answer;
    }
};

Result<std::shared_ptr<const Protocol>> make(const ParamMap&) { return std::make_shared<V1>(); }

}  // namespace

const ProtocolKind kProtocolKind_v1{
    .name = "v1",
    .summary = "The V1 protocol over REST: TensorFlow Serving's predict, KServe V1",
    .params = {},
    .make = make,
};

}  // namespace modelguard::checks
