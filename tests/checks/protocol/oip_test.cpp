// The classifier over the dialects, and the requests. Answers of the infer endpoint: oip_infer_test.cpp.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks {
namespace {

const Protocol& oip() {
    static const auto made = *find_protocol("oip")->make({});
    return *made;
}
const Target kTarget{.endpoint = "http://127.0.0.1:8080", .server_model = "digits"};
const std::string kDeep(1000, '[');

Result<sys::HttpReply> reply(int status, std::string body) {
    return sys::HttpReply{.status = status, .body = std::move(body)};
}

struct Case {
    std::string_view what;
    int status;
    std::string body;
    Outcome outcome;
};

TEST(OipReady, is_classified_for_every_dialect) {
    for (const Case& c : {
             Case{.what = "mlserver, triton: loaded", .status = 200, .body = "", .outcome = Outcome::ok},
             Case{.what = "ovms: loaded", .status = 200, .body = "{}", .outcome = Outcome::ok},
             Case{.what = "kserve: loaded",
                  .status = 200,
                  .body = R"({"name":"digits","ready":true})",
                  .outcome = Outcome::ok},
             Case{.what = "not yet",
                  .status = 200,
                  .body = R"({"name":"digits","ready":false})",
                  .outcome = Outcome::loading},
             Case{.what = "the specification's live",
                  .status = 200,
                  .body = R"({"live":false})",
                  .outcome = Outcome::loading},
             Case{.what = "double-encoded",
                  .status = 200,
                  .body = R"("{\"ready\": false}")",
                  .outcome = Outcome::loading},
             Case{.what = "plain text", .status = 200, .body = "OK", .outcome = Outcome::ok},
             Case{.what = "a JSON string", .status = 200, .body = R"("OK")", .outcome = Outcome::ok},
             Case{.what = "another server",
                  .status = 200,
                  .body = "\n <html>It works!</html>",
                  .outcome = Outcome::broken},

             Case{.what = "mlserver: loading", .status = 400, .body = "", .outcome = Outcome::loading},
             Case{.what = "triton: loading",
                  .status = 400,
                  .body = R"({"error":"Model version not ready"})",
                  .outcome = Outcome::loading},
             Case{.what = "kserve: loading",
                  .status = 503,
                  .body = R"({"error":"Model with name digits is not ready."})",
                  .outcome = Outcome::loading},
             Case{.what = "ovms: loading",
                  .status = 404,
                  .body = R"({"error":"Model with requested version is not loaded yet"})",
                  .outcome = Outcome::loading},
             Case{.what = "ovms graph: loading",
                  .status = 500,
                  .body = R"({"error":"MEDIAPIPE_DEFINITION_NOT_LOADED_YET"})",
                  .outcome = Outcome::loading},
             Case{.what = "llama.cpp style",
                  .status = 503,
                  .body = R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})",
                  .outcome = Outcome::loading},
             Case{.what = "a proxy before a server",
                  .status = 502,
                  .body = "<html>Bad Gateway</html>",
                  .outcome = Outcome::loading},
             Case{.what = "busy", .status = 429, .body = "", .outcome = Outcome::loading},

             Case{.what = "mlserver: unknown",
                  .status = 404,
                  .body = R"({"error":"Model digits not found"})",
                  .outcome = Outcome::missing},
             Case{.what = "kserve: unknown",
                  .status = 404,
                  .body = R"({"error":"Model with name digits does not exist."})",
                  .outcome = Outcome::missing},
             Case{.what = "triton: unknown",
                  .status = 400,
                  .body = R"({"error":"Request for unknown model: 'digits' is not found"})",
                  .outcome = Outcome::missing},
             Case{.what = "ovms: unknown",
                  .status = 404,
                  .body = R"({"error":"Model with requested name is not found"})",
                  .outcome = Outcome::missing},
             Case{.what = "no such path",
                  .status = 404,
                  .body = R"({"detail":"Not Found"})",
                  .outcome = Outcome::missing},
             Case{.what = "a page", .status = 404, .body = "<html>404</html>", .outcome = Outcome::missing},

             Case{.what = "out of memory",
                  .status = 500,
                  .body = R"({"error":"CUDA out of memory"})",
                  .outcome = Outcome::broken},
             Case{.what = "kserve: a version path",
                  .status = 501,
                  .body = R"({"error":"Model versioning not supported yet."})",
                  .outcome = Outcome::broken},
             Case{.what = "asks for a token", .status = 401, .body = "", .outcome = Outcome::broken},
             Case{.what = "a redirect", .status = 301, .body = "", .outcome = Outcome::broken},
             Case{.what = "refuses", .status = 400, .body = R"({"error":"bad header"})", .outcome = Outcome::broken},
         }) {
        const ReadyAnswer answer = oip().classify_ready(kTarget, reply(c.status, c.body));
        EXPECT_EQ(to_word(answer.outcome), to_word(c.outcome)) << c.what << ": " << answer.detail;
        EXPECT_TRUE(answer.detail.starts_with("HTTP ")) << c.what << ": " << answer.detail;
    }
}

