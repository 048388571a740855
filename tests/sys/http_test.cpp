#include "supervisor/sys/http.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "tests/sys/tiny_server.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

using namespace std::chrono_literals;
using Answer = TinyServer::Answer;

struct HttpTest : ::testing::Test {
    std::unique_ptr<Loop> loop = make_loop();
    std::unique_ptr<HttpClient> client = std::move(*HttpClient::create(*loop));

    Result<HttpReply> exchange(HttpRequest request) {
        std::optional<Result<HttpReply>> outcome;
        const Transfer transfer =
            client->send(std::move(request), [&](Result<HttpReply> r) { outcome = std::move(r); });
        EXPECT_FALSE(outcome.has_value()) << "the callback came from within send()";
        if (!run_until(*loop, [&] { return outcome.has_value(); })) return fail(ErrorKind::internal, "no callback");
        return std::move(*outcome);
    }
    ErrorKind error_of(HttpRequest request) {
        const Result<HttpReply> outcome = exchange(std::move(request));
        EXPECT_FALSE(outcome.has_value()) << "status " << outcome->status;
        return outcome ? ErrorKind::conflict : outcome.error().kind;
    }
};

TEST_F(HttpTest, reply_brings_status_body_type_and_times) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{\"a\":1}")}; });

    const Result<HttpReply> reply = exchange({.url = server.url("/v2/health/ready")});

    ASSERT_TRUE(reply.has_value()) << reply.error().what;
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "{\"a\":1}");
    EXPECT_EQ(reply->content_type, "application/json");
    EXPECT_GT(reply->connect, Usec{0});
    EXPECT_GE(reply->first_byte, reply->connect);
    EXPECT_GE(reply->total, reply->first_byte);
    EXPECT_TRUE(server.requests().at(0).starts_with("GET /v2/health/ready HTTP/1.1\r\n"));
}

TEST_F(HttpTest, a_timed_reply_tells_when_its_body_came) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("0123456789")}; });

    const Result<HttpReply> timed = exchange({.url = server.url("/"), .timed = true});

    ASSERT_TRUE(timed && !timed->arrivals.empty());
    EXPECT_EQ(timed->arrivals.back().end, 10U);
    EXPECT_GT(timed->arrivals.back().at, Usec{0});
    EXPECT_LE(timed->arrivals.back().at, timed->total + Usec{100'000});
    EXPECT_TRUE(exchange({.url = server.url("/")})->arrivals.empty());
}

TEST_F(HttpTest, http2_asked_of_a_server_that_has_none_is_no_reply) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });

    EXPECT_EQ(error_of({.url = server.url("/"), .http2 = true}), ErrorKind::unavailable);
}

