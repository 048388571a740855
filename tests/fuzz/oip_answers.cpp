// Answers of a model server to `ready` and `infer`, status and body: classified, never believed.

#include <cmath>

#include "checks/protocol/protocol.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    using checks::Outcome;
    fuzz::Input input(data, size);
    const unsigned bits = input.take_byte();
    constexpr int kStatuses[] = {200, 400, 404, 500, 503, 0, 999, 301};
    sys::HttpReply reply;
    reply.status = kStatuses[bits & 7];
    reply.body = input.rest();
    static const auto made = *checks::find_protocol("oip")->make({});
    const checks::Protocol& oip = *made;
    const checks::Target target{.endpoint = "http://127.0.0.1:1",
                                .server_model = "digits",
                                .served_version = (bits & 8) != 0 ? "4" : "",
                                .protocol = &oip};
    checks::InferShape shape;
    if ((bits & 16) != 0) shape.output_name = "predict";
    shape.argmax = (bits & 32) != 0;

    const checks::ReadyAnswer ready = oip.classify_ready(target, reply);
    MG_ASSERT(ready.outcome != Outcome::ok || reply.status == 200);
    MG_ASSERT(fuzz::is_one_line(ready.detail));

    const checks::InferAnswer answer = oip.read_infer(target, shape, reply);
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
