#include <nlohmann/json.hpp>

#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using namespace std::chrono_literals;
using core::VerdictKind;
using nlohmann::json;
using sys::test::ok_reply;
using sys::test::TinyServer;

const std::string kManifest = "sha256:" + std::string(64, 'a');
const std::string kOtherManifest = "sha256:" + std::string(64, 'b');
const std::string kImageId = std::string(64, 'c');

/// podman's API in miniature: what it says of the container, look by look, the last one from then on.
class ContainerKind : public WrittenCheck {
  protected:
    void SetUp() override {
        WrittenCheck::SetUp();
        socket_ = (version_dir_ / "podman.sock").string();
        podman_.emplace(*loop_, socket_, [this](const std::string& request) { return answer(request); });
        context_->podman_socket = socket_;
        context_->ready_within = 5s;
    }
    void TearDown() override {
        podman_.reset();
        WrittenCheck::TearDown();
    }

    static std::string reply(const std::string& status, const std::string& body) {
        return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    static json container(const std::string& status, const json& state = json::object(), int restarts = 0) {
        json document = {
            {"Id", std::string(64, '1')},
            {"State", {{"Status", status}, {"StartedAt", "t1"}, {"ExitCode", 0}, {"Health", {{"Status", ""}}}}},
            {"RestartCount", restarts},
            {"Image", kImageId},
            {"ImageDigest", kManifest},
            {"ImageName", "localhost/modelguard/digits:current"}};
        document["State"].update(state);
        return document;
    }
    static json running(const json& state = json::object(), int restarts = 0) {
        return container("running", state, restarts);
    }

    CheckOutcome seen(const std::vector<json>& looks, const std::string& more = ", stable_for: 0s") {
        bodies_.clear();
        for (const json& look : looks)
            bodies_.push_back(look.is_string() ? look.get<std::string>() : look.dump());
        return run_written("kind: container, container: digits" + more);
    }

    TinyServer::Answer answer(const std::string& request) {
        if (request.find("/images/") != std::string::npos) return {.bytes = image_};
        EXPECT_TRUE(request.starts_with("GET /v4.0.0/libpod/containers/digits/json HTTP/1.1\r\n")) << request;
        std::string body = bodies_.front();
        if (bodies_.size() > 1) bodies_.erase(bodies_.begin());
        if (body.starts_with("HTTP/1.1 ")) return {.bytes = body};
        return {.bytes = ok_reply(body)};
    }

    std::string socket_;
    std::optional<TinyServer> podman_;
    std::vector<std::string> bodies_;
    std::string image_ = reply("404 Not Found", "{}");
    const std::string no_container_ = reply("404 Not Found", R"({"message": "no such container"})");
    const std::string sick_ = reply("500 Internal Server Error", R"({"message": "database is locked"})");
};

TEST_F(ContainerKind, a_container_that_runs_passes_with_or_without_a_health_check) {
    const CheckOutcome plain = seen({running(json::object(), 9)});
    EXPECT_EQ(plain.verdict, VerdictKind::pass) << plain.text;
    EXPECT_EQ(plain.text, "digits is running");
    EXPECT_EQ(plain.measured, 0) << "restarts from before nobody looked";
    EXPECT_EQ(seen({running({{"Health", {{"Status", "healthy"}}}})}).text, "digits is running, healthy");
    json without = running();
    without["State"].erase("Health");
    EXPECT_EQ(seen({without}).verdict, VerdictKind::pass) << "podman 6 leaves it out";
}

TEST_F(ContainerKind, what_has_not_started_yet_is_neutral_until_ready_within) {
    const CheckOutcome started =
        seen({no_container_, container("created"), container("initialized"),
              running({{"Health", {{"Status", "starting"}}}}), running({{"Health", {{"Status", "healthy"}}}})});
    EXPECT_EQ(started.verdict, VerdictKind::pass) << started.text;
    EXPECT_EQ(started.probes, 5);

    context_->ready_within = 200ms;
    const CheckOutcome starting = seen({running({{"Health", {{"Status", "starting"}}}})});
    EXPECT_EQ(starting.verdict, VerdictKind::fail);
    EXPECT_EQ(starting.text, "not stable within 200ms: digits is running, starting");
    const CheckOutcome none = seen({no_container_});
    EXPECT_EQ(none.verdict, VerdictKind::fail);
    EXPECT_EQ(none.code, "no_such_container");
    EXPECT_NE(none.text.find("there is no container digits"), std::string::npos) << none.text;
}

TEST_F(ContainerKind, a_container_that_ended_fails_with_its_exit_code_unless_the_former_version_left_it) {
    const json left = container("exited", {{"ExitCode", 143}});
    EXPECT_EQ(seen({left, left, container("created", {{"StartedAt", "t2"}}), running({{"StartedAt", "t2"}})}).verdict,
              VerdictKind::pass);

    const json ended = container("exited", {{"ExitCode", 3}, {"StartedAt", "t2"}});
    const CheckOutcome outcome = seen({left, ended});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "exited");
    EXPECT_EQ(outcome.probes, 2) << "hard evidence, at once";
    EXPECT_EQ(outcome.text, "digits is exited (3); see podman logs digits");