TEST_F(HttpTest, status_500_is_a_reply_and_redirects_are_not_followed) {
    TinyServer server(*loop, [](const std::string& request) {
        if (request.starts_with("GET /moved"))
            return Answer{.bytes = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"};
        return Answer{.bytes = "HTTP/1.1 500 Broken\r\nContent-Length: 4\r\n\r\noops"};
    });

    EXPECT_EQ(exchange({.url = server.url("/")})->status, 500);
    EXPECT_EQ(exchange({.url = server.url("/moved")})->status, 302);
    EXPECT_EQ(server.requests().size(), 2U);
}

TEST_F(HttpTest, post_sends_body_and_headers_without_expect) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    const std::string body(200'000, 'x');

    ASSERT_TRUE(exchange({.method = "POST",
                          .url = server.url("/v2/models/digits/infer"),
                          .headers = {"Content-Type: application/json", "X-Probe: 1"},
                          .body = body})
                    .has_value());

    const std::string& request = server.requests().at(0);
    EXPECT_TRUE(request.starts_with("POST /v2/models/digits/infer HTTP/1.1\r\n"));
    EXPECT_NE(request.find("Content-Type: application/json\r\n"), std::string::npos);
    EXPECT_NE(request.find("X-Probe: 1\r\n"), std::string::npos);
    EXPECT_EQ(request.find("Expect:"), std::string::npos);
    EXPECT_TRUE(request.ends_with("\r\n\r\n" + body));
}

TEST_F(HttpTest, methods_leave_nothing_behind_in_a_reused_handle) {
    TinyServer server(*loop, [](const std::string& request) {
        return Answer{.bytes = request.starts_with("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
                                                           : ok_reply("{}")};
    });

    for (const char* method : {"POST", "HEAD", "GET", "DELETE", "PUT", "GET", "POST"}) {
        const bool has_body = std::string_view(method) == "PUT";
        ASSERT_TRUE(
            exchange({.method = method, .url = server.url("/x"), .body = has_body ? "content" : ""}).has_value());
        const std::string& request = server.requests().back();
        EXPECT_TRUE(request.starts_with(std::string(method) + " /x HTTP/1.1\r\n")) << request;
        EXPECT_EQ(request.find("content") != std::string::npos, has_body) << request;
        EXPECT_EQ(request.find("x-www-form-urlencoded"), std::string::npos) << request;
    }
    EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpTest, connection_is_kept_across_requests) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });

    const Result<HttpReply> first = exchange({.url = server.url()});
    const Result<HttpReply> second = exchange({.method = "POST", .url = server.url(), .body = "{}"});

    ASSERT_TRUE(first && second);
    EXPECT_EQ(server.accepted(), 1);
    EXPECT_GT(first->connect, Usec{0});
    EXPECT_EQ(second->connect, Usec{0});
}

TEST_F(HttpTest, fresh_connection_is_used_once) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });

    ASSERT_TRUE(exchange({.url = server.url()}).has_value());
    ASSERT_TRUE(exchange({.url = server.url(), .fresh_connection = true}).has_value());

    EXPECT_EQ(server.accepted(), 2);
    EXPECT_TRUE(run_until(*loop, [&] { return server.open_connections() == 1; }));
    ASSERT_TRUE(exchange({.url = server.url()}).has_value());
    EXPECT_EQ(server.accepted(), 2);
}

TEST_F(HttpTest, kept_connection_that_the_server_closed_is_replaced) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    ASSERT_TRUE(exchange({.url = server.url()}).has_value());

    server.close_all();
    const Result<HttpReply> second = exchange({.method = "POST", .url = server.url(), .body = "{}"});

    ASSERT_TRUE(second.has_value()) << second.error().what;
    EXPECT_EQ(server.accepted(), 2);
}

TEST_F(HttpTest, nobody_listening_is_unavailable) {
    const DeadPort port;
    EXPECT_EQ(error_of({.url = port.url()}), ErrorKind::unavailable);
    EXPECT_EQ(error_of({.url = "http://localhost/", .unix_socket = "/nonexistent/socket"}), ErrorKind::unavailable);
}

TEST_F(HttpTest, reset_or_closed_without_an_answer_is_unavailable) {
    TinyServer resetting(*loop, [](const std::string&) { return Answer{.reset = true}; });
    TinyServer closing(*loop, [](const std::string&) { return Answer{.close_after = true}; });
    TinyServer cutting(*loop, [](const std::string&) {
        return Answer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", .close_after = true};
    });

    EXPECT_EQ(error_of({.url = resetting.url()}), ErrorKind::unavailable);
    EXPECT_EQ(error_of({.url = closing.url()}), ErrorKind::unavailable);
    EXPECT_EQ(error_of({.url = cutting.url()}), ErrorKind::unavailable);
}

TEST_F(HttpTest, hanging_server_times_out_after_the_deadline) {
    TinyServer silent(*loop, [](const std::string&) { return Answer{}; });
    TinyServer stalling(*loop, [](const std::string&) {
        return Answer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"};
    });

    for (const TinyServer* server : {&silent, &stalling}) {
        const Instant before = boottime_now();
        EXPECT_EQ(error_of({.url = server->url(), .timeout = 50ms}), ErrorKind::timed_out);
        EXPECT_GE(boottime_now() - before, 49ms);
    }
}

