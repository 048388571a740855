// Answers of a model server that are no JSON document: the end of a gRPC call with its message, a stream of events.
// Classified, never believed.

#include <cmath>

#include "checks/protocol/protocol.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {
using modelguard::checks::find_protocol;

const modelguard::checks::Protocol& protocol_of(bool streams) {
    static const auto grpc = *find_protocol("oip_grpc")->make({});
    static const auto stream = *find_protocol("openai")->make({{"api", {.value = std::string("chat")}},
                                                               {"prefix", {.value = std::string("/v1")}},
                                                               {"max_tokens", {.value = std::int64_t{16}}},
                                                               {"cache_salt", {.value = false}},
                                                               {"stream", {.value = true}}});
    return streams ? *stream : *grpc;
}
}  // namespace

/// One byte of choices; for gRPC then the trailers, one a line, up to an empty one, and the body as it came.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    using checks::Outcome;
    fuzz::Input input(data, size);
    const unsigned bits = input.take_byte();
    const checks::Protocol& protocol = protocol_of((bits & 1) != 0);
    sys::HttpReply reply{.status = (bits & 2) != 0 ? 500 : 200};
    if ((bits & 1) == 0) {
        const std::string_view head = input.take_until("\n\n");
        fuzz::Input trailers(reinterpret_cast<const std::uint8_t*>(head.data()), head.size());
        while (!trailers.rest().empty())
            reply.fields.push_back(std::string(trailers.take_until("\n")) + "\r\n");
    }
    reply.body = input.rest();
    for (std::size_t end = 7; end < reply.body.size() && reply.arrivals.size() < 100; end += 7)
        reply.arrivals.push_back({end, Usec{static_cast<std::int64_t>(end)}});
    reply.total = Usec{static_cast<std::int64_t>(reply.body.size())};
    const checks::Target target{.endpoint = "http://127.0.0.1:1",
                                .server_model = "digits",
                                .served_version = (bits & 4) != 0 ? "2" : "",
                                .protocol = &protocol};
    checks::InferShape shape;
    if ((bits & 8) != 0) shape.output_name = "b";
    shape.argmax = (bits & 16) != 0;

    const checks::ReadyAnswer ready = protocol.classify_ready(target, reply);
    MG_ASSERT(fuzz::is_one_line(ready.detail) && !ready.detail.empty());
    MG_ASSERT(ready.outcome != Outcome::ok || reply.status == 200);

    const checks::InferAnswer answer = protocol.read_infer(target, shape, reply);
    MG_ASSERT(fuzz::is_one_line(answer.detail) && fuzz::is_one_line(answer.model_version));
    for (const double number : answer.numbers)
        MG_ASSERT(std::isfinite(number));
    if (answer.outcome != Outcome::ok) {
        MG_ASSERT(!answer.detail.empty());
        return 0;
    }
    MG_ASSERT(reply.status == 200 && !answer.not_finite);
    MG_ASSERT(!answer.numbers.empty() || !answer.texts.empty());
    MG_ASSERT(answer.numbers.size() + answer.texts.size() <= reply.body.size());
    if (answer.streamed) {
        MG_ASSERT(answer.streamed->tokens >= 1);
        MG_ASSERT(answer.streamed->first <= answer.streamed->last && answer.streamed->last <= reply.total);
    }
    return 0;
}
