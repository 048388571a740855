// What oip_grpc makes of a call's end. Over the wire it meets real servers in tests/realserver.

#include <bit>
#include <limits>

#include "checks/protocol/oip_messages.hpp"
#include "checks/protocol/protobuf.hpp"
#include "tests/checks/protocol/asking.hpp"

namespace modelguard::checks::test {
namespace {

/// A call that ended with this status; the message is what it answered before.
Result<sys::HttpReply> call(const std::string& status, const std::string& said = "",
                            const std::optional<std::string>& message = std::nullopt) {
    sys::HttpReply reply{.status = 200, .body = message ? oip::grpc_frame(*message) : std::string()};
    reply.fields = {"HTTP/2 200 \r\n", "content-type: application/grpc\r\n", "\r\n"};
    if (!status.empty()) reply.fields.push_back("grpc-status: " + status + "\r\n");
    if (!said.empty()) reply.fields.push_back("grpc-message:" + said + "\r\n");
    return reply;
}

std::string output(const std::string& name, double number) {
    std::string contents, tensor;
    protobuf::put_varint(contents, 7 << 3 | 1);
    protobuf::put_fixed(contents, std::bit_cast<std::uint64_t>(number), 8);
    protobuf::put_bytes(tensor, 1, name);
    protobuf::put_bytes(tensor, 2, "FP64");
    protobuf::put_bytes(tensor, 5, contents);
    std::string message;
    protobuf::put_bytes(message, 2, "2");
    protobuf::put_bytes(message, 5, tensor);
    return message;
}

struct OipGrpc : testing::Test {
    Asking asking{"oip_grpc"};
    ReadyAnswer ready(const Result<sys::HttpReply>& reply) {
        return asking.protocol->classify_ready(asking.target, reply);
    }
    InferAnswer infer(const Result<sys::HttpReply>& reply) {
        return asking.protocol->read_infer(asking.target, asking.shape, reply);
    }
};

TEST_F(OipGrpc, asks_by_calls_over_http2) {
    const sys::HttpRequest ready = asking.protocol->ready_request(asking.target);
    EXPECT_EQ(ready.url, "http://127.0.0.1:8080/inference.GRPCInferenceService/ModelReady");
    EXPECT_TRUE(ready.http2);
    EXPECT_EQ(ready.body, oip::grpc_frame(oip::model_ready_message("digits")));
    EXPECT_EQ(ready.headers, (std::vector<std::string>{"Content-Type: application/grpc", "TE: trailers"}));

    const auto infer = asking.protocol->infer_request(asking.target, {.id = "a", .input = "[1,2]"}, {}, 7);
    ASSERT_TRUE(infer) << infer.error().what;
    EXPECT_EQ(infer->body, oip::grpc_frame(*oip::model_infer_message(
                               asking.target, "mg-0000000000000007",
                               R"([{"name":"input-0","datatype":"FP32","shape":[1,2],"data":[1,2]}])", "")));
    EXPECT_FALSE(asking.protocol->infer_request(asking.target, {.id = "a", .input = "7"}, {}, 7));
    EXPECT_FALSE(asking.protocol->infer_request(asking.target, {.id = "a", .input = R"(["x"])"}, {}, 7));
}

TEST_F(OipGrpc, each_servers_way_to_end_a_call_is_classified) {
    const struct {
        const char* what;
        const char* status;
        const char* said;
        Outcome ready, infer;
    } cases[] = {
        {"KServe, OVMS: loading", "14", "Model with name digits is not ready.", Outcome::loading, Outcome::loading},
        {"MLServer: loading", "3", "Model digits is not ready yet.", Outcome::loading, Outcome::loading},
        {"Triton: loading", "14", "Request for unknown model: 'digits' is not at ready state", Outcome::loading,
         Outcome::loading},
        {"full", "8", "", Outcome::loading, Outcome::loading},
        {"KServe, OVMS: missing", "5", "Model with name digits does not exist.", Outcome::missing, Outcome::missing},
        {"MLServer: ModelReady of a missing one", "2",
         "Unexpected <class 'mlserver.errors.ModelNotFound'>: Model digits not found", Outcome::missing,
         Outcome::missing},
        {"Triton: missing", "3", "Request for unknown model: 'digits' is not found", Outcome::missing,
         Outcome::missing},
        {"a failing model", "13", "CUDA error: an illegal memory access", Outcome::broken, Outcome::broken},
        {"a wrong input", "3", "expected 64 elements", Outcome::broken, Outcome::broken},
        {"no such service", "12", "Method not found!", Outcome::broken, Outcome::broken},
        {"too slow", "4", "Deadline Exceeded", Outcome::loading, Outcome::broken},
        {"no key", "16", "", Outcome::broken, Outcome::broken},
        {"no number", "fourteen", "", Outcome::broken, Outcome::broken},
        {"no status", "", "", Outcome::broken, Outcome::broken},
        {"an unknown status", "99", "", Outcome::broken, Outcome::broken},
    };
    for (const auto& each : cases) {
        EXPECT_EQ(ready(call(each.status, each.said)).outcome, each.ready) << each.what;
        EXPECT_EQ(infer(call(each.status, each.said)).outcome, each.infer) << each.what;
    }
    EXPECT_EQ(ready(call("14", "50%25 of %C3%BC %2 %zz done")).detail, "gRPC UNAVAILABLE: 50% of ü %2 %zz done");
    EXPECT_EQ(ready(call("99")).detail, "gRPC code 99");
    EXPECT_EQ(ready(reply(503, "")).outcome, Outcome::loading) << "a proxy in front of it";
    EXPECT_NE(ready(reply(200, "{}")).detail.find("not a gRPC server"), std::string::npos);
    EXPECT_EQ(ready(fail(ErrorKind::unavailable, "refused")).outcome, Outcome::unreachable);
    EXPECT_EQ(infer(fail(ErrorKind::timed_out, "no answer")).outcome, Outcome::broken);
}

TEST_F(OipGrpc, ready_is_what_the_message_says) {
    EXPECT_EQ(ready(call("0", "", "\x08\x01")).outcome, Outcome::ok);
    EXPECT_EQ(ready(call("0", "", "")).outcome, Outcome::loading) << "false is left out of a message";
    EXPECT_EQ(ready(call("0")).outcome, Outcome::broken) << "no message at all";
    EXPECT_EQ(ready(call("0", "", "\x0b")).outcome, Outcome::broken);
}

TEST_F(OipGrpc, an_answer_is_read_from_the_output_that_was_asked_for) {
    const std::string two = output("a", 1) + output("b", 2);
    EXPECT_EQ(infer(call("0", "", two)).numbers, std::vector<double>{1});
    asking.shape.output_name = "b";
    EXPECT_EQ(infer(call("0", "", two)).numbers, std::vector<double>{2});
    EXPECT_EQ(infer(call("0", "", two)).model_version, "2");
    asking.shape.output_name = "c";
    EXPECT_EQ(infer(call("0", "", two)).detail, "no output named c (there is: a, b)");
    asking.shape.output_name.clear();
    EXPECT_EQ(infer(call("0", "", "")).detail, "the answer has no outputs");
    EXPECT_TRUE(infer(call("0", "", output("a", std::numeric_limits<double>::quiet_NaN()))).not_finite);

    asking.target.served_version = "3";
    EXPECT_EQ(infer(call("0", "", two)).outcome, Outcome::wrong_version);
}

}  // namespace
}  // namespace modelguard::checks::test