TEST_F(HttpTest, answer_that_is_there_counts_although_our_own_loop_is_late) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    std::optional<Result<HttpReply>> outcome;
    const Transfer transfer =
        client->send({.url = server.url(), .timeout = 200ms}, [&](Result<HttpReply> r) { outcome = std::move(r); });
    const Instant sent = boottime_now();
    ASSERT_TRUE(run_until(*loop, [&] { return !server.requests().empty(); }));
    ASSERT_FALSE(outcome.has_value());

    while (boottime_now() - sent <= 210ms) {
    }

    ASSERT_TRUE(run_until(*loop, [&] { return outcome.has_value(); }));
    EXPECT_TRUE(outcome->has_value()) << outcome->error().what;
}

TEST_F(HttpTest, each_exchange_has_a_deadline_of_its_own) {
    TinyServer server(*loop, [](const std::string&) { return Answer{}; });
    std::vector<int> order;
    std::vector<Transfer> transfers;
    for (const int ms : {60, 20, 40})
        transfers.push_back(client->send({.url = server.url(), .timeout = std::chrono::milliseconds(ms)},
                                         [&, ms](const Result<HttpReply>& reply) {
                                             EXPECT_FALSE(reply.has_value());
                                             order.push_back(ms);
                                         }));
    ASSERT_TRUE(run_until(*loop, [&] { return order.size() == 3; }));
    EXPECT_EQ(order, (std::vector{20, 40, 60}));
}

TEST_F(HttpTest, timeout_says_how_far_it_came) {
    TinyServer silent(*loop, [](const std::string&) { return Answer{}; });
    TinyServer stalling(*loop, [](const std::string&) { return Answer{.bytes = "HTTP/1.1 200 OK\r\n"}; });
    EXPECT_TRUE(exchange({.url = silent.url(), .timeout = 30ms}).error().what.ends_with(": no answer within 30ms"));
    EXPECT_TRUE(exchange({.url = stalling.url(), .timeout = 30ms})
                    .error()
                    .what.ends_with(": no end of the answer within 30ms"));
}

TEST_F(HttpTest, localhost_falls_back_to_the_family_that_listens) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    const std::string port = server.url("").substr(std::string("http://127.0.0.1").size());
    const Result<HttpReply> reply = exchange({.url = "http://localhost" + port + "/"});
    EXPECT_TRUE(reply.has_value()) << reply.error().what;
}

TEST_F(HttpTest, timeout_below_a_millisecond_is_still_a_timeout) {
    TinyServer server(*loop, [](const std::string&) { return Answer{}; });
    EXPECT_EQ(error_of({.url = server.url(), .timeout = 10us}), ErrorKind::timed_out);
}

TEST_F(HttpTest, body_beyond_the_cap_is_malformed_with_and_without_length) {
    const std::string body(1001, 'x');
    TinyServer with_length(*loop, [&](const std::string&) { return Answer{.bytes = ok_reply(body)}; });
    TinyServer without_length(*loop, [&](const std::string&) {
        return Answer{.bytes = "HTTP/1.1 200 OK\r\n\r\n" + body, .close_after = true};
    });

    EXPECT_EQ(error_of({.url = with_length.url(), .max_body = 1000}), ErrorKind::malformed_reply);
    EXPECT_EQ(error_of({.url = without_length.url(), .max_body = 1000}), ErrorKind::malformed_reply);
    EXPECT_EQ(exchange({.url = with_length.url(), .max_body = 1001})->body, body);
    EXPECT_EQ(exchange({.url = without_length.url(), .max_body = 1001})->body, body);
}