TEST(OipInfer, statuses_are_classified_for_every_dialect) {
    for (const Case& c : {
             Case{.what = "mlserver: loading",
                  .status = 400,
                  .body = R"({"error":"Model digits is not ready yet."})",
                  .outcome = Outcome::loading},
             Case{.what = "kserve: loading",
                  .status = 503,
                  .body = R"({"error":"Model with name digits is not ready."})",
                  .outcome = Outcome::loading},
             Case{.what = "triton by version",
                  .status = 503,
                  .body = R"({"error":"Request for unknown model: 'digits' version 2 is not at ready state"})",
                  .outcome = Outcome::loading},
             Case{.what = "triton, newest",
                  .status = 404,
                  .body = R"({"error":"Request for unknown model: 'digits' has no available versions"})",
                  .outcome = Outcome::loading},
             Case{.what = "ovms: loading",
                  .status = 404,
                  .body = R"({"error":"Model with requested version is not loaded yet"})",
                  .outcome = Outcome::loading},
             Case{.what = "triton: unknown",
                  .status = 400,
                  .body = R"({"error":"Request for unknown model: 'digits' is not found"})",
                  .outcome = Outcome::missing},
             Case{.what = "mlserver: unknown",
                  .status = 404,
                  .body = R"({"error":"Model digits not found"})",
                  .outcome = Outcome::missing},
             Case{.what = "a failure inside of the model that speaks of not found",
                  .status = 400,
                  .body = R"({"error":"feature 'age' not found in axis"})",
                  .outcome = Outcome::broken},
             Case{.what = "an empty 400 is no sign of loading here",
                  .status = 400,
                  .body = "",
                  .outcome = Outcome::broken},
             Case{.what = "unprocessable",
                  .status = 422,
                  .body = R"({"detail":[{"loc":["body"]}]})",
                  .outcome = Outcome::broken},
             Case{.what = "a crash", .status = 500, .body = "Internal Server Error", .outcome = Outcome::broken},
         }) {
        const InferAnswer answer = oip().read_infer(kTarget, {}, reply(c.status, c.body));
        EXPECT_EQ(to_word(answer.outcome), to_word(c.outcome)) << c.what << ": " << answer.detail;
        EXPECT_FALSE(answer.not_finite);
    }
}

TEST(Oip, errors_of_the_client_are_unreachable_or_broken) {
    struct ErrorCase {
        ErrorKind kind;
        Outcome ready;
        Outcome infer;
    };
    for (const ErrorCase& c : {
             ErrorCase{.kind = ErrorKind::unavailable, .ready = Outcome::unreachable, .infer = Outcome::unreachable},
             // The server took the request and never answered: that is the model's doing once it is ready.
             ErrorCase{.kind = ErrorKind::timed_out, .ready = Outcome::unreachable, .infer = Outcome::broken},
             ErrorCase{.kind = ErrorKind::malformed_reply, .ready = Outcome::broken, .infer = Outcome::broken},
         }) {
        const Result<sys::HttpReply> error = fail(c.kind, "the client says why");
        EXPECT_EQ(oip().classify_ready(kTarget, error).outcome, c.ready) << to_string(c.kind);
        EXPECT_EQ(oip().read_infer(kTarget, {}, error).outcome, c.infer) << to_string(c.kind);
        EXPECT_EQ(oip().classify_ready(kTarget, error).detail, "the client says why");
    }
}

