#include "tests/rollback/fixture.hpp"
#include "tests/sys/tiny_server.hpp"

namespace modelguard::rollback::test {
namespace {

using namespace std::chrono_literals;
using sys::test::TinyServer;

std::string reply(const std::string& status, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
bool is_load(const std::string& request) { return request.starts_with("POST /v2/repository/models/digits/load "); }
bool is_unload(const std::string& request) { return request.starts_with("POST /v2/repository/models/digits/unload "); }

struct OipRepositoryThenTest : RollbackTest {
    std::string load_reply = reply("200 OK", "");
    std::string unload_reply = reply("200 OK", "");
    bool hangs{false};
    TinyServer server{*loop, [this](const std::string& request) -> TinyServer::Answer {
                          if (hangs) return {.bytes = std::nullopt};
                          if (is_load(request)) return {.bytes = load_reply};
                          if (is_unload(request)) return {.bytes = unload_reply};
                          return {.bytes = reply("404 Not Found", R"({"detail":"Not Found"})")};
                      }};

    OipRepositoryThenTest() {
        endpoint = server.url("");
        link_to(v1);
    }
    Outcome run(ThenVerb verb = ThenVerb::version_changed) { return run_then(*find_then("oip_repository"), {}, verb); }
};

TEST_F(OipRepositoryThenTest, version_change_is_one_load_with_an_empty_object) {
    EXPECT_EQ(run().result, SwitchResult::done);

    ASSERT_EQ(server.requests().size(), 1U);
    EXPECT_TRUE(is_load(server.requests()[0])) << server.requests()[0];
    EXPECT_TRUE(server.requests()[0].ends_with("\r\n\r\n{}")) << server.requests()[0];
}

TEST_F(OipRepositoryThenTest, a_server_that_is_asked_by_grpc_is_told_at_its_url) {
    endpoint = "http://127.0.0.1:1";
    const ParamMap params{{"url", {.value = server.url("/")}}};

    EXPECT_EQ(run_then(*find_then("oip_repository"), params, ThenVerb::version_changed).result, SwitchResult::done);

    ASSERT_EQ(server.requests().size(), 1U);
    EXPECT_TRUE(is_load(server.requests()[0])) << server.requests()[0];
}

TEST_F(OipRepositoryThenTest, restart_unloads_first_and_loads_whatever_the_unload_says) {
    unload_reply = reply("404 Not Found", R"({"error":"Model digits not found"})");

    EXPECT_EQ(run(ThenVerb::restart).result, SwitchResult::done);

    ASSERT_EQ(server.requests().size(), 2U);
    EXPECT_TRUE(is_unload(server.requests()[0]));
    EXPECT_TRUE(is_load(server.requests()[1]));
}

TEST_F(OipRepositoryThenTest, without_a_current_version_the_model_is_unloaded_and_not_loaded_counts_as_done) {
    ASSERT_TRUE(sys::remove_symlink(dir / "current").has_value());
    EXPECT_EQ(run().result, SwitchResult::done);
    unload_reply = reply("404 Not Found", R"({"error":"Model digits not found"})");
    EXPECT_EQ(run(ThenVerb::restart).result, SwitchResult::done);
    unload_reply = reply("500 Internal Server Error", "stuck");
    const Outcome stuck = run();

    EXPECT_EQ(stuck.result, SwitchResult::failed);
    EXPECT_NE(stuck.why.find("HTTP 500: stuck"), std::string::npos) << stuck.why;
    for (const std::string& request : server.requests())
        EXPECT_TRUE(is_unload(request)) << request;
}

TEST_F(OipRepositoryThenTest, error_of_the_server_is_refused_with_its_text_on_one_line) {
    load_reply = reply("400 Bad Request", "{\"error\":\"Model digits:\\n cannot   read weights\"}");

    const Outcome outcome = run();

    EXPECT_EQ(outcome.result, SwitchResult::refused);
    EXPECT_EQ(outcome.why, "Model digits: cannot read weights");
}

TEST_F(OipRepositoryThenTest, load_that_the_server_cannot_do_is_refused_in_every_dialect) {
    struct {
        const char* status;
        const char* body;
        const char* why;
    } const cases[] = {
        {"500 Internal Server Error", "Internal Server Error",
         "Internal Server Error"},  // MLServer, a runtime's exception
        {"422 Unprocessable Entity", R"({"error":"Invalid URI specified for model digits"})", "Invalid URI"},
        {"404 Not Found", R"({"error":"Model digits not found"})", "Model digits not found"},
        {"400 Bad Request", "", "HTTP 400"},  // MLServer, load() answered false
        {"400 Bad Request", R"({"error":{"code":3}})", R"({"code":3})"},
    };
    for (const auto& each : cases) {
        load_reply = reply(each.status, each.body);
        const Outcome outcome = run();
        EXPECT_EQ(outcome.result, SwitchResult::refused) << each.status << each.body;
        EXPECT_NE(outcome.why.find(each.why), std::string::npos) << outcome.why;
    }
}

TEST_F(OipRepositoryThenTest, reason_that_is_nested_without_end_is_cut_and_overflows_no_stack) {
    load_reply = reply("400 Bad Request", R"({"error":)" + std::string(400'000, '[') + std::string(400'000, ']') + "}");
    const Outcome outcome = run();
    EXPECT_EQ(outcome.result, SwitchResult::refused);
    EXPECT_NE(outcome.why.find("[[[["), std::string::npos);
    EXPECT_LT(outcome.why.size(), 1000u);
}

TEST_F(OipRepositoryThenTest, answers_about_the_server_itself_are_failed_not_the_versions_fault) {
    for (const char* status : {"503 Service Unavailable", "502 Bad Gateway", "504 Gateway Timeout",
                               "429 Too Many Requests", "401 Unauthorized", "403 Forbidden", "405 Method Not Allowed",
                               "501 Not Implemented", "301 Moved Permanently"}) {
        load_reply = reply(status, R"({"error":"not now"})");
        const Outcome outcome = run();
        EXPECT_EQ(outcome.result, SwitchResult::failed) << status;
        EXPECT_NE(outcome.why.find("not now"), std::string::npos) << outcome.why;
    }
    load_reply = reply("404 Not Found", R"({"detail":"Not Found"})");
    EXPECT_EQ(run().result, SwitchResult::failed) << "a server without this interface";
}

TEST_F(OipRepositoryThenTest, endless_error_text_is_cut_to_300_bytes) {
    load_reply = reply("500 Internal Server Error", R"({"error":")" + std::string(5000, 'x') + "\"}");

    EXPECT_EQ(run().why.size(), 300U + std::string_view("…").size());
}

TEST_F(OipRepositoryThenTest, server_that_is_not_there_is_failed) {
    const sys::test::DeadPort dead;
    endpoint = dead.url().substr(0, dead.url().size() - 1);

    for (const ThenVerb verb : {ThenVerb::version_changed, ThenVerb::restart}) {
        const Outcome outcome = run(verb);
        EXPECT_EQ(outcome.result, SwitchResult::failed);
        EXPECT_NE(outcome.why.find(endpoint), std::string::npos) << outcome.why;
    }
}

TEST_F(OipRepositoryThenTest, server_that_hangs_is_failed_at_the_service_timeout) {
    hangs = true;
    timeout = 50ms;

    EXPECT_EQ(run().result, SwitchResult::failed);
}

TEST_F(OipRepositoryThenTest, name_of_the_model_is_escaped_in_the_path) {
    ServiceContext context = service();
    context.server_model = "a b/../c";
    std::optional<Outcome> outcome;
    const auto running = find_then("oip_repository")->start(context, {}, ThenVerb::version_changed, [&](Outcome o) {
        outcome = std::move(o);
    });
    ASSERT_TRUE(run_until(*loop, [&] { return outcome.has_value(); }));

    EXPECT_TRUE(server.requests().at(0).starts_with("POST /v2/repository/models/a%20b%2F..%2Fc/load "))
        << server.requests()[0];
}

}  // namespace
}  // namespace modelguard::rollback::test