TEST_F(HttpTest, header_line_without_end_is_malformed) {
    TinyServer server(*loop, [](const std::string&) {
        return Answer{.bytes = "HTTP/1.1 200 OK\r\nX: " + std::string(256u << 10, 'x')};
    });

    EXPECT_EQ(error_of({.url = server.url()}), ErrorKind::malformed_reply);
}

TEST_F(HttpTest, headers_without_end_are_malformed) {
    TinyServer server(*loop, [](const std::string&) {
        std::string bytes = "HTTP/1.1 200 OK\r\n";
        for (int i = 0; i < 2000; ++i)
            bytes += "X-Filler-" + std::to_string(i) + ": " + std::string(60, 'y') + "\r\n";
        return Answer{.bytes = bytes};
    });
    EXPECT_EQ(error_of({.url = server.url()}), ErrorKind::malformed_reply);
}

TEST_F(HttpTest, garbage_is_malformed) {
    const DeadPort nobody;
    for (const char* bytes :
         {"\x01\x02 what is this\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: banana\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"}) {
        TinyServer server(*loop, [bytes](const std::string&) { return Answer{.bytes = bytes, .close_after = true}; });
        // A real refusal first: its errno must not colour the judgement of the next reply on the same handle.
        EXPECT_EQ(error_of({.url = nobody.url()}), ErrorKind::unavailable);
        EXPECT_EQ(error_of({.url = server.url()}), ErrorKind::malformed_reply) << bytes;
    }
}

TEST_F(HttpTest, only_http_urls_and_clean_headers_are_sent) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });

    EXPECT_EQ(error_of({.url = "file:///etc/hostname"}), ErrorKind::invalid_config);
    EXPECT_EQ(error_of({.url = "ftp://127.0.0.1/"}), ErrorKind::invalid_config);
    EXPECT_EQ(error_of({.url = "http://127.0.0.1:99999/"}), ErrorKind::invalid_config);
    EXPECT_EQ(error_of({.url = ""}), ErrorKind::invalid_config);
    EXPECT_EQ(error_of({.url = server.url(), .headers = {"X: a\r\nY: b"}}), ErrorKind::invalid_config);
    EXPECT_EQ(error_of({.method = "GET / HTTP/1.1", .url = server.url()}), ErrorKind::invalid_config);
    EXPECT_TRUE(server.requests().empty());
}

TEST_F(HttpTest, proxy_of_the_environment_is_ignored) {
    const DeadPort proxy;
    ASSERT_EQ(::setenv("http_proxy", proxy.url().c_str(), 1), 0);
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });

    EXPECT_TRUE(exchange({.url = server.url()}).has_value());

    ::unsetenv("http_proxy");
}

TEST_F(HttpTest, post_sends_a_file_without_reading_it_whole_and_says_where_there_is_none) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    const TempDir dir;
    std::string content(300'000, 'x');
    content += "end";
    ASSERT_TRUE(write_file_atomic(dir / "image.tar", content, 0600).has_value());

    const auto reply = exchange({.method = "POST",
                                 .url = server.url("/load"),
                                 .headers = {"Content-Type: application/x-tar"},
                                 .body_file = dir / "image.tar"});

    ASSERT_TRUE(reply.has_value()) << reply.error().what;
    EXPECT_NE(server.requests().front().find("Content-Length: 300003\r\n"), std::string::npos);
    EXPECT_TRUE(server.requests().front().ends_with("\r\n\r\n" + content));
    const auto none = exchange({.method = "POST", .url = server.url("/load"), .body_file = dir / "nothing"});
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().kind, ErrorKind::invalid_config);
    EXPECT_NE(none.error().what.find("nothing"), std::string::npos) << none.error().what;
}

TEST_F(HttpTest, unix_socket_is_reached) {
    const TempDir dir;
    TinyServer server(*loop, (dir / "api.sock").native(),
                      [](const std::string&) { return Answer{.bytes = ok_reply("here")}; });

    const Result<HttpReply> reply = exchange({.url = "http://localhost/v1/status", .unix_socket = dir / "api.sock"});

    ASSERT_TRUE(reply.has_value()) << reply.error().what;
    EXPECT_EQ(reply->body, "here");
}

