#include "tests/checks/protocol/asking.hpp"

namespace modelguard::checks::test {
namespace {

ParamMap api(const std::string& name) { return {{"api", {.value = name}}}; }

TEST(OpenAiReady, is_classified_for_each_server) {
    const struct {
        const char* what;
        int status;
        std::string body;
        Outcome outcome;
    } cases[] = {
        {"listed", 200, R"({"object":"list","data":[{"id":"other"},{"id":"digits"}]})", Outcome::ok},
        {"not listed", 200, R"({"object":"list","data":[{"id":"other"}]})", Outcome::missing},
        {"none", 200, R"({"object":"list","data":[]})", Outcome::missing},
        {"llama.cpp: loading", 503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})",
         Outcome::loading},
        {"OVMS: loading", 500, R"({"error":"Mediapipe execution failed. MEDIAPIPE_DEFINITION_NOT_LOADED_YET"})",
         Outcome::loading},
        {"MLC: a wrong key", 401, R"("{\"object\":\"error\",\"message\":\"Unauthorized\"}")", Outcome::broken},
        {"no such path", 404, R"({"detail":"Not Found"})", Outcome::missing},
        {"another server", 200, R"({"ready":true})", Outcome::broken},
        {"a page", 200, "<html>", Outcome::broken},
    };
    const Asking openai("openai");
    for (const auto& each : cases) {
        const ReadyAnswer answer = openai.ready(each.status, each.body);
        EXPECT_EQ(answer.outcome, each.outcome) << each.what << ": " << answer.detail;
    }
    EXPECT_EQ(openai.ready(200, R"({"data":[{"id":"other"}]})").detail, "no model digits (there is: other)");
    EXPECT_EQ(openai.protocol->ready_request(openai.target).url, "http://127.0.0.1:8080/v1/models");
}

TEST(OpenAiInfer, each_api_has_its_request) {
    const Asking chat("openai");
    const auto body = chat.body(R"("2+2?")");
    EXPECT_EQ(body["messages"].dump(), R"([{"content":"2+2?","role":"user"}])");
    EXPECT_EQ(body["model"], "digits");
    EXPECT_EQ(body["temperature"], 0);
    EXPECT_EQ(body["stream"], false);
    EXPECT_FALSE(body.contains("cache_salt")) << "servers that check their fields refuse it";
    EXPECT_EQ(chat.body(R"([{"role":"system","content":"x"}])")["messages"][0]["role"], "system");
    EXPECT_EQ(chat.body(R"({"messages":[],"max_tokens":3})")["max_tokens"], 3);
    EXPECT_EQ(Asking("openai", api("completions")).body(R"("2+2=")")["prompt"], "2+2=");
    EXPECT_EQ(Asking("openai", api("embeddings")).body(R"("text")").dump(), R"({"input":"text","model":"digits"})");
    const Asking salted("openai", {{"cache_salt", {.value = true}}, {"prefix", {.value = std::string("/v3/")}}});
    EXPECT_EQ(salted.body(R"("x")")["cache_salt"], "mg-0000000000000007");
    EXPECT_EQ(salted.protocol->infer_request(salted.target, {.id = "a", .input = R"("x")"}, {}, 7)->url,
              "http://127.0.0.1:8080/v3/chat/completions");
    EXPECT_FALSE(chat.protocol->infer_request(chat.target, {.id = "a", .input = "5"}, {}, 7));
    EXPECT_FALSE(chat.protocol->infer_request(chat.target, {.id = "a", .input = "nonsense"}, {}, 7));
}

TEST(OpenAiInfer, each_api_has_its_answer) {
    EXPECT_EQ(Asking("openai").answer(200, R"({"choices":[{"message":{"role":"assistant","content":"4"}}]})").texts,
              std::vector<std::string>{"4"});
    EXPECT_EQ(Asking("openai", api("completions")).answer(200, R"({"choices":[{"text":" 4"}]})").texts,
              std::vector<std::string>{" 4"});
    EXPECT_EQ(Asking("openai", api("embeddings")).answer(200, R"({"data":[{"embedding":[0.5,-1]}]})").numbers,
              (std::vector<double>{0.5, -1}));
    EXPECT_TRUE(Asking("openai", api("embeddings")).answer(200, R"({"data":[{"embedding":[null,1]}]})").not_finite);
}

TEST(OpenAiInfer, what_is_no_answer_is_broken) {
    const Asking chat("openai");
    for (const char* body : {"", "<html>", "{}", R"({"choices":[]})", R"({"choices":[{"message":{"content":null}}]})",
                             R"({"error":{"message":"x"}})"})
        EXPECT_EQ(chat.answer(200, body).outcome, Outcome::broken) << body;
    EXPECT_EQ(chat.answer(200, R"({"error":{"message":"engine is dead"}})").detail,
              "HTTP 200 with an error: engine is dead");
    EXPECT_EQ(chat.answer(400, R"({"error":{"message":"bad","type":"x","code":400}})").detail, "HTTP 400: bad");
    EXPECT_EQ(chat.answer(503, R"({"error":{"message":"Loading model"}})").outcome, Outcome::loading);
    EXPECT_EQ(chat.answer(404, R"({"error":{"message":"The model `digits` does not exist."}})").outcome,
              Outcome::missing);
}

TEST(OpenAiParams, a_prefix_is_a_path) {
    EXPECT_NE(Asking("openai", {{"prefix", {.value = std::string("v1")}}}).refusal.find("as in /v1"),
              std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
