#include "checks/infer_params.hpp"

#include <gtest/gtest.h>

namespace modelguard::checks {
namespace {

ParamMap with_shape(std::vector<std::string> shape) {
    return {{"input", {.value = ParamMap{{"shape", {.value = std::move(shape)}}}}}};
}

TEST(InferParams, are_the_defaults_where_nothing_is_given) {
    const auto params = infer_params({});
    ASSERT_TRUE(params);
    EXPECT_EQ(params->canary, "");
    EXPECT_EQ(params->shape.input_name, "input-0");
    EXPECT_EQ(params->shape.datatype, "FP32");
    EXPECT_TRUE(params->shape.shape.empty());
    EXPECT_FALSE(params->shape.argmax);
}

TEST(InferParams, are_read_from_input_and_output) {
    const auto params = infer_params({
        {"canary", {.value = std::string("canary/x.jsonl")}},
        {"input",
         {.value = ParamMap{{"name", {.value = std::string("x")}},
                            {"datatype", {.value = std::string("INT64")}},
                            {"shape", {.value = std::vector<std::string>{"1", "-1", "8"}}}}}},
        {"output",
         {.value = ParamMap{{"name", {.value = std::string("probs")}}, {"reduce", {.value = std::string("argmax")}}}}},
    });
    ASSERT_TRUE(params) << params.error().what;
    EXPECT_EQ(params->canary, "canary/x.jsonl");
    EXPECT_EQ(params->shape.input_name, "x");
    EXPECT_EQ(params->shape.datatype, "INT64");
    EXPECT_EQ(params->shape.shape, (std::vector<std::int64_t>{1, -1, 8}));
    EXPECT_EQ(params->shape.output_name, "probs");
    EXPECT_TRUE(params->shape.argmax);
}

TEST(InferParams, refuse_shapes_that_are_none) {
    for (const std::vector<std::string>& shape :
         std::vector<std::vector<std::string>>{{"0"},
                                               {"x"},
                                               {"1.5"},
                                               {"-2"},
                                               {""},
                                               {"-1", "-1"},
                                               {"99999999999999999999"},
                                               {"2000000000", "2000000000"},
                                               std::vector<std::string>(17, "1")}) {
        const auto params = infer_params(with_shape(shape));
        ASSERT_FALSE(params) << shape.front();
        EXPECT_EQ(params.error().kind, ErrorKind::invalid_config);
        EXPECT_TRUE(params.error().what.starts_with("input.shape: ")) << params.error().what;
    }
}

TEST(InferParams, refuse_a_canary_path_out_of_the_version) {
    EXPECT_FALSE(infer_params({{"canary", {.value = std::string("../other/set.jsonl")}}}));
}

}  // namespace
}  // namespace modelguard::checks