    EXPECT_EQ(seen({left, container("stopped", {{"StartedAt", "t2"}})}).text,
              "digits is stopped; see podman logs digits");

    const json oom = container("exited", {{"ExitCode", 137}, {"StartedAt", "t2"}, {"OOMKilled", true}});
    EXPECT_EQ(seen({left, oom}).code, "oom");
    const json killed = container("exited", {{"ExitCode", 137}, {"StartedAt", "t2"}});
    EXPECT_NE(seen({left, killed}).text.find("as the kernel does where memory runs out"), std::string::npos);
    EXPECT_EQ(seen({left, container("paused", {{"StartedAt", "t2"}})}).code, "paused");
}

TEST_F(ContainerKind, one_that_was_there_before_and_stays_ended_fails_in_the_end) {
    context_->ready_within = 200ms;
    const CheckOutcome outcome = seen({container("exited", {{"ExitCode", 1}})});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "exited");
}

TEST_F(ContainerKind, a_crash_loop_fails_by_podmans_count_or_by_being_made_again_and_again) {
    const CheckOutcome counted = seen({container("stopped", json::object(), 11), running({{"StartedAt", "t2"}}, 13)});
    EXPECT_EQ(counted.verdict, VerdictKind::fail);
    EXPECT_EQ(counted.code, "restarting");
    EXPECT_EQ(counted.measured, 2);
    EXPECT_NE(counted.text.find("restarted 2 times within 10m, 0 allowed"), std::string::npos) << counted.text;
    EXPECT_EQ(seen({container("stopped", json::object(), 11), running({{"StartedAt", "t2"}}, 13)},
                   ", max_restarts: 2, stable_for: 0s")
                  .verdict,
              VerdictKind::pass);

    // By a unit that runs `podman run --rm`: each is another container.
    json second = container("created"), third = running();
    second["Id"] = std::string(64, '2');
    third["Id"] = std::string(64, '3');
    EXPECT_EQ(seen({container("created"), no_container_, second, third}).code, "restarting");
    EXPECT_EQ(seen({container("removing"), no_container_, third}).verdict, VerdictKind::pass)
        << "the first one may be the former version's";
}

TEST_F(ContainerKind, an_unhealthy_container_fails_with_what_its_health_check_said) {
    const json sick = running({{"StartedAt", "t2"},
                               {"Health",
                                {{"Status", "unhealthy"},
                                 {"FailingStreak", 3},
                                 {"Log", {{{"Output", "first"}}, {{"Output", "model not loaded\n"}}}}}}});
    const CheckOutcome outcome = seen({container("created"), sick});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "unhealthy");
    EXPECT_EQ(outcome.text, "digits is running, unhealthy, 3 times in a row: model not loaded");
}

