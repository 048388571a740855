#include "tests/checks/protocol/asking.hpp"

namespace modelguard::checks::test {
namespace {

std::string versions(const std::string& entries) { return R"({"model_version_status":[)" + entries + "]}"; }
std::string version(const std::string& name, const std::string& state, const std::string& error = "") {
    return R"({"version":")" + name + R"(","state":")" + state + R"(","status":{"error_code":")" +
           (error.empty() ? "OK" : "UNKNOWN") + R"(","error_message":")" + error + R"("}})";
}

TEST(V1Ready, is_classified_for_both_dialects) {
    const struct {
        const char* what;
        int status;
        std::string body;
        Outcome outcome;
    } cases[] = {
        {"TensorFlow Serving: loaded", 200, versions(version("1", "AVAILABLE")), Outcome::ok},
        {"TensorFlow Serving: loading", 200, versions(version("1", "LOADING")), Outcome::loading},
        {"TensorFlow Serving: start", 200, versions(version("1", "START")), Outcome::loading},
        {"TensorFlow Serving: unloaded", 200, versions(version("1", "END")), Outcome::missing},
        {"TensorFlow Serving: failed load", 200, versions(version("2", "END", "bad graph")), Outcome::broken},
        {"TensorFlow Serving: the old one serves on", 200,
         versions(version("2", "END", "bad graph") + "," + version("1", "AVAILABLE")), Outcome::ok},
        {"TensorFlow Serving: missing", 404, R"({"error":"Could not find any versions of model digits"})",
         Outcome::missing},
        {"KServe: loaded", 200, R"({"name":"digits","ready":true})", Outcome::ok},
        {"KServe, old: loaded", 200, R"({"name":"digits","ready":"True"})", Outcome::ok},
        {"KServe: not yet", 200, R"({"name":"digits","ready":false})", Outcome::loading},
        {"KServe: loading", 503, R"({"error":"Model with name digits is not ready."})", Outcome::loading},
        {"KServe: missing", 404, R"({"error":"Model with name digits does not exist."})", Outcome::missing},
        {"a list of OpenAI models", 200, R"({"object":"list","data":[]})", Outcome::broken},
        {"a page", 200, "<html>", Outcome::broken},
        {"nothing", 200, "", Outcome::broken},
        {"a failure", 500, "oops", Outcome::broken},
    };
    const Asking v1("v1");
    for (const auto& each : cases) {
        const ReadyAnswer answer = v1.ready(each.status, each.body);
        EXPECT_EQ(answer.outcome, each.outcome) << each.what << ": " << answer.detail;
        EXPECT_FALSE(answer.detail.empty()) << each.what;
    }
}

TEST(V1Ready, another_version_than_the_expected_is_told) {
    Asking v1("v1");
    v1.target.served_version = "2";
    EXPECT_EQ(v1.ready(200, versions(version("2", "AVAILABLE") + "," + version("1", "AVAILABLE"))).outcome,
              Outcome::ok);
    EXPECT_EQ(v1.ready(200, versions(version("2", "LOADING") + "," + version("1", "AVAILABLE"))).outcome,
              Outcome::loading);
    const ReadyAnswer wrong =
        v1.ready(200, versions(version("2", "END", "bad graph") + "," + version("1", "AVAILABLE")));
    EXPECT_EQ(wrong.outcome, Outcome::wrong_version);
    EXPECT_EQ(wrong.detail, "serves version 1 instead of 2");
}

TEST(V1Infer, an_input_is_one_instance_or_the_whole_request) {
    const Asking v1("v1");
    EXPECT_EQ(v1.body("[1,2]").dump(), R"({"instances":[[1,2]]})");
    EXPECT_EQ(v1.body(R"({"b64":"AA=="})").dump(), R"({"instances":[{"b64":"AA=="}]})");
    EXPECT_EQ(v1.body(R"({"signature_name":"x","instances":[1]})")["signature_name"], "x");
    const auto request = v1.protocol->infer_request(v1.target, {.id = "a", .input = "[1]"}, v1.shape, 7);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->url, "http://127.0.0.1:8080/v1/models/digits:predict");
    EXPECT_FALSE(v1.protocol->infer_request(v1.target, {.id = "a", .input = "nonsense"}, v1.shape, 7));
}

TEST(V1Infer, predictions_are_read_in_each_form) {
    Asking v1("v1");
    EXPECT_EQ(v1.answer(200, R"({"predictions":[7]})").numbers, std::vector<double>{7});
    EXPECT_EQ(v1.answer(200, R"({"predictions":[[0.1,0.9]]})").numbers, (std::vector<double>{0.1, 0.9}));
    EXPECT_EQ(v1.answer(200, R"({"outputs":[[0.1,0.9]]})").numbers, (std::vector<double>{0.1, 0.9}));
    EXPECT_EQ(v1.answer(200, R"({"predictions":["cat"]})").texts, std::vector<std::string>{"cat"});
    v1.shape.output_name = "probs";
    EXPECT_EQ(v1.answer(200, R"({"predictions":[{"logits":[1,2],"probs":[0.3,0.7]}]})").numbers,
              (std::vector<double>{0.3, 0.7}));
    EXPECT_EQ(v1.answer(200, R"({"predictions":[{"logits":[1,2]}]})").outcome, Outcome::broken);
    v1.shape.argmax = true;
    EXPECT_EQ(v1.answer(200, R"({"predictions":[{"probs":[0.3,0.7,0.1]}]})").numbers, std::vector<double>{1});
}

TEST(V1Infer, what_is_no_prediction_is_broken) {
    const Asking v1("v1");
    EXPECT_TRUE(v1.answer(200, R"({"predictions":[[NaN,1]]})").not_finite);
    for (const char* body : {"", "<html>", "[]", "{}", R"({"predictions":[]})", R"({"predictions":[{}]})",
                             R"({"predictions":[[]]})", R"({"error":"x"})"})
        EXPECT_EQ(v1.answer(200, body).outcome, Outcome::broken) << body;
    EXPECT_EQ(v1.answer(503, "").outcome, Outcome::loading);
    EXPECT_EQ(v1.answer(404, R"x({"error":"Servable not found for request: Latest(digits)"})x").outcome,
              Outcome::missing);
}

}  // namespace
}  // namespace modelguard::checks::test
