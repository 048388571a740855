#include "supervisor/daemon/params_from_yaml.hpp"

#include <gtest/gtest.h>

#include "checks/check.hpp"
#include "rollback/switch.hpp"

namespace modelguard::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kWords[] = {"red", "green"};
constexpr ParamSpec kFields[] = {{.name = "name", .default_text = "input-0", .help = "h"},
                                 {.name = "shape", .type = ParamType::text_list, .help = "h"}};
constexpr ParamSpec kTable[] = {
    {.name = "flag", .type = ParamType::boolean, .default_text = "false", .help = "h"},
    {.name = "count", .type = ParamType::integer, .help = "h", .minimum = -5, .maximum = 5},
    {.name = "ratio", .type = ParamType::number, .help = "h"},
    {.name = "word", .type = ParamType::text, .help = "h", .choices = kWords},
    {.name = "wait", .type = ParamType::duration, .default_text = "1.5s", .help = "h"},
    {.name = "list", .type = ParamType::text_list, .default_text = "[a, b]", .help = "h"},
    {.name = "input", .type = ParamType::object, .help = "h", .fields = kFields},
};

struct Read {
    ParamMap params;
    std::vector<Finding> findings;
};
Read read(const std::string& text) {
    Read result;
    FindingSink sink("f", result.findings);
    const auto tree = parse_yaml_tree(text, WhenEmpty::is_empty_map, sink);
    if (tree) result.params = params_from_yaml(*tree, kTable, {}, "p", sink);
    return result;
}

TEST(ParamsFromYaml, each_type_is_read_with_its_line) {
    const auto [params, findings] = read(
        "flag: true\ncount: -3\nratio: 1e-3\nword: green\nwait: 50ms\nlist: [1, \"x y\", true]\ninput: {name: a, "
        "shape: [1, 64]}\n");

    ASSERT_TRUE(findings.empty()) << describe(findings[0]);
    EXPECT_TRUE(boolean_param(params, "flag"));
    EXPECT_EQ(integer_param(params, "count"), -3);
    EXPECT_DOUBLE_EQ(number_param(params, "ratio"), 0.001);
    EXPECT_EQ(text_param(params, "word"), "green");
    EXPECT_EQ(duration_param(params, "wait"), Usec(50ms));
    EXPECT_EQ(std::get<std::vector<std::string>>(params.find("list")->second.value),
              (std::vector<std::string>{"1", "x y", "true"}));
    const auto& input = std::get<ParamMap>(params.find("input")->second.value);
    EXPECT_EQ(text_param(input, "name"), "a");
    EXPECT_EQ(params.find("input")->second.line, 7);
}

TEST(ParamsFromYaml, defaults_are_filled_in_also_within_objects_that_are_written) {
    const auto [params, findings] = read("input: {}\n");

    ASSERT_TRUE(findings.empty());
    EXPECT_FALSE(boolean_param(params, "flag"));
    EXPECT_EQ(duration_param(params, "wait"), Usec(1500ms));
    EXPECT_EQ(std::get<std::vector<std::string>>(params.find("list")->second.value),
              (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(text_param(std::get<ParamMap>(params.find("input")->second.value), "name"), "input-0");
    EXPECT_FALSE(has_param(params, "count"));
    EXPECT_FALSE(has_param(read("").params, "input")) << "no default, not written: absent";
}

TEST(ParamsFromYaml, wrong_values_name_the_whole_key_and_what_was_expected) {
    struct {
        const char* text;
        const char* key;
        const char* fragment;
    } const cases[] = {
        {"flag: on", "p.flag", "found 'on'; expected true or false"},
        {"count: 6", "p.count", "found '6'; expected a whole number from -5 to 5"},
        {"count: 1.0", "p.count", "expected a whole number"},
        {"count: +1", "p.count", "expected a whole number"},
        {"ratio: 1,5", "p.ratio", "expected a number"},
        {"ratio: 1e999", "p.ratio", "expected a number"},
        {"ratio: [1]", "p.ratio", "found a list; expected a number"},
        {"word: geen", "p.word", "expected red or green; did you mean 'green'?"},
        {"word: ''", "p.word", "expected red or green"},
        {"wait: {}", "p.wait", "found a map; expected a duration"},
        {"wait: 1 s", "p.wait", "unknown unit"},
        {"list: {a: b}", "p.list", "found a map; expected a list"},
        {"list: [[a]]", "p.list[0]", "found a list; expected text"},
        {"input: [a]", "p.input", "found a list; expected a map"},
        {"input: {shap: [1]}", "p.input.shap", "did you mean 'shape'?"},
        {"input: {name: [1]}", "p.input.name", "found a list; expected text"},
    };
    for (const auto& each : cases) {
        const auto [params, findings] = read(each.text);
        ASSERT_EQ(findings.size(), 1U) << each.text;
        EXPECT_EQ(findings[0].key, each.key) << each.text;
        EXPECT_NE(findings[0].text.find(each.fragment), std::string::npos) << describe(findings[0]);
    }
}

TEST(ParamsFromYaml, text_beyond_4096_bytes_and_lists_beyond_256_items_are_refused) {
    std::string list = "list: [a";
    for (int i = 0; i < 256; ++i)
        list += ", a";

    EXPECT_EQ(read(list + "]").findings.size(), 1U);
    EXPECT_EQ(read("list: [" + std::string(4097, 'a') + "]").findings.size(), 1U);
    EXPECT_EQ(read("input: {name: " + std::string(4097, 'a') + "}").findings.size(), 1U);
    EXPECT_TRUE(read("input: {name: " + std::string(4096, 'a') + "}").findings.empty());
}

TEST(ParamsFromYaml, every_default_in_every_shipped_table_parses) {
    const YamlNode empty{.kind = YamlNode::Kind::map, .line = 1};
    std::vector<Finding> findings;
    FindingSink sink("f", findings);
    std::size_t filled = 0;
    const auto fill = [&](std::span<const ParamSpec> table) {
        filled += params_from_yaml(empty, table, {}, "", sink).size();
    };
    for (const checks::CheckKind* kind : checks::kinds())
        fill(kind->params);
    for (const checks::ProtocolKind* kind : checks::protocols())
        fill(kind->params);
    for (const rollback::SwitchKind* kind : rollback::switches())
        fill(kind->params);
    for (const rollback::ThenKind* kind : rollback::thens())
        fill(kind->params);

    EXPECT_GT(filled, 3U);
}

}  // namespace
}  // namespace modelguard::daemon
