#include "tests/checks/protocol/asking.hpp"

namespace modelguard::checks::test {
namespace {

ParamMap params(std::map<std::string, std::string> more = {}) {
    ParamMap result{{"path", {.value = std::string("/predict")}}, {"answer", {.value = std::string("/result/class")}}};
    for (auto& [name, value] : more)
        result[name] = {.value = value};
    return result;
}

TEST(HttpJsonProtocol, the_request_comes_from_the_template) {
    const Asking plain("http_json", params());
    EXPECT_EQ(plain.body("[1,2]").dump(), "[1,2]");
    const Asking filled("http_json", params({{"body", R"({"rows":[{input}],"id":"{unique}"})"}}));
    EXPECT_EQ(filled.body("[1,2]").dump(), R"({"id":"7","rows":[[1,2]]})");
    EXPECT_EQ(filled.body(R"("{unique}")")["rows"][0], "{unique}") << "an input is not a template";
    const auto request = filled.protocol->infer_request(filled.target, {.id = "a", .input = "1"}, {}, 7);
    EXPECT_EQ(request->url, "http://127.0.0.1:8080/predict");
}

TEST(HttpJsonProtocol, the_answer_stands_at_its_pointer) {
    Asking asking("http_json", params());
    EXPECT_EQ(asking.answer(200, R"({"result":{"class":3}})").numbers, std::vector<double>{3});
    EXPECT_EQ(asking.answer(200, R"({"result":{"class":"cat"}})").texts, std::vector<std::string>{"cat"});
    EXPECT_TRUE(asking.answer(200, R"({"result":{"class":NaN}})").not_finite);
    asking.shape.argmax = true;
    EXPECT_EQ(asking.answer(200, R"({"result":{"class":[0.1,0.8,0.1]}})").numbers, std::vector<double>{1});
    for (const char* body : {"", "<html>", "{}", R"({"result":[]})", R"({"result":{"class":{}}})"})
        EXPECT_EQ(asking.answer(200, body).outcome, Outcome::broken) << body;
    EXPECT_EQ(asking.answer(503, "").outcome, Outcome::loading);
    EXPECT_EQ(asking.answer(500, "x").outcome, Outcome::broken);
}

TEST(HttpJsonProtocol, another_version_is_told) {
    Asking asking("http_json", params({{"version", "/version"}}));
    asking.target.served_version = "2";
    EXPECT_EQ(asking.answer(200, R"({"version":2,"result":{"class":3}})").outcome, Outcome::ok);
    EXPECT_EQ(asking.answer(200, R"({"version":"1","result":{"class":3}})").outcome, Outcome::wrong_version);
    EXPECT_EQ(asking.answer(200, R"({"result":{"class":3}})").outcome, Outcome::ok) << "not said";
}

TEST(HttpJsonProtocol, ready_is_a_path_that_answers_200) {
    const Asking asking("http_json", params());
    EXPECT_EQ(asking.protocol->ready_request(asking.target).url, "http://127.0.0.1:8080/health");
    EXPECT_EQ(asking.ready(200, "anything").outcome, Outcome::ok);
    EXPECT_EQ(asking.ready(503, "").outcome, Outcome::loading);
    EXPECT_EQ(asking.ready(404, "").outcome, Outcome::missing);
    EXPECT_EQ(asking.protocol->classify_ready(asking.target, fail(ErrorKind::unavailable, "refused")).outcome,
              Outcome::unreachable);
}

TEST(HttpJsonProtocol, wrong_parameters_are_refused) {
    EXPECT_NE(Asking("http_json", params({{"path", "predict"}})).refusal.find("as in /predict"), std::string::npos);
    EXPECT_NE(Asking("http_json", params({{"answer", "result"}})).refusal.find("as in /predictions/0"),
              std::string::npos);
    EXPECT_NE(Asking("http_json", params({{"body", "{}"}})).refusal.find("{input} is missing"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
