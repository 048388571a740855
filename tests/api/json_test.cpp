#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "supervisor/api/values.hpp"

namespace modelguard::api {
namespace {

using Json = nlohmann::json;

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kOther = "sha256:" + std::string(64, 'b');

core::CheckReport accuracy_report() {
    core::CheckReport report;
    report.check = "accuracy";
    report.kind = "accuracy";
    report.verdict = core::VerdictKind::fail;
    report.code = "dropped";
    report.text = "0.52 of 360 items, 0.41 below the baseline";
    report.measured = 0.52;
    report.limit = 0.9;
    report.baseline = 0.93;
    report.unit = "share";
    report.probes = 360;
    report.took = Usec{1'234'567};
    return report;
}

core::CheckReport latency_report() {
    core::CheckReport report;
    report.check = "p99";
    report.kind = "latency";
    report.required = false;
    report.verdict = core::VerdictKind::pass;
    report.code = "ok";
    return report;
}

Status full_status() {
    Status status;
    status.version = "0.1.0";
    status.boot_id = "b0";
    status.wall_usec = 1'795'000'000'123'456;
    status.boottime_usec = 42;
    status.healthy = true;
    status.boot_complete = true;
    status.os_backend = "none";
    status.os_booted = "os-1.0";
    status.os = OsStatus{.booted = "os-1.0",
                         .default_deployment = "os-2.0",
                         .staged = "os-3.0",
                         .rollback_target = "os-2.0",
                         .why_no_target = "",
                         .boot_trial = "greenboot",
                         .rejected = {"os-3.0"},
                         .pending_target = "os-2.0",
                         .pending_step = "rebooting",
                         .reboot_wall_usec = 1'795'000'000'000'000};
    status.notes = {"the clock was set back", "quote \" and \\ and \n newline"};
    ModelStatus model;
    model.model = "digits";
    model.required = false;
    model.managed = false;
    model.healthy = true;
    model.phase = "trial";
    model.current = {kDigest, "4"};
    model.candidate = {kOther, "5"};
    model.known_good = {kDigest, "4"};
    model.code = "dropped";
    model.why = "accuracy";
    model.checks = {accuracy_report(), latency_report()};
    model.checked_wall_usec = 7;
    model.phase_left_usec = 600'000'000;
    model.rejected_count = 2;
    model.next_command = "modelguard explain digits";
    status.models = {
        model, ModelStatus{
                   .model = "faces", .phase = "empty", .current = {}, .candidate = {}, .known_good = {}, .pinned = {}}};
    return status;
}

HistoryItem item(std::int64_t number, core::DecisionKind kind) {
    HistoryItem one;
    one.number = number;
    one.wall_usec = 1000 + number;
    one.label = "5";
    one.decision.kind = kind;
    one.decision.model = "digits";
    one.decision.version = {kDigest};
    one.decision.serving = {kOther};
    one.decision.seq = 17;
    one.decision.blame = core::Blame::operator_;
    one.decision.code = "dropped";
    one.decision.text = "accuracy dropped";
    one.decision.reports = {accuracy_report()};
    return one;
}

OperationDoc full_operation() {
    OperationDoc operation;
    operation.id = std::numeric_limits<std::uint64_t>::max();
    operation.kind = "deploy";
    operation.model = "digits";
    operation.digest = kDigest;
    operation.label = "5";
    operation.status = "no";
    operation.code = "dropped";
    operation.text = "rejected";
    operation.phase = "steady";
    operation.checks = {latency_report(), accuracy_report()};
    return operation;
}

Kinds full_kinds() {
    const KindField percentile{"percentile", "number", "percent", "99", "which percentile", true, 1, 100};
    const KindField name{"reduce", "text", "", "none", "how", false, {}, {}, {"none", "argmax"}};
    return Kinds{
        {KindDoc{"check", "latency", "how fast", {{percentile, {}}, {{"output", "object", "", "", ""}, {name}}}},
         KindDoc{"switch", "files", "links", {}}}};
}

Validation full_validation() {
    return Validation{false, "digits", {Finding{"error", "digits.yaml", "checks[1].min", "expected a share", 12}}};
}

/// A document with every field set, as written, and a way to read and write it again.
struct Case {
    const char* name;
    const char* schema;
    std::string text;
    std::function<Result<std::string>(std::string_view)> rewrite;
};

template <class T>
Case make_case(const char* name, const char* schema, const T& value, Result<T> (*read)(std::string_view)) {
    return {name, schema, to_json(value), [read](std::string_view text) -> Result<std::string> {
                MG_TRY(const T again, read(text));
                return to_json(again);
            }};
}

std::vector<Case> all_cases() {
    const std::vector items{item(9, core::DecisionKind::os_default_confirmed), item(8, core::DecisionKind::kept)};
    return {
        make_case("status", "modelguard.status/1", full_status(), status_from_json),
        make_case("history", "modelguard.history/1", History{items}, history_from_json),
        make_case("explanation", "modelguard.explanation/1", Explanation{"digits", items, {"line 1", "line 2"}},
                  explanation_from_json),
        make_case("versions", "modelguard.versions/1",
                  Versions{"digits",
                           {VersionItem{kDigest, "4", "4.0", 1u << 20, 3, 99, 101, "bad hash", true, true, true, true,
                                        "dropped"},
                            VersionItem{.digest = kOther, .label = "", .served_version = "", .rejected = ""}}},
                  versions_from_json),
        make_case("operation", "modelguard.operation/1", full_operation(), operation_from_json),
        make_case("problem", "modelguard.problem/1",
                  Problem{409, "conflict", "current has changed", "m.yaml", "checks", 3}, problem_from_json),
        make_case("validation", "modelguard.validation/1", full_validation(), validation_from_json),
        make_case("kinds", "modelguard.kinds/1", full_kinds(), kinds_from_json),
        make_case("rollback", "modelguard.rollback/1", RollbackBody{kDigest, kOther}, rollback_body_from_json),
    };
}

/// Puts a key that no release knows into every object of the document.
void add_unknown_fields(Json& json) {
    for (Json& child : json)
        if (child.is_structured()) add_unknown_fields(child);
    if (json.is_object()) json["from_the_future"] = Json{{"a", {1, 2, nullptr}}};
}

TEST(Json, every_document_comes_back_as_it_went) {
    for (const Case& one : all_cases()) {
        SCOPED_TRACE(one.name);
        const auto again = one.rewrite(one.text);
        ASSERT_TRUE(again) << again.error().what;
        EXPECT_EQ(*again, one.text);
        EXPECT_EQ(Json::parse(one.text)["schema"], one.schema);
        EXPECT_TRUE(one.text.starts_with("{\"schema\":")) << one.text;
        EXPECT_EQ(one.text.find('\n'), std::string::npos) << "state.bak holds the document on one line";
    }
}

TEST(Json, unknown_fields_are_left_alone_at_every_depth) {
    for (const Case& one : all_cases()) {
        SCOPED_TRACE(one.name);
        Json json = Json::parse(one.text);
        add_unknown_fields(json);
        const auto again = one.rewrite(json.dump());
        ASSERT_TRUE(again) << again.error().what;
        EXPECT_EQ(*again, one.text);
    }
}

TEST(Json, a_field_of_the_wrong_type_is_named) {
    for (const Case& one : all_cases()) {
        const Json whole = Json::parse(one.text);
        for (const auto& [key, value] : whole.items()) {
            SCOPED_TRACE(std::string(one.name) + "." + key);
            Json json = whole;
            json[key] = value.is_object() ? Json("text") : Json(Json::object());
            const auto again = one.rewrite(json.dump());
            ASSERT_FALSE(again);
            EXPECT_EQ(again.error().kind, ErrorKind::malformed_reply);
            EXPECT_NE(again.error().what.find(key), std::string::npos) << again.error().what;
        }
    }
}

TEST(Json, what_is_no_document_is_refused) {
    for (const Case& one : all_cases()) {
        SCOPED_TRACE(one.name);
        for (const std::string bad : {"", "null", "[]", "12", "{", "{}", R"({"schema":"modelguard.other/1"})"}) {
            const auto read = one.rewrite(bad);
            ASSERT_FALSE(read) << bad;
            EXPECT_EQ(read.error().kind, ErrorKind::malformed_reply);
        }
        EXPECT_FALSE(one.rewrite(one.text.substr(0, one.text.size() / 2)));
        EXPECT_FALSE(one.rewrite(std::string(100'000, '[')));
    }
}

TEST(Json, a_missing_field_is_named_with_its_path) {
    Json json = Json::parse(to_json(full_status()));
    json["models"][0]["checks"][1].erase("verdict");
    const auto status = status_from_json(json.dump());
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().what.find("models[0].checks[1].verdict is missing"), std::string::npos)
        << status.error().what;
}

TEST(Json, values_survive_not_only_text) {
    const auto status = status_from_json(to_json(full_status()));
    ASSERT_TRUE(status);
    const ModelStatus& model = status->models.at(0);
    EXPECT_EQ(status->wall_usec, 1'795'000'000'123'456);
    EXPECT_EQ(model.candidate.digest, kOther);
    EXPECT_EQ(model.checks, (std::vector{accuracy_report(), latency_report()}));
    EXPECT_FALSE(model.required);
    EXPECT_TRUE(status->models.at(1).current.digest.empty());

    const auto history = history_from_json(to_json(History{{item(9, core::DecisionKind::rolled_back)}}));
    ASSERT_TRUE(history);
    EXPECT_EQ(history->items.at(0).decision, item(9, core::DecisionKind::rolled_back).decision);
    EXPECT_EQ(history->items.at(0).kind_word, "rolled_back");
}

TEST(Json, no_version_is_null_and_no_number_is_null) {
    const Json json = Json::parse(to_json(full_status()));
    EXPECT_TRUE(json["models"][1]["current"].is_null());
    EXPECT_EQ(json["models"][0]["current"]["digest"], kDigest);
    EXPECT_TRUE(json["models"][0]["checks"][1]["measured"].is_null());
    EXPECT_EQ(json["models"][0]["checks"][0]["took_usec"], 1'234'567);
}

TEST(Json, not_a_number_is_written_as_null) {
    OperationDoc operation = full_operation();
    operation.checks[0].measured = std::numeric_limits<double>::quiet_NaN();
    const auto again = operation_from_json(to_json(operation));
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_FALSE(again->checks[0].measured.has_value());
}

TEST(Json, words_of_a_newer_release_are_read_as_the_neutral_ones) {
    Json json = Json::parse(to_json(History{{item(9, core::DecisionKind::kept)}}));
    json["items"][0]["kind"] = "teleported";
    json["items"][0]["blame"] = "moon";
    json["items"][0]["checks"][0]["verdict"] = "perhaps";
    const auto history = history_from_json(json.dump());
    ASSERT_TRUE(history);
    const HistoryItem& read = history->items.at(0);
    EXPECT_EQ(read.kind_word, "teleported");
    EXPECT_EQ(read.decision.kind, core::DecisionKind::resumed);
    EXPECT_EQ(read.decision.blame, core::Blame::none);
    EXPECT_EQ(read.decision.reports.at(0).verdict, core::VerdictKind::inconclusive);
}

TEST(Json, bytes_that_are_not_utf8_do_not_break_a_document) {
    OperationDoc operation = full_operation();
    operation.text = "script said: \xff\xfe";
    const auto again = operation_from_json(to_json(operation));
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->text.starts_with("script said: "));
}

TEST(Json, numbers_out_of_range_are_refused) {
    Json json = Json::parse(to_json(Problem{409, "conflict", "t", "f", "k", 3}));
    json["line"] = 3'000'000'000;
    EXPECT_FALSE(problem_from_json(json.dump()));
    Json status = Json::parse(to_json(full_status()));
    status["wall_usec"] = 18'000'000'000'000'000'000u;
    EXPECT_FALSE(status_from_json(status.dump()));
    status["wall_usec"] = 1.5;
    EXPECT_FALSE(status_from_json(status.dump()));
}

TEST(Json, every_error_kind_has_a_status_of_its_class) {
    EXPECT_EQ(http_status(ErrorKind::not_found), 404);
    EXPECT_EQ(http_status(ErrorKind::conflict), 409);
    EXPECT_EQ(http_status(ErrorKind::denied), 403);
    EXPECT_EQ(http_status(ErrorKind::invalid_config), 400);
    EXPECT_GE(http_status(ErrorKind::io), 500);
}

}  // namespace
}  // namespace modelguard::api