TEST_F(ContainerKind, another_image_than_the_versions_fails_unless_it_is_the_same_by_another_manifest) {
    const std::vector<json> looks = {container("created"), running({{"StartedAt", "t2"}})};
    write_file("image.json", json{{"reference", "registry.example/digits:4"}, {"digest", kManifest}}.dump());
    EXPECT_EQ(seen(looks).verdict, VerdictKind::pass);
    write_file("image.json", json{{"reference", "registry.example/digits:4"}, {"digest", kOtherManifest}}.dump());
    const CheckOutcome wrong = seen(looks);
    EXPECT_EQ(wrong.verdict, VerdictKind::fail);
    EXPECT_EQ(wrong.code, "wrong_image");
    EXPECT_NE(wrong.text.find(kOtherManifest), std::string::npos) << wrong.text;
    image_ = ok_reply(json{{"Id", kImageId}, {"RepoDigests", {"registry.example/digits@" + kOtherManifest}}}.dump());
    EXPECT_EQ(seen(looks).verdict, VerdictKind::pass);
    EXPECT_EQ(seen(looks, ", stable_for: 0s, image_digest: '" + std::string(64, 'd') + "'").code, "wrong_image");
    EXPECT_EQ(seen(looks, ", stable_for: 0s, image_digest: 'sha256:" + kImageId + "'").verdict, VerdictKind::pass)
        << "an id is a digest of the image too";
    image_ = sick_;
    EXPECT_EQ(seen(looks, ", stable_for: 0s, image_digest: '" + std::string(64, 'd') + "'").code, "podman_error");
}

TEST_F(ContainerKind, the_baseline_is_not_asked_for_the_candidates_image) {
    write_file("image.json", json{{"reference", "registry.example/digits:4"}, {"digest", kOtherManifest}}.dump());
    context_->purpose = core::JudgePurpose::baseline;
    EXPECT_EQ(seen({running()}).verdict, VerdictKind::pass);
    context_->purpose = core::JudgePurpose::trial;
    write_file("image.json", "{");
    EXPECT_EQ(seen({running()}).code, "no_image_file");
}

TEST_F(ContainerKind, it_must_have_run_for_a_while) {
    const CheckOutcome outcome = seen({running()}, ", stable_for: 300ms");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass);
    EXPECT_GT(outcome.probes, 1);
}

TEST_F(ContainerKind, torn_json_and_errors_are_asked_for_again) {
    EXPECT_EQ(seen({json(R"({"Id": "1", "State": {"Sta)"), json(sick_), running()}).verdict, VerdictKind::pass);
    for (const char* torn : {"{", "[]", "null", R"({"Id": 7})", R"({"Id": "1", "State": {"Status": 5}})"}) {
        const CheckOutcome outcome = seen({json(torn)});
        EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive) << torn;
        EXPECT_EQ(outcome.code, "malformed_reply") << torn;
    }
    const CheckOutcome outcome = seen({json(sick_)});
    EXPECT_EQ(outcome.code, "podman_error");
    EXPECT_EQ(outcome.text, "podman: HTTP 500: database is locked");
}

TEST_F(ContainerKind, a_podman_that_is_not_there_is_inconclusive) {
    EXPECT_EQ(seen({container("odd")}).code, "unknown_state");
    context_->podman_socket = (version_dir_ / "nobody.sock").string();
    const CheckOutcome outcome = seen({running()});
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "podman_unreachable");
}

TEST_F(ContainerKind, only_containers_that_the_device_lists_are_asked_about) {
    EXPECT_NE(refusal("kind: container, container: registry").find("listed under `containers:`"), std::string::npos);
    EXPECT_NE(refusal("kind: container, container: digits, image_digest: latest").find("image_digest"),
              std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
