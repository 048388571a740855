// Requests and replies: what arrives at the handler, and what goes back.
#include "supervisor/daemon/http_server.hpp"

#include "tests/daemon/http_server/server_fixture.hpp"

namespace modelguard::daemon {
namespace {

using testing::echo;
using testing::RawClient;

class HttpRequests : public testing::ServerTest {
  protected:
    /// Serves with a handler that keeps the request and answers "ok".
    void keep_requests(HttpServerOptions options = {}) {
        server = serve(std::move(options), {.handle = [this](HttpServerRequest request, Responder responder) {
                           seen.push_back(std::move(request));
                           responder.reply({.body = "ok"});
                       }});
        ASSERT_NE(server, nullptr);
    }
    int status_of(const std::string& request) {
        RawClient client(path);
        EXPECT_TRUE(send_all(client, request));
        EXPECT_TRUE(until([&] { return client.has_reply(); })) << client.received;
        last_reply = client.received;
        return client.status();
    }

    std::vector<HttpServerRequest> seen;
    std::string last_reply;
};

TEST_F(HttpRequests, a_get_arrives_with_path_query_and_headers) {
    keep_requests({.control = true});

    EXPECT_EQ(status_of("GET /v1/models/a%2Fb/x?after=12&name=p%26q&after=13&flag HTTP/1.1\r\nHost: x\r\n"
                        "Idempotency-Key: k-1\r\nContent-Type: text/plain\r\n\r\n"),
              200);

    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].method, "GET");
    EXPECT_EQ(seen[0].path, "/v1/models/a%2Fb/x");
    EXPECT_EQ(seen[0].segments, (std::vector<std::string>{"v1", "models", "a/b", "x"}));
    EXPECT_EQ(seen[0].query.at("after"), "12");
    EXPECT_EQ(seen[0].query.at("name"), "p&q");
    EXPECT_EQ(seen[0].query.at("flag"), "");
    EXPECT_EQ(seen[0].idempotency_key, "k-1");
    EXPECT_EQ(seen[0].content_type, "text/plain");
    EXPECT_EQ(seen[0].content_length, std::nullopt);
    EXPECT_TRUE(seen[0].control);
    EXPECT_NE(last_reply.find("Content-Type: application/json"), std::string::npos);
    EXPECT_TRUE(last_reply.ends_with("\r\n\r\nok"));
}

TEST_F(HttpRequests, the_peer_is_the_process_that_connected) {
    keep_requests();
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].peer.pid, ::getpid());
    EXPECT_EQ(seen[0].peer.uid, ::getuid());
    EXPECT_EQ(seen[0].peer.gid, ::getgid());
    EXPECT_FALSE(seen[0].control);
}

TEST_F(HttpRequests, a_small_post_arrives_whole_however_it_is_cut) {
    keep_requests();
    RawClient client(path);

    for (const char* part :
         {"POST /v1/val", "idate HTTP/1.1\r\nHost: x\r\nConte", "nt-Length: 10\r\n\r\n01234", "56789"}) {
        ASSERT_TRUE(send_all(client, part));
        settle();
    }

    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].body, "0123456789");
    EXPECT_EQ(seen[0].content_length, 10u);
}

TEST_F(HttpRequests, a_connection_is_kept_and_pipelined_requests_are_answered_in_order) {
    server = serve({}, {.handle = echo});
    RawClient client(path);

    ASSERT_TRUE(send_all(client,
                         "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
                         "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"));

    ASSERT_TRUE(until([&] {
        client.read();
        return client.received.find("GET /3 ") != std::string::npos;
    }));
    EXPECT_LT(client.received.find("GET /1 "), client.received.find("POST /2 hi"));
    EXPECT_LT(client.received.find("POST /2 hi"), client.received.find("GET /3 "));
    EXPECT_FALSE(client.is_closed);
}

TEST_F(HttpRequests, head_is_a_get_without_the_body) {
    keep_requests();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "HEAD /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    ASSERT_TRUE(until([&] { return client.has_closed(); }));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].method, "GET");
    EXPECT_EQ(client.status(), 200);
    EXPECT_NE(client.received.find("Content-Length: 2"), std::string::npos);
    EXPECT_EQ(client.body(), "");
}

