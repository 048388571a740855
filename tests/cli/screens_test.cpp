#include "supervisor/cli/screens.hpp"

#include <gtest/gtest.h>

#include "supervisor/cli/text.hpp"

namespace modelguard::cli {
namespace {

constexpr std::int64_t kNow = 1'795'302'389'000'000;
const std::string kLong(300, 'w');
const std::string kHostile = "\x1b[2J\n\x9b" + std::string(100, 'h');
const std::string kDigest = "sha256:0123456789ab" + std::string(52, '0');

View plain_view() { return {.colour = false, .now_wall_usec = kNow, .root = ""}; }

core::CheckReport report(core::VerdictKind verdict, const std::string& text) {
    core::CheckReport check;
    check.check = "p99";
    check.kind = "latency";
    check.verdict = verdict;
    check.text = text;
    check.measured = 61.25;
    check.limit = 50;
    check.baseline = 20;
    check.unit = "ms";
    check.probes = 100;
    return check;
}

api::ModelStatus steady(const std::string& name) {
    api::ModelStatus model;
    model.model = name;
    model.healthy = true;
    model.phase = "steady";
    model.current = model.known_good = {kDigest, "4"};
    model.checks = {report(core::VerdictKind::pass, "")};
    model.checked_wall_usec = kNow - 4'000'000;
    return model;
}

/// A model whose every text is as bad as the daemon would let through.
api::ModelStatus hostile_model() {
    api::ModelStatus model = steady(std::string(63, 'm'));
    model.healthy = false;
    model.managed = false;
    model.phase = kHostile;
    model.current = model.candidate = model.known_good = model.pinned = {kDigest, kHostile};
    model.code = model.why = model.next_command = kHostile + " " + kLong;
    model.checks = {report(core::VerdictKind::fail, kHostile), report(core::VerdictKind::inconclusive, kLong)};
    model.checks[0].check = model.checks[0].unit = kHostile;
    model.rejected_count = 1'000'000'000;
    return model;
}

api::HistoryItem hostile_item() {
    api::HistoryItem item;
    item.number = 1;
    item.wall_usec = kNow - 180'000'000;
    item.kind_word = kHostile;
    item.label = kHostile;
    item.decision.model = kHostile;
    item.decision.version = {kDigest};
    item.decision.text = kHostile + " " + kLong;
    return item;
}

void expect_calm(const std::string& screen, bool fits = true) {
    std::size_t begin = 0;
    while (begin < screen.size()) {
        const std::size_t end = screen.find('\n', begin);
        ASSERT_NE(end, std::string::npos) << "the last line has no end: " << screen.substr(begin);
        const std::string line = screen.substr(begin, end - begin);
        EXPECT_LE(width_of(line), fits ? kColumns : line.size()) << line;
        EXPECT_EQ(printable(line), line) << "a control character came through";
        begin = end + 1;
    }
}

TEST(Screens, hostile_texts_neither_drive_the_terminal_nor_break_the_columns) {
    const View view = plain_view();
    api::Status status;
    status.models = {hostile_model(), steady("digits")};
    status.notes = {kHostile + " " + kLong};
    expect_calm(status_screen(status, view));
    expect_calm(model_screen(hostile_model(), view), false);  // a label stands there whole, however long
    expect_calm(history_screen({{hostile_item()}}, view));
    expect_calm(progress_line(hostile_item()), false);
    expect_calm(explain_screen({kHostile, {}, {kHostile, "    " + kLong + " x"}}, view), false);
    api::VersionItem version{.digest = kDigest, .label = kHostile, .served_version = "", .rejected = kHostile};
    expect_calm(versions_screen({"digits", {version, version}}, view));
    expect_calm(validation_screen({false, "", {{"error", kHostile, kHostile, kHostile, 3}}}, kHostile, view), false);
    expect_calm(
        kinds_screen({{{"check", kHostile, kLong, {{{kHostile, "text", kHostile, kHostile, kLong, true}}}}}}, view),
        false);
    api::OperationDoc operation;
    operation.model = operation.kind = "m";
    operation.status = operation.code = operation.text = kHostile;
    operation.checks = hostile_model().checks;
    expect_calm(outcome_screen(operation, view), false);
}

TEST(Screens, a_healthy_device_is_one_line_per_model) {
    api::Status status;
    status.models = {steady("digits"), steady("faces")};
    EXPECT_EQ(status_screen(status, plain_view()),
              "   MODEL  PHASE  CURRENT  CANDIDATE KNOWN-GOOD\n"
              "ok digits steady 4 012345 -         4 012345\n"
              "ok faces  steady 4 012345 -         4 012345\n");
}

TEST(Screens, an_unhealthy_model_has_its_reason_its_numbers_and_the_next_command) {
    api::Status status;
    status.models = {steady("digits")};
    api::ModelStatus& model = status.models[0];
    model.healthy = false;
    model.phase = "degraded";
    model.code = "too_slow";
    model.why = "p99 is too slow on every known-good version";
    model.checks = {report(core::VerdictKind::fail, "61 ms at the 99th percentile")};
    model.next_command = "modelguard explain digits";
    EXPECT_EQ(status_screen(status, plain_view()),
              "   MODEL  PHASE    CURRENT  CANDIDATE KNOWN-GOOD\n"
              "!! digits degraded 4 012345 -         4 012345\n"
              "\n"
              "digits: degraded, unhealthy\n"
              "  why: p99 is too slow on every known-good version (too_slow)\n"
              "  fail  p99  61 ms at the 99th percentile\n"
              "  next: modelguard explain digits\n");
}

TEST(Screens, a_trial_is_shown_with_the_time_left) {
    api::Status status;
    status.models = {steady("digits")};
    status.models[0].phase = "trial";
    status.models[0].candidate = {"sha256:" + std::string(64, 'f'), "5"};
    status.models[0].phase_left_usec = 250'000'000;
    const std::string screen = status_screen(status, plain_view());
    EXPECT_NE(screen.find(".. digits trial 4 012345 5 ffffff  4 012345\n"), std::string::npos) << screen;
    EXPECT_NE(screen.find("\ndigits: trial, 4m 10s left, healthy\n"), std::string::npos) << screen;
    EXPECT_NE(screen.find("  pass  p99  61.25 ms"), std::string::npos) << screen;
}

TEST(Screens, no_models_says_where_manifests_go) {
    View view = plain_view();
    EXPECT_EQ(status_screen({}, view), "No models yet. Put a manifest into /etc/modelguard/models.d/\n");
    view.root = "/tmp/x";
    EXPECT_EQ(status_screen({}, view), "No models yet. Put a manifest into /tmp/x/etc/modelguard/models.d/\n");
}

TEST(Screens, a_pinned_model_is_marked_and_the_mark_explained) {
    api::Status status;
    status.models = {steady("digits")};
    status.models[0].pinned = status.models[0].current;
    const std::string screen = status_screen(status, plain_view());
    EXPECT_NE(screen.find("4 012345*"), std::string::npos) << screen;
    EXPECT_NE(screen.find("* pinned: "), std::string::npos) << screen;
}

TEST(Screens, the_detailed_view_has_versions_and_ages) {
    api::ModelStatus model = steady("digits");
    model.rejected_count = 2;
    EXPECT_EQ(model_screen(model, plain_view()),
              "digits: steady, healthy\n"
              "  current     4 (0123456789ab)\n"
              "  known-good  4 (0123456789ab)\n"
              "  rejected    2 (modelguard versions shows which)\n"
              "  required    yes\n"
              "  checked     4s ago, 2026-11-21 23:06:25Z\n"
              "  pass  p99  61.25 ms (limit 50, known-good 20), 100 probes\n");
}

TEST(Screens, history_says_when_what_and_why) {
    api::HistoryItem item = hostile_item();
    item.number = 7;
    item.kind_word = "trial_started";
    item.label = "5";
    item.decision.model = "digits";
    item.decision.text = "beside 4";
    EXPECT_EQ(history_screen({{item}}, plain_view()),
              "2026-11-21 23:03:29Z  3m ago        #7 digits  trial started  5 (0123456789ab)\n"
              "                      beside 4\n");
    EXPECT_EQ(progress_line(item), "23:03:29 trial started: 5 (0123456789ab): beside 4\n");
}

TEST(Screens, versions_say_what_each_is) {
    api::VersionItem current{.digest = kDigest,
                             .label = "4",
                             .served_version = "",
                             .bytes = 2048,
                             .imported_wall_usec = kNow - 180'000'000,
                             .current = true,
                             .known_good = true,
                             .lkg = true,
                             .rejected = ""};
    api::VersionItem bad{.digest = "sha256:" + std::string(64, 'f'),
                         .label = "",
                         .served_version = "",
                         .bytes = 1,
                         .rejected = "dropped"};
    EXPECT_EQ(versions_screen({"digits", {current, bad}}, plain_view()),
              "LABEL  DIGEST        SIZE     KEPT\n"
              "4      0123456789ab  2.0 KiB  3m ago  current, LKG\n"
              "-      ffffffffffff  1 B      -       rejected: dropped\n");
}

TEST(Screens, a_finding_begins_as_compilers_have_it) {
    const api::Validation validation{
        false, "", {{"error", "m.yaml", "checks[1].min", "expected a share", 12}, {"note", "", "", "fine", 0}}};
    EXPECT_EQ(validation_screen(validation, "m.yaml", plain_view()),
              "m.yaml:12: error: checks[1].min: expected a share\n"
              "m.yaml: note: fine\n"
              "m.yaml: not valid, 1 error\n");
    EXPECT_EQ(validation_screen({true, "digits", {}}, "m.yaml", plain_view()), "m.yaml: valid, model digits\n");
}

TEST(Screens, kinds_are_grouped_with_their_parameters) {
    const api::Kinds kinds{{{"check", "latency", "How fast.", {{{"max", "duration", "", "50ms", "The limit.", true}}}},
                            {"switch", "files", "Links.", {}}}};
    EXPECT_EQ(kinds_screen(kinds, plain_view()),
              "check\n  latency\n      How fast.\n      max (duration, required, default 50ms): The limit.\n\nswitch\n "
              " files\n      Links.\n");
}

TEST(Screens, a_parameter_says_its_range_its_choices_and_its_keys) {
    api::KindDoc latency{"check", "latency", "How fast.", {}};
    latency.params.push_back({{"max", "duration", "", "", "The limit.", false, 0.001, 60}, {}});
    latency.params.push_back({{"output", "object", "", "", "Which one."},
                              {{"reduce", "text", "", "none", "How.", false, {}, {}, {"none", "argmax"}}}});
    EXPECT_EQ(kinds_screen({{latency}}, plain_view()),
              "check\n  latency\n      How fast.\n      max (duration, 0.001s to 60s): The limit.\n      output "
              "(object): Which one.\n      output.reduce (text: none | argmax, default none): How.\n");
}

}  // namespace
}  // namespace modelguard::cli
