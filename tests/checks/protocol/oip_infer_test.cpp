// What oip reads from a 200 of the infer endpoint.

#include <gtest/gtest.h>

#include "checks/protocol/protocol.hpp"
#include "checks/protocol/tolerant_json.hpp"

namespace modelguard::checks {
namespace {

const Target kTarget{.endpoint = "http://127.0.0.1:8080", .server_model = "digits"};

InferAnswer read(std::string body, const InferShape& shape = {}, const Target& target = kTarget) {
    return (*find_protocol("oip")->make({}))
        ->read_infer(target, shape, sys::HttpReply{.status = 200, .body = std::move(body)});
}
std::string with_data(const std::string& data, const std::string& datatype = "FP32", const std::string& shape = "[1]") {
    return R"({"model_name":"digits","model_version":"2","outputs":[{"name":"y","datatype":")" + datatype +
           R"(","shape":)" + shape + R"(,"data":)" + data + "}]}";
}

TEST(OipAnswer, numbers_are_read_flat_or_nested) {
    EXPECT_EQ(read(with_data("[1,2.5,-3]")).numbers, (std::vector<double>{1, 2.5, -3}));
    EXPECT_EQ(read(with_data("[[1,2],[3,4]]")).numbers, (std::vector<double>{1, 2, 3, 4}));
    EXPECT_EQ(read(with_data("[true,false]", "BOOL")).numbers, (std::vector<double>{1, 0}));
    EXPECT_EQ(read(with_data(R"(["7","-8"])", "INT64")).numbers, (std::vector<double>{7, -8}))
        << "protobuf's JSON mapping";
    EXPECT_EQ(read(with_data("[1]")).model_version, "2");
    EXPECT_EQ(read(with_data("[1]")).outcome, Outcome::ok);
}

TEST(OipAnswer, bytes_are_texts_even_where_they_look_like_numbers) {
    const InferAnswer answer = read(with_data(R"(["cat","NaN","7"])", "BYTES", "[3]"));
    EXPECT_EQ(answer.outcome, Outcome::ok);
    EXPECT_EQ(answer.texts, (std::vector<std::string>{"cat", "NaN", "7"}));
    EXPECT_TRUE(answer.numbers.empty());
    EXPECT_FALSE(answer.not_finite);
}

TEST(OipAnswer, what_is_no_number_where_one_belongs_is_not_finite) {
    for (const char* data : {"[NaN]", "[1,Infinity]", "[-Infinity]", "[null]", "[[1,2],[null,4]]", R"(["NaN"])",
                             R"(["-Infinity"])", R"(["Infinity"])", "null"}) {
        const InferAnswer answer = read(with_data(data));
        EXPECT_EQ(answer.outcome, Outcome::broken) << data;
        EXPECT_TRUE(answer.not_finite) << data;
        EXPECT_EQ(answer.detail, "output y holds NaN, Infinity or null") << data;
    }
}

TEST(OipAnswer, nonsense_is_broken_but_not_called_not_finite) {
    for (const std::string& body :
         {std::string(), std::string("{}"), std::string("[]"), std::string("<html></html>"), std::string("nonsense"),
          std::string("null"), std::string(R"({"outputs":[]})"), std::string(R"({"outputs":[{"name":"y"}]})"),
          std::string(R"({"outputs":[7]})"), std::string(R"({"error":"boom"})"), with_data("[]"), with_data("{}"),
          with_data(R"([{"a":1}])"), with_data(R"(["cat"])"), with_data("[null]", "BYTES"), with_data("[1e999]"),
          with_data("[1,2").substr(0, 90), std::string(1'000'000, '['),
          R"({"outputs":)" + std::string(100, '[') + std::string(100, ']') + "}"}) {
        const InferAnswer answer = read(body);
        EXPECT_EQ(answer.outcome, Outcome::broken) << body.substr(0, 80);
        EXPECT_FALSE(answer.not_finite) << body.substr(0, 80);
        EXPECT_FALSE(answer.detail.empty()) << body.substr(0, 80);
        EXPECT_TRUE(answer.numbers.empty()) << body.substr(0, 80);
    }
}

