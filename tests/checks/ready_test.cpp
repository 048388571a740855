#include "supervisor/sys/clock.hpp"
#include "tests/checks/bench_server.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Ready : public CheckTest {
  protected:
    static ParamMap with_canary() { return {{"canary", text("canary/digits.jsonl")}}; }
};

TEST_F(Ready, passes_when_the_server_says_so_and_infers_once) {
    write_canary(3);
    const CheckOutcome outcome = run("ready", with_canary());
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.code, "ok");
    EXPECT_EQ(outcome.probes, 2);
    EXPECT_EQ(counted("ready"), 1);
    EXPECT_EQ(counted("infer"), 1);
}

TEST_F(Ready, without_a_canary_set_asks_only) {
    const CheckOutcome outcome = run("ready", {});
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(counted("infer"), 0);
}

TEST_F(Ready, waits_while_the_model_loads) {
    control(R"({"mode": "loading", "count": 4})");
    const CheckOutcome outcome = run("ready", {});
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(counted("ready"), 5);
}

TEST_F(Ready, waits_while_the_model_is_missing) {
    control(R"({"mode": "missing", "count": 3})");
    EXPECT_EQ(run("ready", {}).verdict, VerdictKind::pass);
}

TEST_F(Ready, waits_while_nobody_listens) {
    control(R"({"mode": "refuse", "ms": 300})");
    const CheckOutcome outcome = run("ready", {});
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_GE(outcome.probes, 3);
}

TEST_F(Ready, is_never_enough_when_inference_is_not_ready_yet) {
    write_canary(1);
    control(R"({"mode": "loading", "on": "infer", "count": 2})");
    EXPECT_EQ(run("ready", with_canary()).verdict, VerdictKind::pass);
    EXPECT_EQ(counted("infer"), 3);
}

TEST_F(Ready, fails_when_the_time_runs_out_and_says_what_came_last) {
    struct Case {
        std::string mode;
        std::string_view code;
        std::string_view says;
    };
    context_->ready_within = milliseconds(200);
    for (const Case& c :
         {Case{.mode = "loading", .code = "not_ready", .says = "not ready within 200ms, at last loading (HTTP 400"},
          Case{.mode = "missing", .code = "missing", .says = "at last missing (HTTP 404: Model digits not found)"}}) {
        control(R"({"mode": ")" + c.mode + R"("})");
        const Instant began = sys::boottime_now();
        const CheckOutcome outcome = run("ready", {});
        EXPECT_EQ(outcome.verdict, VerdictKind::fail);
        EXPECT_EQ(outcome.code, c.code);
        EXPECT_NE(outcome.text.find(c.says), std::string::npos) << outcome.text;
        EXPECT_GE(sys::boottime_now() - began, milliseconds(200));
        EXPECT_DOUBLE_EQ(outcome.limit.value_or(0), 0.2);
    }
}

TEST_F(Ready, fails_as_not_ready_when_nobody_ever_listens) {
    context_->ready_within = milliseconds(100);
    context_->target.endpoint = "http://127.0.0.1:" + std::to_string(unused_port());
    const CheckOutcome outcome = run("ready", {});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "not_ready");
    EXPECT_NE(outcome.text.find("unreachable"), std::string::npos) << outcome.text;
}

TEST_F(Ready, survives_a_moment_of_errors) {
    control(R"({"mode": "broken500", "on": "ready", "count": 2})");
    EXPECT_EQ(run("ready", {}).verdict, VerdictKind::pass);
}

TEST_F(Ready, fails_long_before_the_time_is_out_when_the_server_stays_broken) {
    control(R"({"mode": "broken500", "on": "ready"})");
    const CheckOutcome outcome = run("ready", {});
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "broken");
    EXPECT_EQ(counted("ready"), 3);
    EXPECT_NE(outcome.text.find("illegal memory access"), std::string::npos) << outcome.text;
    EXPECT_GE(outcome.measured.value_or(0), 1.0) << "a server that starts up may say 500 for a moment";
    EXPECT_LT(outcome.measured.value_or(60), 20.0);
}

TEST_F(Ready, fails_when_ready_is_claimed_but_inference_is_broken) {
    write_canary(1);
    control(R"({"mode": "broken500", "on": "infer"})");
    const CheckOutcome outcome = run("ready", with_canary());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "broken");
}

TEST_F(Ready, fails_at_once_on_nan) {
    write_canary(1);
    for (const char* mode : {"nan", "null", "nan_token"}) {
        control(std::string(R"({"mode": ")") + mode + "\"}");
        const CheckOutcome outcome = run("ready", with_canary());
        EXPECT_EQ(outcome.verdict, VerdictKind::fail) << mode;
        EXPECT_EQ(outcome.code, "not_finite") << mode;
        EXPECT_EQ(counted("infer"), 1) << mode;
    }
}

