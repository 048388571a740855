#include "checks/canary.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace modelguard::checks {
namespace {

TEST(CanarySet, keeps_ids_inputs_labels_and_lines) {
    const auto items = parse_canary_set(
        "\xEF\xBB\xBF{\"id\": \"a\", \"input\": [1, 2.5], \"label\": 3}\r\n"
        "\n"
        "  {\"id\": 7, \"input\": [{\"name\": \"x\"}], \"label\": \"cat\", \"reference\": [1], \"note\": 1}",
        "set.jsonl");

    ASSERT_TRUE(items) << items.error().what;
    ASSERT_EQ(items->size(), 2u);
    EXPECT_EQ((*items)[0].id, "a");
    EXPECT_EQ((*items)[0].input, "[1,2.5]");
    EXPECT_EQ((*items)[0].label, "3");
    EXPECT_EQ((*items)[0].line, 1);
    EXPECT_EQ((*items)[1].id, "7");
    EXPECT_EQ((*items)[1].label, "\"cat\"");
    EXPECT_EQ((*items)[1].reference, "[1]");
    EXPECT_EQ((*items)[1].line, 3);
}

TEST(CanarySet, errors_name_the_line_and_what_was_expected) {
    const std::string good = R"({"id": "a", "input": [1], "label": 1})";
    struct Case {
        std::string line;
        std::string_view says;
    };
    for (const Case& c : {
             Case{.line = "nonsense", .says = "not JSON"},
             Case{.line = R"({"id": "b", "input": [1], "label": 1)", .says = "not JSON"},
             Case{.line = "[1]", .says = "not a JSON object"},
             Case{.line = R"({"input": [1], "label": 1})", .says = "no \"id\""},
             Case{.line = R"({"id": 1.5, "input": [1], "label": 1})", .says = "neither a text nor an integer"},
             Case{.line = R"({"id": "", "input": [1], "label": 1})", .says = "\"id\" is empty"},
             Case{.line = R"({"id": "a\u001b[2J", "input": [1], "label": 1})", .says = "control characters"},
             Case{.line = R"({"id": "b", "label": 1})", .says = "no \"input\""},
             Case{.line = R"({"id": "b", "input": null, "label": 1})", .says = "no \"input\""},
             Case{.line = R"({"id": "b", "input": [1]})", .says = "no \"label\""},
             Case{.line = R"({"id": "b", "input": [NaN], "label": 1})", .says = "NaN"},
             Case{.line = good, .says = "id a a second time"},
             Case{.line = R"({"id": "b", "input": )" + std::string(100'000, '[') + "}", .says = "deeper than 64"},
             Case{.line = "{\"id\": \"\xFF\", \"input\": [1], \"label\": 1}", .says = "not JSON"},
         }) {
        const auto items = parse_canary_set(good + "\n" + c.line + "\n", "set.jsonl");
        ASSERT_FALSE(items) << c.line.substr(0, 80);
        EXPECT_EQ(items.error().kind, ErrorKind::invalid_config);
        EXPECT_TRUE(items.error().what.starts_with("set.jsonl:2: ")) << items.error().what;
        EXPECT_NE(items.error().what.find(c.says), std::string::npos) << items.error().what;
    }
}

TEST(CanarySet, without_items_or_with_too_many_is_refused) {
    for (const char* text : {"", "\n\n", "\xEF\xBB\xBF"}) {
        const auto items = parse_canary_set(text, "set.jsonl");
        ASSERT_FALSE(items);
        EXPECT_EQ(items.error().what, "set.jsonl: no item in it");
    }
    std::string many;
    for (std::size_t i = 0; i <= kMaxCanaryItems; ++i)
        many += R"({"id":)" + std::to_string(i) + R"(,"input":[1],"label":1})" + "\n";
    const auto items = parse_canary_set(many, "set.jsonl");
    ASSERT_FALSE(items);
    EXPECT_EQ(items.error().what, "set.jsonl:20001: more than 20000 items");
}

TEST(CanarySet, a_label_may_be_a_reference_alone) {
    EXPECT_TRUE(parse_canary_set(R"({"id": "a", "input": [1], "reference": [1]})", "set.jsonl"));
}

TEST(CanaryPath, stays_inside_of_the_version) {
    for (const char* path : {"digits.jsonl", "canary/digits.jsonl", "a/b/c..d", "..a"})
        EXPECT_TRUE(validate_canary_path(path)) << path;
    for (const std::string& path :
         {std::string(), std::string("/etc/passwd"), std::string(".."), std::string("../x"), std::string("a/../../x"),
          std::string("./x"), std::string("a//b"), std::string("a/"), std::string("a\nb"), std::string("a\0b", 3),
          std::string(256, 'a')}) {
        const auto valid = validate_canary_path(path);
        ASSERT_FALSE(valid) << path;
        EXPECT_EQ(valid.error().kind, ErrorKind::invalid_config);
    }
}

class CanaryFile : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "modelguard-canary-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }
    std::filesystem::path dir_;
};

TEST_F(CanaryFile, is_read_from_the_version) {
    std::ofstream(dir_ / "set.jsonl") << R"({"id": "a", "input": [1], "label": 1})";
    const auto items = load_canary_set(dir_, "set.jsonl");
    ASSERT_TRUE(items) << items.error().what;
    EXPECT_EQ(items->size(), 1u);
}

TEST_F(CanaryFile, that_is_missing_too_large_or_a_link_is_an_error_with_its_name) {
    const auto missing = load_canary_set(dir_, "set.jsonl");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_NE(missing.error().what.find("set.jsonl"), std::string::npos);

    std::ofstream(dir_ / "large.jsonl") << std::string(kMaxCanaryBytes + 1, '\n');
    EXPECT_FALSE(load_canary_set(dir_, "large.jsonl"));

    std::filesystem::create_symlink("/etc/passwd", dir_ / "link.jsonl");
    EXPECT_FALSE(load_canary_set(dir_, "link.jsonl"));
}

TEST_F(CanaryFile, first_item_is_that_of_the_whole_set) {
    const std::string two = R"({"id": "a", "input": [1], "label": 3})"
                            "\n"
                            R"({"id": "b", "input": [2], "label": 4})"
                            "\n";
    for (const std::string& text : {two, "\n  \n" + two, "\xEF\xBB\xBF" + two, "\xEF\xBB\xBF\n" + two}) {
        std::ofstream(dir_ / "set.jsonl") << text;
        const auto first = load_first_item(dir_, "set.jsonl");
        const auto whole = load_canary_set(dir_, "set.jsonl");
        ASSERT_TRUE(first) << first.error().what;
        ASSERT_TRUE(whole) << whole.error().what;
        EXPECT_EQ(first->id, "a");
        EXPECT_EQ(first->line, whole->front().line);
        EXPECT_EQ(first->input, whole->front().input);
    }
    for (const std::string& text :
         {std::string(), std::string("\n\n"), std::string("{}\n") + two, std::string("no\n")}) {
        std::ofstream(dir_ / "set.jsonl") << text;
        const auto first = load_first_item(dir_, "set.jsonl");
        const auto whole = load_canary_set(dir_, "set.jsonl");
        ASSERT_FALSE(first) << text;
        ASSERT_FALSE(whole);
        EXPECT_EQ(first.error().what, whole.error().what);
    }
    EXPECT_FALSE(load_first_item(dir_, "../set.jsonl"));
}

TEST(InputsFingerprint, tells_other_ids_and_inputs_apart_but_not_labels) {
    const CanaryItem item{.id = "a", .input = "[1]", .label = "1"};
    CanaryItem other_label = item, other_input = item, other_id = item;
    other_label.label = "2";
    other_input.input = "[2]";
    other_id.id = "b";
    EXPECT_EQ(inputs_fingerprint({item}), inputs_fingerprint({other_label}));
    EXPECT_NE(inputs_fingerprint({item}), inputs_fingerprint({other_input}));
    EXPECT_NE(inputs_fingerprint({item}), inputs_fingerprint({other_id}));
}

}  // namespace
}  // namespace modelguard::checks
