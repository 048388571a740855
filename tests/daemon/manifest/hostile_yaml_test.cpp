// Files that mean harm, or that a tool wrote for another reader: each is refused, quickly, with a line.

#include "supervisor/daemon/plain_text.hpp"
#include "supervisor/sys/clock.hpp"
#include "tests/daemon/manifest/example.hpp"

namespace modelguard::daemon::test {
namespace {

using Severity = Finding::Severity;

std::string repeated(const std::string& piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i)
        text += piece;
    return text;
}

std::string many_keys() {
    std::string text;
    for (int i = 0; i < 10'000; ++i)
        text += "k" + std::to_string(i) + ": 1\n";
    return text;
}

struct Hostile {
    const char* name;
    std::string text;
    int line;
    const char* key;
    const char* fragment;
};

const Hostile kHostiles[] = {
    {"anchor", "model: &name digits\n", 1, "model", "an anchor '&name' stands here"},
    {"alias", "model: &a digits\nserve: {model: *a}\n", 2, "serve.model", "an alias (*) stands here"},
    {"alias_bomb",
     "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nmodel: *d\n",
     1, "a", "an anchor '&a'"},
    {"alias_to_nothing", "model: *nobody\n", 1, "", "not YAML"},
    {"tag", "model: !!str digits\n", 1, "model", "a tag (!) stands here"},
    {"tag_of_a_language", "model: !!python/object/apply:os.system [reboot]\n", 1, "model", "a tag (!)"},
    {"bare_tag", "model: ! digits\n", 1, "model", "a tag (!)"},
    {"tag_on_a_map", "!x\nmodel: digits\n", 1, "", "a tag (!)"},
    {"merge_key", "model: digits\n<<: {required: false}\n", 2, "<<", "a merge key stands here"},
    {"merge_key_below", "model: digits\nserve: {<<: {switch: files}}\n", 2, "serve.<<", "a merge key stands here"},
    {"duplicate_key", "model: digits\nrequired: true\nmodel: other\n", 3, "model",
     "written twice; the first is on line 1"},
    {"duplicate_key_in_quotes", "model: digits\n\"model\": other\n", 2, "model", "written twice"},
    {"duplicate_key_in_a_check", "model: d\nchecks:\n- {name: a, kind: exec, run: x,\n   run: y}\n", 4, "checks[0].run",
     "the first is on line 3"},
    {"map_as_key", "model: digits\n? {a: b}\n: c\n", 2, "", "a list or map stands where a key belongs"},
    {"null_as_key", "model: digits\n~: c\n", 2, "", "nothing stands where a key belongs"},
    {"two_documents", "model: digits\n---\nmodel: other\n", 2, "", "a second document begins here"},
    {"end_of_document_and_another", "model: digits\n...\nmodel: other\n", 3, "", "a second document begins here"},
    {"nested_lists", "model: " + repeated("[", 30) + repeated("]", 30) + "\n", 1, "model[0]",
     "nested deeper than 20 levels"},
    {"nested_maps", "model: " + repeated("{a: ", 30) + repeated("}", 30) + "\n", 1, "", "nested deeper than 20 levels"},
    {"nested_blocks", "model:\n" + repeated("- ", 30) + "x\n", 2, "", "nested deeper than 20 levels"},
    {"a_million_brackets", repeated("[", 1'000'000), 1, "", "nested deeper than 20 levels"},
    {"brackets_on_lines", repeated("[\n", 300'000), 65, "", "nested deeper than 20 levels"},
    {"block_sequence_for_ever", repeated("- ", 500'000), 1, "", "nested deeper than 20 levels"},
    {"question_marks", repeated("? ", 500'000), 1, "", "a list or map stands where a key belongs"},
    {"too_long", "model: digits\n# " + std::string(1 << 20, 'x') + "\n", 0, "", "bytes; expected at most 1 MiB"},
    {"too_many_values", "model: [" + repeated("a,", 30'000) + "]\n", 1, "", "more than 20000 values"},
    {"too_many_keys", many_keys(), 1001, "", "more than 1000 keys in one map"},
    {"nul", std::string("model: digits\nrequired: tr\0ue\n", 30), 2, "", "a NUL character stands here"},
    {"nul_by_escape", "model: \"dig\\0its\"\n", 1, "model", "the value holds a NUL character"},
    {"line_feed_by_escape", "model: \"dig\\nits\"\n", 1, "model", "the value holds a line break or tab"},
    {"block_text", "model: |\n  digits\n  other\n", 1, "model", "the value holds a line break"},
    {"escape_character", "model: digits\nrequired: \x1b[31mtrue\n", 2, "", "a control character (U+001B)"},
    {"escape_character_by_escape", "model: \"\\e[31m\"\n", 1, "model", "a control character (U+001B)"},
    {"invalid_utf8", "model: digits\n# \xff\n", 2, "", "invalid UTF-8 (byte 0xff)"},
    {"overlong_utf8", "model: digits\n# \xc0\xaf\n", 2, "", "invalid UTF-8 (byte 0xc0)"},
    {"surrogate", "model: digits\n# \xed\xa0\x80\n", 2, "", "invalid UTF-8 (byte 0xed)"},
    {"utf16", std::string("\xff\xfem\0o\0d\0", 8), 1, "", "invalid UTF-8 (byte 0xff)"},
    {"right_to_left_override", "model: digits\n# \xe2\x80\xae\n", 2, "", "a hidden direction or line mark (U+202E)"},
    {"right_to_left_override_by_escape", "model: \"a\\u202e\"\n", 1, "model", "hidden direction"},
    {"zero_width_space", "model: dig\xe2\x80\x8bits\n", 1, "", "an invisible character (U+200B)"},
    {"c1_control", "model: dig\xc2\x85its\n", 1, "", "a control character (U+0085)"},
    {"mark_in_the_middle", "model: digits\n# \xef\xbb\xbf\n", 2, "", "a byte order mark"},
    {"tab_in_the_indentation", "model: digits\nserve:\n\tswitch: files\n", 3, "",
     "a tab in the indentation; expected spaces"},
    {"tab_after_blanks", "model: digits\nserve:\n  \tswitch: files\n", 3, "", "a tab in the indentation"},
    {"carriage_return_alone", "model: digits\rrequired: true\n", 1, "", "a control character (U+000D)"},
    {"quote_without_end", "model: \"digits\nrequired: true\n", 1, "model", "the quotes are not closed on this line"},
    {"quotes_over_two_lines", "model: 'dig\n  its'\n", 1, "model", "the quotes are not closed on this line"},
    {"list_without_end", "model: digits\nchecks: [\n", 3, "", "not YAML"},
    {"indentation_that_does_not_fit", "model: digits\n required: true\n", 2, "", "not YAML"},
    {"at_sign", "@model: digits\n", 1, "", "not YAML"},
    {"empty", "", 1, "", "the file is empty"},
    {"comments_only", "# nothing\n", 1, "", "the file is empty"},
    {"only_a_marker", "---\n", 1, "", "the file is empty"},
    {"a_word", "digits\n", 1, "", "found 'digits'; expected a map of keys"},
    {"a_list", "- model: digits\n", 1, "", "found a list; expected a map of keys"},
    {"json_lines", "{\"model\": \"a\"}\n{\"model\": \"b\"}\n", 2, "", ""},
    {"unicode_as_name", "model: \xd0\xb4igits\nchecks: [{name: a, kind: exec, run: disk-space}]\n", 1, "model",
     "expected a-z"},
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

class HostileYaml : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileYaml, is_refused_in_a_moment) {
    const Hostile& hostile = GetParam();

    const Instant begin = sys::boottime_now();
    const Parsed parsed = parse(hostile.text);
    const Usec took = sys::boottime_now() - begin;

    EXPECT_FALSE(parsed.manifest.has_value());
    ASSERT_FALSE(parsed.findings.empty());
    EXPECT_LE(parsed.findings.size(), 50U);
    EXPECT_LT(took, Usec(std::chrono::seconds(2)));
    const auto matches = [&](const Finding& finding) {
        return finding.severity == Severity::error && finding.line == hostile.line &&
               finding.key.starts_with(hostile.key) && finding.text.find(hostile.fragment) != std::string::npos;
    };
    EXPECT_TRUE(std::ranges::any_of(parsed.findings, matches)) << "got:\n" << parsed.all();
}

INSTANTIATE_TEST_SUITE_P(Table, HostileYaml, ::testing::ValuesIn(kHostiles),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(HostileFile, nine_hundred_mistakes_are_fifty_findings) {
    std::string text = "model: digits\nchecks: [{name: a, kind: exec, run: disk-space}]\n";
    for (int i = 0; i < 900; ++i)
        text += "k" + std::to_string(i) + ": 1\n";

    EXPECT_EQ(parse(text).findings.size(), 50U);
}

TEST(HostileFile, an_error_after_fifty_notes_is_still_told) {
    std::string text =
        "model: digits\nserve: {endpoint: http://127.0.0.1:1, protocol: oip}\nchecks:\n- {name: ready, kind: ready}\n";
    for (int i = 0; i < 60; ++i)
        text += "- {name: a" + std::to_string(i) + ", kind: accuracy, canary: c.jsonl, min: 0.5, must_detect: 0.1}\n";
    text += "rollout: {percent: 200}\n";

    const Parsed parsed = parse(text);

    EXPECT_EQ(parsed.findings.size(), 50U);
    EXPECT_EQ(parsed.count(Severity::error), 1U);
}

bool agrees(const std::string& text) {
    std::vector<Finding> findings;
    const auto manifest = parse_manifest(text, "changed", example_device(), findings);
    return manifest.has_value() ==
           std::ranges::none_of(findings, [](const Finding& finding) { return finding.severity == Severity::error; });
}

TEST(HostileFile, example_cut_short_or_with_one_byte_changed_is_read_or_refused_with_a_finding) {
    for (std::size_t at = 0; at < kExample.size(); at += 3)
        EXPECT_TRUE(agrees(kExample.substr(0, at))) << at;
    constexpr std::string_view kReplacements("\0[{:-\"&*!\n\xff", 11);
    for (std::size_t at = 0; at < kExample.size(); ++at) {
        std::string text = kExample;
        text[at] = kReplacements[at % kReplacements.size()];
        EXPECT_TRUE(agrees(text)) << at;
    }
}

TEST(HostileFile, finding_is_one_line_of_utf8_whatever_the_parser_quotes) {
    for (const char* text :
         {"model: \"a\\\xd0\x8b\"\n", "model: \"a\\\n b\"\n", "a: b: c\n", "model: \"\\\xf0\x9f\x98\x80\"\n"}) {
        const Parsed parsed = parse(text);
        EXPECT_FALSE(parsed.manifest.has_value()) << text;
        for (const Finding& finding : parsed.findings) {
            EXPECT_EQ(find_bad_text(describe(finding)), std::nullopt) << describe(finding);
            EXPECT_EQ(describe(finding).find('\n'), std::string::npos) << describe(finding);
        }
    }
}

TEST(HostileFile, mark_at_the_beginning_and_carriage_returns_before_line_feeds_are_harmless) {
    std::string text = "\xef\xbb\xbf" + kExample;
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
        text.insert(at, "\r");

    const Parsed parsed = parse(text);

    ASSERT_TRUE(parsed.manifest.has_value()) << parsed.all();
    EXPECT_EQ(parsed.manifest->facts.rev, parse(kExample).manifest->facts.rev);
}

}  // namespace
}  // namespace modelguard::daemon::test