TEST_F(Ready, takes_the_old_version_for_a_moment_but_not_for_good) {
    write_canary(1);
    context_->target.served_version = "1";
    control(R"({"mode": "wrong_version", "version": "0", "count": 2})");
    EXPECT_EQ(run("ready", with_canary()).verdict, VerdictKind::pass);

    context_->ready_within = milliseconds(100);
    control(R"({"mode": "wrong_version", "version": "0"})");
    const CheckOutcome outcome = run("ready", with_canary());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "wrong_version");
    EXPECT_NE(outcome.text.find("serves version 0 instead of 1"), std::string::npos) << outcome.text;
}

TEST_F(Ready, fails_as_not_ready_when_the_first_inference_hangs) {
    write_canary(1);
    control(R"({"mode": "hang"})");
    context_->ready_within = milliseconds(300);
    const CheckOutcome outcome = run("ready", with_canary());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "not_ready");
}

TEST_F(Ready, is_inconclusive_where_the_probe_could_not_be_made) {
    const CheckOutcome no_set = run("ready", with_canary());
    EXPECT_EQ(no_set.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(no_set.code, "no_canary_set");
    EXPECT_NE(no_set.text.find("canary/digits.jsonl"), std::string::npos) << no_set.text;

    write_file("canary/digits.jsonl", R"({"id": "a", "input": [null], "label": 1})");
    EXPECT_EQ(run("ready", with_canary()).code, "no_canary_set");

    context_->target.endpoint = "ftp://127.0.0.1";
    const CheckOutcome no_url = run("ready", {});
    EXPECT_EQ(no_url.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(no_url.code, "not_asked");
}

/// That the key is sent is seen by tests/realserver/llama_test.py, whose server wants one.
TEST_F(Ready, is_inconclusive_without_the_key_that_it_should_bring) {
    context_->key_file = version_dir_ / "key";
    for (const char* content : {"", "\n", "two words\n", "a\nb\n"}) {
        write_file("key", content);
        const CheckOutcome outcome = run("ready", {});
        EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive) << content;
        EXPECT_EQ(outcome.code, "no_key") << content;
        EXPECT_NE(outcome.text.find("the key alone"), std::string::npos) << outcome.text;
    }
    std::filesystem::remove(context_->key_file);
    EXPECT_EQ(run("ready", {}).code, "no_key");
    EXPECT_EQ(counted("requests"), 0);

    write_file("key", "secret\n");
    EXPECT_EQ(run("ready", {}).verdict, VerdictKind::pass);
}

TEST_F(Ready, dropped_while_it_waits_never_calls_back) {
    control(R"({"mode": "loading"})");
    const auto check = make("ready", {});
    bool called = false;
    std::unique_ptr<Running> running = check->start(*context_, [&](const CheckOutcome&) { called = true; });
    running.reset();
    bool turned = false;
    const sys::Source timer = loop_->add_timer(milliseconds(100), [&] { turned = true; });
    turn_until([&] { return turned; });
    EXPECT_FALSE(called);
    EXPECT_LE(counted("ready"), 1);
}

/// The dialects differ in nearly every answer; the check does not.
TEST(ReadyDialects, end_in_the_same_verdicts) {
    for (const char* dialect : {"kserve", "triton", "ovms"}) {
        const ModelServer server(dialect);
        auto loop = sys::Loop::create();
        ASSERT_TRUE(loop);
        auto http = sys::HttpClient::create(**loop);
        ASSERT_TRUE(http);
        CheckContext context{.loop = **loop,
                             .http = **http,
                             .target = {.endpoint = "http://127.0.0.1:" + std::to_string(server.port()),
                                        .server_model = "digits",
                                        .protocol = &oip_protocol()},
                             .ready_within = milliseconds(60)};
        const auto made = find_kind("ready")->make({});
        ASSERT_TRUE(made);
        const auto run = [&]() {
            std::optional<CheckOutcome> outcome;
            const auto running = (*made)->start(context, [&](CheckOutcome ended) { outcome = std::move(ended); });
            while (!outcome && (*loop)->run_once(seconds(1))) {
            }
            return outcome.value_or(CheckOutcome{});
        };
        const auto control = [&](const std::string& body) {
            sys::HttpRequest request{.method = "POST", .url = context.target.endpoint + "/control", .body = body};
            bool answered = false;
            const auto transfer = (*http)->send(std::move(request), [&](const Result<sys::HttpReply>& reply) {
                EXPECT_TRUE(reply) << reply.error().what;
                answered = true;
            });
            while (!answered && (*loop)->run_once(seconds(1))) {
            }
        };

        EXPECT_EQ(run().code, "ok") << dialect;
        control(R"({"mode": "loading"})");
        EXPECT_EQ(run().code, "not_ready") << dialect;
        control(R"({"mode": "missing"})");
        EXPECT_EQ(run().code, "missing") << dialect;
        control(R"({"mode": "ok"})");
        context.target.server_model = "letters";
        EXPECT_EQ(run().code, "missing") << dialect;
    }
}

}  // namespace
}  // namespace modelguard::checks::test