TEST(Oip, details_carry_the_servers_own_words_on_one_clean_line) {
    EXPECT_EQ(oip().classify_ready(kTarget, reply(500, R"({"error":"CUDA error\nstack\u001b[2J"})")).detail,
              "HTTP 500: CUDA error");
    EXPECT_EQ(oip().classify_ready(kTarget, reply(500, "<html>secret</html>")).detail, "HTTP 500: an HTML page");
    EXPECT_EQ(oip().classify_ready(kTarget, reply(500, "")).detail, "HTTP 500");
    EXPECT_LT(oip().classify_ready(kTarget, reply(500, std::string(5000, 'x'))).detail.size(), 200u);
}

TEST(OipRequest, ready_asks_for_the_model_and_never_for_a_version) {
    Target target = kTarget;
    target.server_model = "a/b ?c";
    target.served_version = "3";
    const sys::HttpRequest request = oip().ready_request(target);
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.url, "http://127.0.0.1:8080/v2/models/a%2Fb%20%3Fc/ready");
}

TEST(OipRequest, wraps_a_flat_input_and_asks_for_the_chosen_output) {
    const CanaryItem item{.id = "a", .input = "[0.5,1,2,3]"};
    const InferShape shape{.input_name = "x", .datatype = "FP64", .output_name = "predict_proba"};

    const auto request = oip().infer_request(kTarget, item, shape, 7);

    ASSERT_TRUE(request) << request.error().what;
    EXPECT_EQ(request->method, "POST");
    EXPECT_EQ(request->url, "http://127.0.0.1:8080/v2/models/digits/infer");
    EXPECT_EQ(nlohmann::json::parse(request->body), nlohmann::json::parse(R"({
        "id": "mg-0000000000000007",
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 4], "data": [0.5, 1, 2, 3]}],
        "outputs": [{"name": "predict_proba"}]})"));
}

TEST(OipRequest, sends_a_full_inputs_array_as_it_stands) {
    const CanaryItem item{.id = "a", .input = R"([{"name":"t","shape":[1],"datatype":"BYTES","data":["hi"]}])"};
    const auto request = oip().infer_request(kTarget, item, {}, 1);
    ASSERT_TRUE(request);
    EXPECT_EQ(nlohmann::json::parse(request->body)["inputs"], nlohmann::json::parse(item.input));
    EXPECT_FALSE(nlohmann::json::parse(request->body).contains("outputs"));
}

TEST(OipRequest, any_two_differ_so_that_no_cache_answers) {
    const CanaryItem item{.id = "a", .input = "[1]"};
    EXPECT_NE(oip().infer_request(kTarget, item, {}, 1)->body, oip().infer_request(kTarget, item, {}, 2)->body);
}

TEST(OipRequest, fits_the_configured_shape_or_says_that_it_does_not) {
    struct ShapeCase {
        std::string_view input;
        std::vector<std::int64_t> shape;
        std::string_view sent;  // empty: refused
    };
    for (const ShapeCase& c : {
             ShapeCase{.input = "[1,2,3,4]", .shape = {1, 2, 2}, .sent = "[1,2,2]"},
             ShapeCase{.input = "[1,2,3,4]", .shape = {1, -1}, .sent = "[1,4]"},
             ShapeCase{.input = "[[1,2],[3,4]]", .shape = {2, 2}, .sent = "[2,2]"},
             ShapeCase{.input = R"(["a",true])", .shape = {2}, .sent = "[2]"},
             ShapeCase{.input = "[1,2,3]", .shape = {1, 4}},
             ShapeCase{.input = "[1,2,3]", .shape = {2, -1}},
             ShapeCase{.input = "[[1,2],[3,4]]", .shape = {}},
             ShapeCase{.input = "[]", .shape = {}},
             ShapeCase{.input = "[[],[]]", .shape = {2, 0}},
             ShapeCase{.input = "[null]", .shape = {}},
             ShapeCase{.input = "[1,{}]", .shape = {}},
             ShapeCase{.input = "7", .shape = {}},
             ShapeCase{.input = "[NaN]", .shape = {}},
             ShapeCase{.input = std::string_view(kDeep), .shape = {}},
         }) {
        const CanaryItem item{.id = "a", .input = std::string(c.input)};
        const auto request = oip().infer_request(kTarget, item, {.shape = c.shape}, 1);
        EXPECT_EQ(request.has_value(), !c.sent.empty()) << c.input;
        if (request) {
            EXPECT_EQ(nlohmann::json::parse(request->body)["inputs"][0]["shape"].dump(), c.sent);
        } else {
            EXPECT_EQ(request.error().kind, ErrorKind::invalid_config);
            EXPECT_TRUE(request.error().what.starts_with("item a: ")) << request.error().what;
        }
    }
}

}  // namespace
}  // namespace modelguard::checks