TEST_F(HttpTest, unix_socket_of_one_request_does_not_serve_the_next) {
    const TempDir dir;
    TinyServer local(*loop, (dir / "api.sock").native(),
                     [](const std::string&) { return Answer{.bytes = ok_reply("unix")}; });
    TinyServer tcp(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("tcp")}; });

    EXPECT_EQ(exchange({.url = tcp.url(), .unix_socket = dir / "api.sock"})->body, "unix");
    EXPECT_EQ(exchange({.url = tcp.url()})->body, "tcp");
}

TEST_F(HttpTest, dropping_a_transfer_cancels_it) {
    TinyServer server(*loop, [](const std::string&) { return Answer{}; });
    bool called = false;
    Transfer transfer = client->send({.url = server.url()}, [&](const Result<HttpReply>&) { called = true; });
    ASSERT_TRUE(run_until(*loop, [&] { return server.requests().size() == 1; }));

    transfer = {};

    EXPECT_TRUE(run_until(*loop, [&] { return server.open_connections() == 0; }));
    EXPECT_FALSE(called);
}

TEST_F(HttpTest, transfer_dropped_before_its_refusal_is_told_is_not_called) {
    bool called = false;
    Transfer transfer = client->send({.url = "nonsense"}, [&](const Result<HttpReply>&) { called = true; });
    transfer = {};
    run_pending(*loop);
    EXPECT_FALSE(called);
}

TEST_F(HttpTest, callback_may_drop_its_transfer_and_start_the_next) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    int replies = 0;
    Transfer transfer;
    std::function<void(Result<HttpReply>)> again = [&](const Result<HttpReply>& reply) {
        ASSERT_TRUE(reply.has_value());
        if (++replies < 5) transfer = client->send({.url = server.url()}, again);
    };
    transfer = client->send({.url = server.url()}, again);

    EXPECT_TRUE(run_until(*loop, [&] { return replies == 5; }));
    EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpTest, callback_may_drop_another_transfer_that_has_ended_too) {
    int called = 0;
    std::vector<Transfer> transfers(2);
    // Both are refused at once, so that both wait for the same turn.
    for (std::size_t i : {0U, 1U})
        transfers[i] = client->send({.url = "nonsense"}, [&, i](const Result<HttpReply>&) {
            ++called;
            transfers[1 - i] = {};
        });
    run_pending(*loop);
    EXPECT_EQ(called, 1);
}

TEST_F(HttpTest, callback_may_drop_the_client) {
    TinyServer server(*loop, [](const std::string&) { return Answer{.bytes = ok_reply("{}")}; });
    bool other_called = false;
    TinyServer silent(*loop, [](const std::string&) { return Answer{}; });
    const Transfer other = client->send({.url = silent.url()}, [&](const Result<HttpReply>&) { other_called = true; });
    const Transfer transfer = client->send({.url = server.url()}, [&](const Result<HttpReply>&) { client.reset(); });

    EXPECT_TRUE(run_until(*loop, [&] { return client == nullptr && silent.open_connections() == 0; }));
    EXPECT_FALSE(other_called);
}

TEST_F(HttpTest, many_exchanges_at_once_all_end) {
    TinyServer server(*loop,
                      [](const std::string& request) { return Answer{.bytes = ok_reply(request.substr(5, 2))}; });
    std::vector<Transfer> transfers;
    int right = 0;
    for (int i = 10; i < 60; ++i)
        transfers.push_back(client->send(
            {.url = server.url("/" + std::to_string(i))},
            [&, i](const Result<HttpReply>& reply) { right += reply && reply->body == std::to_string(i); }));

    EXPECT_TRUE(run_until(*loop, [&] { return right == 50; }));
}

}  // namespace
}  // namespace modelguard::sys::test