TEST(OipAnswer, with_more_values_than_any_canary_needs_is_refused) {
    std::string data = "[1";
    for (std::size_t i = 0; i < kMaxJsonValues; ++i)
        data += ",1";
    const InferAnswer answer = read(with_data(data + "]"));
    EXPECT_EQ(answer.outcome, Outcome::broken);
    EXPECT_NE(answer.detail.find("more than 2 million values"), std::string::npos) << answer.detail;
}

TEST(OipAnswer, may_be_encoded_twice) {
    const InferAnswer answer =
        read(R"("{\"model_version\":\"2\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"data\":[4]}]}")");
    EXPECT_EQ(answer.outcome, Outcome::ok) << answer.detail;
    EXPECT_EQ(answer.numbers, (std::vector<double>{4}));
    const InferAnswer nan = read(R"("{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"data\":[NaN]}]}")");
    EXPECT_TRUE(nan.not_finite);
}

TEST(OipAnswer, the_output_is_chosen_by_name) {
    const std::string body =
        R"({"outputs":[{"name":"a","datatype":"FP32","data":[1]},{"name":"b","datatype":"FP32","data":[2]},
            {"name":"c","datatype":"FP32","data":[null]}]})";
    EXPECT_EQ(read(body).numbers, (std::vector<double>{1}));
    EXPECT_EQ(read(body, {.output_name = "b"}).numbers, (std::vector<double>{2}));
    EXPECT_TRUE(read(body, {.output_name = "c"}).not_finite);
    const InferAnswer none = read(body, {.output_name = "d"});
    EXPECT_EQ(none.outcome, Outcome::broken);
    EXPECT_EQ(none.detail, "no output named d (there is: a, b, c)");
}

TEST(OipAnswer, argmax_runs_along_the_last_axis) {
    const InferShape shape{.argmax = true};
    EXPECT_EQ(read(with_data("[0.1,0.7,0.2]", "FP32", "[1,3]"), shape).numbers, (std::vector<double>{1}));
    EXPECT_EQ(read(with_data("[0.1,0.9,0.8,0.2]", "FP32", "[2,2]"), shape).numbers, (std::vector<double>{1, 0}));
    EXPECT_EQ(read(with_data("[[0.1,0.9],[0.8,0.2]]", "FP32", "[]"), shape).numbers, (std::vector<double>{1, 0}))
        << "without a shape the nesting says it";
    EXPECT_EQ(read(with_data("[3,1,2]", "FP32", "[1,7]"), shape).numbers, (std::vector<double>{0}))
        << "a shape that does not fit is not believed";
    EXPECT_EQ(read(with_data("[1,2]", "FP32", "[-1]"), shape).numbers, (std::vector<double>{1}));
}

TEST(OipAnswer, another_version_than_expected_is_wrong) {
    Target target = kTarget;
    target.served_version = "3";
    const InferAnswer answer = read(with_data("[1]"), {}, target);
    EXPECT_EQ(answer.outcome, Outcome::wrong_version);
    EXPECT_EQ(answer.detail, "serves version 2 instead of 3");
    EXPECT_EQ(answer.model_version, "2");

    target.served_version = "2";
    EXPECT_EQ(read(with_data("[1]"), {}, target).outcome, Outcome::ok);
    EXPECT_EQ(read(R"({"outputs":[{"name":"y","data":[1]}]})", {}, target).outcome, Outcome::ok)
        << "a server may not say";
    EXPECT_EQ(read(R"({"model_version":2,"outputs":[{"name":"y","data":[1]}]})", {}, target).outcome, Outcome::ok)
        << "or as a number";
}

}  // namespace
}  // namespace modelguard::checks
