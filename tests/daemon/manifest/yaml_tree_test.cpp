#include "supervisor/daemon/yaml_tree.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

YamlNode tree_of(const std::string& text) {
    std::vector<Finding> findings;
    FindingSink sink("f", findings);
    auto tree = parse_yaml_tree(text, WhenEmpty::is_error, sink);
    EXPECT_TRUE(tree.has_value()) << (findings.empty() ? "" : describe(findings[0]));
    return tree ? std::move(*tree) : YamlNode{};
}

TEST(YamlTree, every_value_knows_its_line_and_whether_it_was_quoted) {
    const YamlNode tree = tree_of("# c\na: x\nb:\n- 'y'\n- {c: ~,\n   d: 1}\n");

    ASSERT_EQ(tree.entries.size(), 2U);
    EXPECT_EQ(tree.find("a")->line, 2);
    EXPECT_TRUE(tree.find("a")->value.is_plain);
    const YamlNode& list = tree.find("b")->value;
    ASSERT_EQ(list.items.size(), 2U);
    EXPECT_EQ(list.items[0].line, 4);
    EXPECT_FALSE(list.items[0].is_plain);
    EXPECT_EQ(list.items[1].find("c")->value.kind, YamlNode::Kind::null);
    EXPECT_EQ(list.items[1].find("d")->line, 6);
    EXPECT_EQ(tree.find("z"), nullptr);
}

TEST(YamlTree, exclamation_marks_and_stars_in_values_are_no_tags_and_aliases) {
    const YamlNode tree = tree_of("a: \"!x\"\nb: 'y *z &w'\nc: wow!\nd: 2*3&4\n");

    EXPECT_EQ(tree.find("a")->value.text, "!x");
    EXPECT_EQ(tree.find("c")->value.text, "wow!");
    EXPECT_EQ(tree.find("d")->value.text, "2*3&4");
}

TEST(YamlTree, twenty_levels_are_allowed_and_twenty_one_are_not) {
    const auto nested = [](std::size_t levels) {
        return "a: " + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "\n";
    };
    std::vector<Finding> findings;
    FindingSink sink("f", findings);

    EXPECT_TRUE(parse_yaml_tree(nested(20), WhenEmpty::is_error, sink).has_value());
    EXPECT_FALSE(parse_yaml_tree(nested(21), WhenEmpty::is_error, sink).has_value());
}

TEST(YamlTree, canonical_texts_of_different_trees_differ) {
    const std::vector<std::string> texts = {"a: b",
                                            "a: [b]",
                                            "a: {b: c}",
                                            "a: {b: 'c,1:d=1:e'}",
                                            "a: {b: c, d: e}",
                                            "a: [b, c]",
                                            "a: 'b, c'",
                                            "a: ~",
                                            "a: '~'",
                                            "ab: c",
                                            "a: bc",
                                            "a: []",
                                            "a: {}",
                                            "a: ['']"};
    for (std::size_t i = 0; i < texts.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            EXPECT_NE(canonical_text(tree_of(texts[i]), "", "name"), canonical_text(tree_of(texts[j]), "", "name"))
                << texts[i] << " and " << texts[j];
}

TEST(YamlTree, canonical_text_keeps_the_order_of_lists_without_names) {
    EXPECT_NE(canonical_text(tree_of("a: [1, 2]"), "", "name"), canonical_text(tree_of("a: [2, 1]"), "", "name"));
    EXPECT_EQ(canonical_text(tree_of("a: [{name: x}, {name: y}]"), "", "name"),
              canonical_text(tree_of("a: [{name: y}, {name: x}]"), "", "name"));
    EXPECT_EQ(canonical_text(tree_of("{a: 1, b: 2}"), "b", "name"),
              canonical_text(tree_of("{a: 1, b: 3}"), "b", "name"));
}

}  // namespace
}  // namespace modelguard::daemon
