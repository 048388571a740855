#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;
using sys::test::ok_reply;
using sys::test::TinyServer;

class HttpKind : public WrittenCheck {
  protected:
    CheckOutcome ask(const std::string& more, const std::string& path = "/health") {
        return run_written("kind: http, url: '" + server().url(path) + "'" + (more.empty() ? "" : ", " + more));
    }
    TinyServer& server() {
        if (!server_) server_.emplace(*loop_, [this](const std::string&) { return answer_; });
        return *server_;
    }

    TinyServer::Answer answer_{.bytes = ok_reply(R"({"state": "fine", "checks": [{"ms": 12.5}], "on": true})")};

  private:
    std::optional<TinyServer> server_;
};

TEST_F(HttpKind, status_in_the_two_hundreds_passes) {
    const CheckOutcome outcome = ask("");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.unit, "s");
    ASSERT_EQ(server().requests().size(), 1U);
    EXPECT_TRUE(server().requests()[0].starts_with("GET /health HTTP/1.1\r\n")) << server().requests()[0];
}

TEST_F(HttpKind, another_status_fails_with_what_was_said) {
    answer_.bytes = "HTTP/1.1 503 No\r\nContent-Length: 12\r\n\r\nout of order";
    const CheckOutcome outcome = ask("");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "status");
    EXPECT_NE(outcome.text.find("HTTP 503 instead of 200-299: out of order"), std::string::npos) << outcome.text;
    EXPECT_EQ(ask("status: '200,500-503'").verdict, VerdictKind::pass);
}

TEST_F(HttpKind, method_headers_and_body_are_sent) {
    EXPECT_EQ(ask("method: POST, body: '{}', headers: ['X-Site: plant-7']").verdict, VerdictKind::pass);
    const std::string& request = server().requests().at(0);
    EXPECT_TRUE(request.starts_with("POST ")) << request;
    EXPECT_NE(request.find("X-Site: plant-7\r\n"), std::string::npos) << request;
    EXPECT_TRUE(request.ends_with("\r\n\r\n{}")) << request;
}

TEST_F(HttpKind, a_text_must_be_in_the_body) {
    EXPECT_EQ(ask("contains: fine").verdict, VerdictKind::pass);
    const CheckOutcome outcome = ask("contains: excellent");
    EXPECT_EQ(outcome.code, "text_missing");
    EXPECT_NE(outcome.text.find("without 'excellent'"), std::string::npos) << outcome.text;
}

TEST_F(HttpKind, a_value_in_the_json_is_compared) {
    EXPECT_EQ(ask("json: {pointer: /state, equals: fine}").verdict, VerdictKind::pass);
    EXPECT_EQ(ask("json: {pointer: /on, equals: 'true'}").verdict, VerdictKind::pass);
    EXPECT_EQ(ask("json: {pointer: /state}").verdict, VerdictKind::pass);
    const CheckOutcome other = ask("json: {pointer: /state, equals: excellent}");
    EXPECT_EQ(other.code, "other_value");
    EXPECT_EQ(other.text, "/state is fine instead of excellent");
    const CheckOutcome high = ask("json: {pointer: /checks/0/ms, max: '10'}");
    EXPECT_EQ(high.code, "too_high");
    EXPECT_EQ(high.measured, 12.5);
    EXPECT_EQ(ask("json: {pointer: /checks/0/ms, min: '10'}").verdict, VerdictKind::pass);
    EXPECT_EQ(ask("json: {pointer: /state, max: '10'}").code, "not_a_number");
    EXPECT_EQ(ask("json: {pointer: /checks/1/ms}").code, "value_missing");
}

TEST_F(HttpKind, what_is_no_json_fails) {
    answer_.bytes = ok_reply("<html>");
    EXPECT_EQ(ask("json: {pointer: /state}").code, "malformed_reply");
    answer_.bytes = ok_reply(std::string(100'000, '['));
    EXPECT_EQ(ask("json: {pointer: /state}").code, "malformed_reply");
}

TEST_F(HttpKind, nobody_there_fails_after_three_attempts) {
    const sys::test::DeadPort dead;
    const CheckOutcome outcome = run_written("kind: http, url: '" + dead.url() + "'");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "unreachable");
    EXPECT_EQ(outcome.probes, 3);
}

TEST_F(HttpKind, an_answer_that_does_not_end_fails_in_time) {
    answer_ = {};  // it hangs
    EXPECT_EQ(ask("timeout: 200ms").code, "timed_out");
    answer_.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'x');
    EXPECT_EQ(ask("").code, "malformed_reply");
}

TEST_F(HttpKind, wrong_parameters_are_refused_with_what_was_expected) {
    const std::string url = "kind: http, url: 'http://127.0.0.1:1/', ";
    EXPECT_NE(refusal(url + "status: 2xx").find("as in 200-299,404"), std::string::npos);
    EXPECT_NE(refusal(url + "status: '300-200'").find("as in 200-299,404"), std::string::npos);
    EXPECT_NE(refusal(url + "method: DELETE").find("GET, HEAD"), std::string::npos) << refusal(url + "method: DELETE");
    EXPECT_NE(refusal(url + "body: x").find("method: POST"), std::string::npos);
    EXPECT_NE(refusal(url + "headers: [nonsense]").find("Name: value"), std::string::npos);
    EXPECT_NE(refusal(url + "json: {pointer: state}").find("as in /state"), std::string::npos);
    EXPECT_NE(refusal(url + "json: {pointer: /state, min: '2', max: '1'}").find("nothing could pass"),
              std::string::npos);
}

TEST_F(HttpKind, only_this_device_is_asked_unless_it_allows_others) {
    for (const char* there : {"http://192.0.2.1/x", "http://127.0.0.1@192.0.2.1/", "http://127.0.0.1.evil.example/",
                              "ftp://127.0.0.1/", "http://127.0.0.1\\\\@192.0.2.1/", "127.0.0.1:80"})
        EXPECT_NE(refusal(std::string("kind: http, url: \"") + there + "\"").find("checks[0].url"), std::string::npos)
            << there;
    device_ = "{addresses: ['192.0.2.1:9']}";
    EXPECT_EQ(run_written("kind: http, url: 'http://192.0.2.1:9/x', timeout: 10ms").verdict, VerdictKind::fail);
}

}  // namespace
}  // namespace modelguard::checks::test
