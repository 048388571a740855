// Answers of a model server to `ready` and `infer`, status and body: classified, never believed.

#include <cmath>
#include <vector>

#include "checks/protocol/protocol.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {
using modelguard::checks::find_protocol;

/// oip first: the first two bits of its seeds are 0.
std::vector<std::shared_ptr<const modelguard::checks::Protocol>> made_protocols() {
    const auto text = [](const char* value) { return modelguard::ParamValue{.value = std::string(value)}; };
    return {*find_protocol("oip")->make({}), *find_protocol("v1")->make({}),
            *find_protocol("openai")->make({{"api", text("chat")},
                                            {"prefix", text("/v1")},
                                            {"max_tokens", {.value = std::int64_t{16}}},
                                            {"cache_salt", {.value = false}},
                                            {"stream", {.value = false}}}),
            *find_protocol("http_json")
                 ->make({{"path", text("/predict")},
                         {"answer", text("/outputs/0/data")},
                         {"version", text("/model_version")},
                         {"body", text("{input}")},
                         {"ready", text("/health")}})};
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    using checks::Outcome;
    fuzz::Input input(data, size);
    const unsigned bits = input.take_byte();
    constexpr int kStatuses[] = {200, 400, 404, 500, 503, 0, 999, 301};
    sys::HttpReply reply;
    reply.status = kStatuses[bits & 7];
    reply.body = input.rest();
    static const auto protocols = made_protocols();
    const checks::Protocol& protocol = *protocols[bits >> 6];
    const checks::Target target{.endpoint = "http://127.0.0.1:1",
                                .server_model = "digits",
                                .served_version = (bits & 8) != 0 ? "4" : "",
                                .protocol = &protocol};
    checks::InferShape shape;
    if ((bits & 16) != 0) shape.output_name = "predict";
    shape.argmax = (bits & 32) != 0;

    const checks::ReadyAnswer ready = protocol.classify_ready(target, reply);
    MG_ASSERT(ready.outcome != Outcome::ok || reply.status == 200);
    MG_ASSERT(fuzz::is_one_line(ready.detail));

    const checks::InferAnswer answer = protocol.read_infer(target, shape, reply);
    MG_ASSERT(fuzz::is_one_line(answer.detail) && fuzz::is_one_line(answer.model_version));
    MG_ASSERT(answer.outcome != Outcome::wrong_version || !target.served_version.empty());
    for (const double number : answer.numbers)
        MG_ASSERT(std::isfinite(number));
    if (answer.outcome == Outcome::ok) {
        MG_ASSERT(reply.status == 200 && !answer.not_finite);
        MG_ASSERT(!answer.numbers.empty() || !answer.texts.empty());
        MG_ASSERT(answer.numbers.size() + answer.texts.size() <= reply.body.size());
    } else {
        MG_ASSERT(!answer.detail.empty());
    }
    return 0;
}
