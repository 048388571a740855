// rollback, check, pin, unpin, unreject.

#include <nlohmann/json.hpp>

#include "tests/cli/cli_harness.hpp"

namespace modelguard::test {
namespace {

using Json = nlohmann::json;

class ChangeTest : public CliTest {
  protected:
    ChangeTest() {
        on["GET /v1/models/digits/versions"] = always(
            api::Versions{"digits",
                          {api::VersionItem{.digest = kDigest4, .label = "4", .served_version = "", .rejected = ""},
                           api::VersionItem{.digest = kDigest5, .label = "5", .served_version = "", .rejected = ""},
                           api::VersionItem{.digest = "sha256:444444" + std::string(58, 'c'),
                                            .label = "5",
                                            .served_version = "",
                                            .rejected = ""}}});
        for (const std::string verb : {"rollback", "check", "pin", "unpin", "unreject"})
            on["POST /v1/models/digits/" + verb] = always(Reply{202, api::to_json(operation(verb, "running"))});
    }
    void ends(const std::string& kind, const std::string& status, std::vector<core::CheckReport> checks = {}) {
        auto document = operation(kind, status);
        document.text = "the text";
        document.checks = std::move(checks);
        on["GET /v1/operations/12"] = always(document);
    }
    static core::CheckReport check(core::VerdictKind verdict, bool required = true) {
        core::CheckReport report;
        report.check = "accuracy";
        report.verdict = verdict;
        report.required = required;
        report.measured = 0.93;
        return report;
    }
};

TEST_F(ChangeTest, rollback_names_what_it_saw_as_current_and_waits) {
    ends("rollback", "done");
    on["GET /v1/history"] = [](const Asked& asked) {
        const bool follows = asked.query.contains("after") && asked.query.at("after") == "0";
        return Reply{200, api::to_json(follows ? api::History{{decision(1, "rolling_back", "to 4")}} : api::History{})};
    };
    start_daemon();
    const Ran ran = run({"rollback", "digits"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.out.find("rollback of 5 (55555555bbbb): done\n  the text\n"), std::string::npos) << ran.out;
    EXPECT_EQ(ran.err, "23:06:30 rolling back: 5 (55555555bbbb): to 4\n");
    const auto body = api::rollback_body_from_json(changes().at(0).body);
    ASSERT_TRUE(body) << body.error().what;
    EXPECT_EQ(body->seen_current, kDigest4);
    EXPECT_EQ(body->to, "");
    EXPECT_EQ(changes().at(0).headers.at("content-type"), "application/json");
    EXPECT_FALSE(changes().at(0).headers.at("idempotency-key").empty());
}

TEST_F(ChangeTest, rollback_to_a_version_takes_a_label_a_prefix_or_a_digest) {
    ends("rollback", "done");
    start_daemon();
    for (const std::string& text : {std::string("4"), std::string("44444444"), kDigest4}) {
        ASSERT_EQ(run({"rollback", "digits", "--to", text}).exit_code, 0) << text;
        EXPECT_EQ(api::rollback_body_from_json(changes().back().body)->to, kDigest4) << text;
    }
    const Ran ambiguous = run({"rollback", "digits", "--to", "5"});
    EXPECT_EQ(ambiguous.exit_code, 2);
    EXPECT_NE(ambiguous.err.find("'5' may be 5 (55555555bbbb), 5 (444444cccccc)"), std::string::npos) << ambiguous.err;
    EXPECT_EQ(run({"rollback", "digits", "--to", "444444"}).exit_code, 2);
    EXPECT_EQ(run({"rollback", "digits", "--to", "6"}).exit_code, 3);
    EXPECT_EQ(changes().size(), 3u);
}

TEST_F(ChangeTest, rollback_without_waiting_returns_at_once) {
    start_daemon();
    const Ran ran = run({"rollback", "digits", "--no-wait"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.out.find(": running"), std::string::npos) << ran.out;
    EXPECT_EQ(reads("/v1/operations/12").size(), 0u);
}

TEST_F(ChangeTest, a_conflict_exits_1_and_a_refusal_by_right_5) {
    on["POST /v1/models/digits/rollback"] =
        always(problem(409, "conflict", "current is now 5 (55555555bbbb); say --to: 3, 4"));
    start_daemon();
    const Ran conflict = run({"rollback", "digits"});
    EXPECT_EQ(conflict.exit_code, 1);
    EXPECT_EQ(conflict.err, "modelguard: current is now 5 (55555555bbbb); say --to: 3, 4\n");
    stop_daemon();
    on["POST /v1/models/digits/rollback"] = always(problem(403, "denied", "not you"));
    start_daemon();
    const Ran denied = run({"rollback", "digits"});
    EXPECT_EQ(denied.exit_code, 5);
    EXPECT_NE(denied.err.find("next: "), std::string::npos) << denied.err;
}

TEST_F(ChangeTest, check_exits_by_what_the_required_checks_say) {
    using core::VerdictKind;
    struct Case {
        std::string status;
        std::vector<core::CheckReport> checks;
        int exit_code;
    };
    for (const Case& one : {Case{"done", {check(VerdictKind::pass)}, 0},
                            Case{"done", {check(VerdictKind::pass), check(VerdictKind::fail, false)}, 0},
                            Case{"done", {check(VerdictKind::inconclusive), check(VerdictKind::fail)}, 1},
                            Case{"no", {check(VerdictKind::fail)}, 1},
                            Case{"done", {check(VerdictKind::inconclusive)}, 6}, Case{"failed", {}, 6}}) {
        ends("check", one.status, one.checks);
        start_daemon();
        const Ran ran = run({"check", "digits"});
        EXPECT_EQ(ran.exit_code, one.exit_code) << ran.out << ran.err;
        EXPECT_NE(reads("/v1/operations/12").front().query.at("wait"), "0") << "its end is in no history";
        if (!one.checks.empty()) {
            EXPECT_NE(ran.out.find("accuracy  0.93"), std::string::npos) << ran.out;
        }
        stop_daemon();
    }
}

TEST_F(ChangeTest, check_without_a_model_checks_every_one) {
    ends("check", "done", {check(core::VerdictKind::pass)});
    on["GET /v1/status"] = always(status_of({steady_model("digits"), steady_model("faces")}));
    on["POST /v1/models/faces/check"] = on["POST /v1/models/digits/check"];
    start_daemon();
    const Ran ran = run({"check", "--json"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(changes().size(), 2u);
    const std::size_t line = ran.out.find('\n');
    EXPECT_EQ(Json::parse(ran.out.substr(0, line))["kind"], "check");
    EXPECT_EQ(Json::parse(ran.out.substr(line))["kind"], "check");
}

TEST_F(ChangeTest, pin_takes_the_current_version_where_none_is_named) {
    ends("pin", "done");
    start_daemon();
    EXPECT_EQ(run({"pin", "digits"}).exit_code, 0);
    EXPECT_EQ(changes().back().query.at("version"), kDigest4);
    EXPECT_EQ(run({"pin", "digits", "555555"}).exit_code, 0);
    EXPECT_EQ(changes().back().query.at("version"), kDigest5);
}

TEST_F(ChangeTest, nothing_that_serves_cannot_be_pinned) {
    auto empty = steady_model("digits");
    empty.current = {};
    on["GET /v1/status"] = always(status_of({empty}));
    start_daemon();
    EXPECT_EQ(run({"pin", "digits"}).exit_code, 1);
    EXPECT_EQ(changes().size(), 0u);
}

TEST_F(ChangeTest, unpin_and_unreject_end_with_their_outcome) {
    ends("unpin", "done");
    start_daemon();
    EXPECT_EQ(run({"unpin", "digits"}).exit_code, 0);
    EXPECT_TRUE(changes().back().query.empty());
    stop_daemon();
    ends("unreject", "no");
    start_daemon();
    const std::string gone = "sha256:" + std::string(64, 'e');
    EXPECT_EQ(run({"unreject", "digits", gone}).exit_code, 1) << "one that is not kept any more may still be rejected";
    EXPECT_EQ(changes().back().query.at("version"), gone);
    EXPECT_EQ(run({"unreject", "digits", "7"}).exit_code, 3);
}

}  // namespace
}  // namespace modelguard::test