TEST_F(HttpRequests, status_type_and_headers_of_the_reply_are_sent) {
    server = serve({}, {.handle = [](const HttpServerRequest&, Responder responder) {
                       responder.reply({.status = 202,
                                        .content_type = "text/plain",
                                        .body = "soon",
                                        .headers = {{"Location", "/v1/operations/7"}}});
                   }});
    EXPECT_EQ(status_of("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 202);
    EXPECT_NE(last_reply.find("Location: /v1/operations/7\r\n"), std::string::npos);
    EXPECT_NE(last_reply.find("Content-Type: text/plain\r\n"), std::string::npos);
    EXPECT_TRUE(last_reply.ends_with("soon"));
}

TEST_F(HttpRequests, a_reply_larger_than_the_socket_buffer_arrives_whole) {
    const std::string large(3u << 20, 'z');
    server =
        serve({}, {.handle = [&](const HttpServerRequest&, Responder responder) { responder.reply({.body = large}); }});
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.body(), large);
}

TEST_F(HttpRequests, an_unknown_method_gets_405_and_says_which_are_known) {
    keep_requests();
    EXPECT_EQ(status_of("BREW /v1 HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    EXPECT_NE(last_reply.find("Allow: GET, HEAD, POST, PUT, DELETE"), std::string::npos);
    EXPECT_NE(last_reply.find("application/problem+json"), std::string::npos);
    EXPECT_EQ(status_of("PATCH /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"), 405);
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, a_path_that_does_not_decode_gets_400) {
    keep_requests();
    EXPECT_EQ(status_of("GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET /v1/%00 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET /v1?a=%f HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET v1 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, an_idempotency_key_is_short_enough_to_be_kept) {
    keep_requests({.control = true});
    const auto with_key = [this](std::size_t length) {
        return status_of("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nIdempotency-Key: " +
                         std::string(length, 'k') + "\r\n\r\n");
    };
    EXPECT_EQ(with_key(255), 200);
    EXPECT_EQ(with_key(256), 400);
    EXPECT_EQ(seen.size(), 1u);
}

TEST_F(HttpRequests, an_oversized_request_line_gets_414_and_oversized_headers_431) {
    keep_requests();
    EXPECT_EQ(status_of("GET /" + std::string(64u << 10, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(64u << 10, 'a') + "\r\n\r\n"), 431);
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, nonsense_closes_the_connection) {
    keep_requests({.idle_timeout = std::chrono::seconds(1)});
    for (const char* nonsense : {"\x16\x03\x01\x02", "GET\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                 "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"}) {
        RawClient client(path);
        ASSERT_TRUE(send_all(client, nonsense));
        EXPECT_TRUE(until([&] { return client.has_closed(); })) << nonsense;
    }
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, a_body_over_the_limit_gets_413_before_it_is_read) {
    keep_requests();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 413);
    EXPECT_NE(client.received.find("application/problem+json"), std::string::npos);
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, a_body_of_exactly_the_limit_is_taken) {
    keep_requests();
    EXPECT_EQ(status_of("POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" +
                        std::string(kSmallBodyLimit, 'b')),
              200);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].body.size(), kSmallBodyLimit);
}

TEST_F(HttpRequests, a_chunked_body_over_the_limit_gets_413) {
    keep_requests();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "POST /v1/apply HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    const std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
    for (int i = 0; i < 17; ++i)
        std::ignore = send_all(client, chunk);  // the last ones may meet the end of it
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 413);
    EXPECT_TRUE(seen.empty());
}

TEST_F(HttpRequests, a_client_that_expects_continue_gets_it_and_then_the_reply) {
    keep_requests();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    ASSERT_TRUE(until([&] {
        client.read();
        return client.received == "HTTP/1.1 100 Continue\r\n\r\n";
    })) << client.received;
    client.received.clear();
    ASSERT_TRUE(send_all(client, "abc"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 200);
    EXPECT_EQ(seen.at(0).body, "abc");
}

TEST_F(HttpRequests, a_refusal_at_the_head_takes_the_place_of_continue) {
    bool is_handled = false;
    server =
        serve({}, {.handle = [&](const HttpServerRequest&, Responder) { is_handled = true; },
                   .admit =
                       [](const HttpServerRequest& request) {
                           EXPECT_EQ(request.body, "");
                           return HttpAdmission{.refusal = problem_reply(403, ErrorKind::denied, "use control.sock")};
                       }});
    for (const char* method : {"POST", "PUT", "DELETE"}) {
        RawClient client(path);
        ASSERT_TRUE(send_all(
            client,
            std::string(method) + " / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999\r\n\r\n"));
        ASSERT_TRUE(until([&] { return client.has_reply(); })) << method;
        EXPECT_EQ(client.status(), 403) << method;
        EXPECT_NE(client.received.find("use control.sock"), std::string::npos);
    }
    EXPECT_FALSE(is_handled);
}

TEST_F(HttpRequests, a_bodyless_request_can_be_refused_too_and_the_connection_is_kept) {
    server = serve({}, {.handle = echo, .admit = [](const HttpServerRequest& request) {
                            HttpAdmission admission;
                            if (request.method == "DELETE")
                                admission.refusal = problem_reply(403, ErrorKind::denied, "use control.sock");
                            return admission;
                        }});
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 403);
    client.received.clear();
    ASSERT_TRUE(send_all(client, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 200);
}

TEST_F(HttpRequests, a_dropped_responder_answers_500) {
    server = serve({}, {.handle = [](const HttpServerRequest&, Responder) {}});
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_NE(last_reply.find("application/problem+json"), std::string::npos);
    EXPECT_NE(last_reply.find("\"internal\""), std::string::npos);
}

TEST_F(HttpRequests, the_first_reply_counts) {
    server = serve({}, {.handle = [](const HttpServerRequest&, Responder responder) {
                       responder.reply({.body = "first"});
                       responder.reply({.status = 500, .body = "second"});
                   }});
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    EXPECT_TRUE(last_reply.ends_with("first"));
}

TEST_F(HttpRequests, a_handler_that_throws_does_not_take_the_server_with_it) {
    server = serve({}, {.handle = [](const HttpServerRequest& request, Responder responder) {
                       if (request.path == "/bad") throw std::runtime_error("bad");
                       responder.reply({.body = "good"});
                   }});
    EXPECT_EQ(status_of("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

}  // namespace
}  // namespace modelguard::daemon
