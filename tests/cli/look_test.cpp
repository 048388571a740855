// status, history, explain, versions, validate, kinds: the real program against a scripted daemon.

#include <openssl/evp.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/cli_harness.hpp"

namespace modelguard::test {
namespace {

using Json = nlohmann::json;

class LookTest : public CliTest {
  protected:
    void write_backup(const std::string& json) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned int length = 0;
        EVP_Digest(json.data(), json.size(), digest, &length, EVP_sha256(), nullptr);
        std::string hex;
        for (unsigned int i = 0; i < length; ++i) {
            char two[3];
            std::snprintf(two, sizeof two, "%02x", digest[i]);
            hex += two;
        }
        write_text(root / "var/lib/modelguard/state.bak.0", json + "\nsha256:" + hex + " 7\n");
    }
};

TEST_F(LookTest, status_of_a_healthy_device_is_short_and_exits_0) {
    start_daemon();
    const Ran ran = run({"status"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_EQ(ran.out,
              "   MODEL  PHASE  CURRENT  CANDIDATE KNOWN-GOOD\n"
              "ok digits steady 4 444444 -         4 444444\n");
    EXPECT_EQ(ran.err, "");
}

TEST_F(LookTest, status_of_an_unhealthy_device_exits_1_and_of_its_healthy_model_0) {
    auto bad = steady_model("faces");
    bad.healthy = false;
    bad.phase = "held";
    bad.why = "nobody knows";
    on["GET /v1/status"] = always(status_of({steady_model("digits"), bad}));
    start_daemon();

    const Ran device = run({"status"});
    EXPECT_EQ(device.exit_code, 1);
    EXPECT_NE(device.out.find("!! faces"), std::string::npos) << device.out;
    EXPECT_NE(device.out.find("why: nobody knows"), std::string::npos);
    EXPECT_EQ(run({"status", "faces"}).exit_code, 1);
    EXPECT_EQ(run({"status", "digits"}).exit_code, 0);
    EXPECT_EQ(reads("/v1/status").back().query.at("model"), "digits");
}

TEST_F(LookTest, a_trial_of_a_healthy_model_exits_0) {
    auto model = steady_model("digits");
    model.phase = "trial";
    model.candidate = {kDigest5, "5"};
    on["GET /v1/status"] = always(status_of({model}));
    start_daemon();
    const Ran ran = run({"status"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_NE(ran.out.find("5 555555"), std::string::npos) << ran.out;
}

TEST_F(LookTest, json_is_the_daemons_document) {
    const std::string with_more = [] {
        Json json = Json::parse(api::to_json(status_of({steady_model("digits")})));
        json["from_the_future"] = {1, 2};
        return json.dump();
    }();
    on["GET /v1/status"] = always(Reply{200, with_more});
    start_daemon();
    for (const auto& arguments : {std::vector<std::string>{"status", "--json"}, {"status", "digits", "--json"}}) {
        const Ran ran = run(arguments);
        EXPECT_EQ(ran.exit_code, 0);
        EXPECT_EQ(ran.out, with_more + "\n");
        EXPECT_EQ(Json::parse(ran.out)["schema"], "modelguard.status/1");
    }
}

TEST_F(LookTest, an_unknown_model_exits_3_with_the_known_ones) {
    start_daemon();
    const Ran ran = run({"status", "digit"});
    EXPECT_EQ(ran.exit_code, 3);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err, "modelguard: no model 'digit'\ndid you mean 'digits'?\nknown models: digits\n");

    on["GET /v1/explain"] = always(problem(404, "not_found", "no model 'x'"));
    EXPECT_EQ(run({"explain", "x"}).exit_code, 3);
    const Ran json = run({"versions", "x", "--json"});
    EXPECT_EQ(json.exit_code, 3);
    EXPECT_EQ(Json::parse(json.out)["kind"], "not_found");
}

TEST_F(LookTest, with_a_dead_daemon_status_shows_the_last_known_state_and_exits_4) {
    write_backup(api::to_json(status_of({steady_model("digits")})));
    const Ran ran = run({"status"});
    EXPECT_EQ(ran.exit_code, 4);
    EXPECT_NE(ran.out.find("Last known state, "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("(2026-11-21 23:06:29Z):"), std::string::npos);
    EXPECT_NE(ran.out.find("ok digits steady 4 444444"), std::string::npos);
    EXPECT_NE(ran.err.find("next: modelguardd --root " + root.path() + "\n"), std::string::npos) << ran.err;

    const Ran model = run({"status", "digits"});
    EXPECT_EQ(model.exit_code, 4);
    EXPECT_NE(model.out.find("digits: steady, healthy"), std::string::npos);

    const Ran json = run({"status", "--json"});
    EXPECT_EQ(json.exit_code, 4);
    EXPECT_EQ(Json::parse(json.out)["models"][0]["model"], "digits");
}

TEST_F(LookTest, a_socket_that_nobody_listens_on_is_a_dead_daemon_too) {
    start_daemon();
    stop_daemon();
    EXPECT_EQ(run({"status"}).exit_code, 4);
}

TEST_F(LookTest, with_a_dead_daemon_and_no_backup_status_says_so_and_exits_4) {
    const Ran none = run({"status"});
    EXPECT_EQ(none.exit_code, 4);
    EXPECT_EQ(none.out, "");
    EXPECT_NE(none.err.find("no daemon at "), std::string::npos);
    EXPECT_NE(none.err.find("there is no last known state either"), std::string::npos);

    write_text(root / "var/lib/modelguard/state.bak.1", "torn");
    const Ran torn = run({"status"});
    EXPECT_EQ(torn.exit_code, 4);
    EXPECT_NE(torn.err.find("cannot be read"), std::string::npos) << torn.err;
}

TEST_F(LookTest, every_other_command_exits_4_without_a_daemon_and_says_what_to_do) {
    write_text(root / "m.yaml", "model: digits\n");
    for (const auto& arguments : std::vector<std::vector<std::string>>{{"history"},
                                                                       {"explain", "digits"},
                                                                       {"versions", "digits"},
                                                                       {"validate", root / "m.yaml"},
                                                                       {"kinds"},
                                                                       {"deploy", "digits", root / "m.yaml"},
                                                                       {"rollback", "digits"},
                                                                       {"check"},
                                                                       {"check", "digits"},
                                                                       {"pin", "digits"},
                                                                       {"unpin", "digits"},
                                                                       {"unreject", "digits", "4"}}) {
        const Ran ran = run(arguments);
        EXPECT_EQ(ran.exit_code, 4) << arguments[0];
        EXPECT_NE(ran.err.find("next: modelguardd --root "), std::string::npos) << arguments[0] << ": " << ran.err;
    }
}

TEST_F(LookTest, a_daemon_that_answers_nonsense_is_a_failure) {
    on["GET /v1/status"] = always(Reply{200, "<html>"});
    start_daemon();
    EXPECT_EQ(run({"status"}).exit_code, 6);
    EXPECT_EQ(run({"status", "--json"}).exit_code, 6);
}

TEST_F(LookTest, colour_is_for_terminals_only_and_NO_COLOR_is_heard) {
    start_daemon();
    EXPECT_EQ(run({"status"}).out.find('\x1b'), std::string::npos);
    EXPECT_NE(run_on_terminal({"status"}).out.find("\x1b[32mok"), std::string::npos);
    const Ran plain = run_on_terminal({"status"}, {"NO_COLOR=1"});
    EXPECT_EQ(plain.exit_code, 0);
    EXPECT_EQ(plain.out.find('\x1b'), std::string::npos) << plain.out;
}

TEST_F(LookTest, history_is_asked_for_with_its_limit) {
    on["GET /v1/history"] =
        always(api::History{{decision(9, "rejected", "accuracy dropped"), decision(8, "trial_started", "")}});
    start_daemon();
    const Ran ran = run({"history", "digits", "--limit", "7"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_NE(ran.out.find("digits  rejected  5 (55555555bbbb)\n"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("digits  trial started  5"), std::string::npos);
    EXPECT_EQ(reads("/v1/history")[0].query.at("limit"), "7");
    EXPECT_EQ(reads("/v1/history")[0].query.at("model"), "digits");
    EXPECT_FALSE(run({"history"}).out.empty());
    EXPECT_FALSE(reads("/v1/history")[1].query.contains("model"));
}

TEST_F(LookTest, explain_tells_of_one_model_or_of_each) {
    on["GET /v1/explain"] = [](const Asked& asked) {
        return Reply{200,
                     api::to_json(api::Explanation{asked.query.at("model"), {}, {"why " + asked.query.at("model")}})};
    };
    on["GET /v1/status"] = always(status_of({steady_model("digits"), steady_model("faces")}));
    start_daemon();
    EXPECT_EQ(run({"explain", "faces"}).out, "faces\nwhy faces\n");
    EXPECT_EQ(run({"explain"}).out, "digits\nwhy digits\nfaces\nwhy faces\n");
}

TEST_F(LookTest, versions_and_kinds_are_shown) {
    on["GET /v1/models/digits/versions"] = always(api::Versions{
        "digits",
        {api::VersionItem{.digest = kDigest4, .label = "4", .served_version = "", .current = true, .rejected = ""}}});
    on["GET /v1/kinds"] = always(api::Kinds{{{"check", "ready", "Answers at all.", {}}}});
    start_daemon();
    const Ran versions = run({"versions", "digits"});
    EXPECT_EQ(versions.exit_code, 0);
    EXPECT_NE(versions.out.find("4      44444444aaaa  0 B   -     current\n"), std::string::npos) << versions.out;
    EXPECT_NE(run({"kinds"}).out.find("  ready\n      Answers at all.\n"), std::string::npos);
    EXPECT_EQ(Json::parse(run({"kinds", "--json"}).out)["schema"], "modelguard.kinds/1");
}

TEST_F(LookTest, validate_sends_the_text_and_exits_by_the_answer) {
    on["POST /v1/validate"] = [](const Asked& asked) {
        api::Validation validation;
        validation.valid = asked.body == "good\n";
        if (!validation.valid)
            validation.findings = {{"error", asked.query.at("file"), "checks", "expected a list", 3}};
        return Reply{200, api::to_json(validation)};
    };
    start_daemon();
    write_text(root / "good file.yaml", "good\n");
    write_text(root / "bad.yaml", "bad\n");
    EXPECT_EQ(run({"validate", root / "good file.yaml"}).exit_code, 0);
    EXPECT_EQ(reads("/v1/validate")[0].query.at("file"), root / "good file.yaml");
    const Ran bad = run({"validate", root / "bad.yaml"});
    EXPECT_EQ(bad.exit_code, 1);
    EXPECT_TRUE(bad.out.starts_with(root / "bad.yaml:3: error: checks: expected a list\n")) << bad.out;
    EXPECT_EQ(run({"validate", "-"}, "good\n").exit_code, 0);
    EXPECT_EQ(run({"validate", root / "none.yaml"}).exit_code, 6);
    EXPECT_EQ(run({"validate", root.path()}).exit_code, 6);
    write_text(root / "large.yaml", std::string((1u << 20) + 1, '#'));
    EXPECT_EQ(run({"validate", root / "large.yaml"}).exit_code, 1);
    EXPECT_EQ(control->asked().size(), 0u) << "validate must work for those who may only read";
}

TEST_F(LookTest, a_root_too_long_for_a_socket_address_works) {
    std::string deep = root.path();
    while (deep.size() < 300)
        deep += "/a-directory-with-a-long-name";
    std::filesystem::create_directories(deep + "/run/modelguard");
    const ScriptedServer far(deep + "/run/modelguard/api.sock", always(status_of({steady_model("digits")})));
    const Ran ran = run({"--root", deep, "status"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
}

}  // namespace
}  // namespace modelguard::test
