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

const ParamMap kStream{{"stream", {.value = true}}};

std::string event(const std::string& choice) { return "data: {\"choices\":[" + choice + "]}\n\n"; }

TEST(OpenAiStream, pieces_make_the_answer_and_their_times) {
    const Asking chat("openai", kStream);
    EXPECT_EQ(chat.body(R"("x")")["stream"], true);
    const std::string head = event(R"({"delta":{"role":"assistant","content":""}})") + ": comment\n\n";
    const std::string thought = head + event(R"({"delta":{"reasoning_content":"hm"}})");
    const std::string first = thought + event(R"({"delta":{"content":"thr"}})");
    const std::string last = first + event(R"({"delta":{"content":"ee"}})");
    const std::string all = last + event(R"({"delta":{},"finish_reason":"stop"})") + "data: [DONE]\n\n";
    const auto at = [](const std::string& text, std::int64_t usec) { return sys::Arrival{text.size(), Usec{usec}}; };
    const sys::HttpReply reply{.status = 200,
                               .body = all,
                               .total = Usec{900},
                               .arrivals = {at(head, 100), at(thought, 200), at(first, 400), at(all, 700)}};

    const InferAnswer answer = chat.protocol->read_infer(chat.target, {}, reply);

    ASSERT_EQ(answer.outcome, Outcome::ok) << answer.detail;
    EXPECT_EQ(answer.texts, std::vector<std::string>{"three"});
    ASSERT_TRUE(answer.streamed.has_value());
    EXPECT_EQ(answer.streamed->first, Usec{200}) << "what a model thinks aloud are tokens too";
    EXPECT_EQ(answer.streamed->last, Usec{700});
    EXPECT_EQ(answer.streamed->tokens, 3);
}

TEST(OpenAiStream, the_servers_own_count_of_tokens_counts) {
    const Asking completions("openai", {{"stream", {.value = true}}, {"api", {.value = std::string("completions")}}});
    const InferAnswer answer =
        completions.answer(200, event(R"({"text":"a b c","finish_reason":"length"})") +
                                    "data: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n");
    ASSERT_TRUE(answer.streamed.has_value()) << answer.detail;
    EXPECT_EQ(answer.streamed->tokens, 7);
    EXPECT_EQ(answer.texts, std::vector<std::string>{"a b c"});
}

TEST(OpenAiStream, what_breaks_off_fails_or_never_begins_is_broken) {
    const Asking chat("openai", kStream);
    const struct {
        std::string body;
        const char* says;
    } cases[] = {
        {event(R"({"delta":{"content":"x"}})"), "broke off after 1 pieces"},
        {event(R"({"delta":{"content":"x"}})") + "data: {\"error\":{\"message\":\"engine is dead\"}}\n",
         "engine is dead"},
        {"data: [DONE]\n", "without a word"},
        {"data: nonsense\n", "not a JSON object"},
        {R"({"choices":[{"message":{"content":"x"}}]})", "no stream of events"},
        {"", "no stream of events"},
    };
    for (const auto& each : cases) {
        const InferAnswer answer = chat.answer(200, each.body);
        EXPECT_EQ(answer.outcome, Outcome::broken) << each.body;
        EXPECT_NE(answer.detail.find(each.says), std::string::npos) << answer.detail;
    }
    EXPECT_NE(Asking("openai", {{"stream", {.value = true}}, {"api", {.value = std::string("embeddings")}}})
                  .refusal.find("embeddings come as a whole"),
              std::string::npos);
}

TEST(OpenAiErrors, are_told_in_each_servers_own_words) {
    const Asking chat("openai");
    const std::pair<const char*, const char*> cases[] = {
        {R"({"object":"error","message":"bad seed","code":400})", "HTTP 400: bad seed"},
        {R"({"error":{"message":"bad seed","type":"x","param":"","code":"400"}})", "HTTP 400: bad seed"},
        {R"({"error":"bad seed"})", "HTTP 400: bad seed"},
        {R"("{\"object\":\"error\",\"message\":\"bad seed\",\"code\":400}")", "HTTP 400: bad seed"},
        {R"({"detail":[{"loc":["body","seed"],"msg":"bad seed","type":"x"}]})", "HTTP 400: bad seed"},
    };
    for (const auto& [body, says] : cases)
        EXPECT_EQ(chat.answer(400, body).detail, says) << body;
    EXPECT_NE(chat.answer(401, R"({"error":{"message":"Invalid API Key"}})").detail.find("Invalid API Key (serve.key"),
              std::string::npos);
    EXPECT_NE(chat.ready(401, "").detail.find("serve.key"), std::string::npos);
}

TEST(OpenAiParams, a_prefix_is_a_path) {
    EXPECT_NE(Asking("openai", {{"prefix", {.value = std::string("v1")}}}).refusal.find("as in /v1"),
              std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
