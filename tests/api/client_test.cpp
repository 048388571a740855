#include "supervisor/api/client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "supervisor/base/text.hpp"
#include "tests/api/scripted_server.hpp"

namespace modelguard::api {
namespace {

using namespace std::chrono_literals;
using test::Asked;
using test::Reply;
using test::ScriptedServer;
using test::TempDir;

class ClientTest : public testing::Test {
  protected:
    TempDir dir;
    const std::string socket = dir / "api.sock";

    static Request get(std::string target) {
        Request request;
        request.target = std::move(target);
        return request;
    }
    /// A POST whose body is a file of `bytes` bytes.
    Request post_file(std::size_t bytes) {
        test::write_text(dir / "body", std::string(bytes, 'b'));
        Request request;
        request.method = "POST";
        request.target = "/v1/models/digits/deploy";
        request.content_type = "application/x-tar";
        request.body_fd = ::open((dir / "body").c_str(), O_RDONLY | O_CLOEXEC);
        bodies.push_back(request.body_fd);
        return request;
    }
    void TearDown() override {
        for (const int fd : bodies)
            ::close(fd);
    }
    std::vector<int> bodies;
};

TEST_F(ClientTest, get_is_answered) {
    ScriptedServer server(socket,
                          [](const Asked& asked) { return Reply{200, asked.path + " " + asked.query.at("model")}; });
    const auto response = send_request(socket, get("/v1/status?model=" + percent_encoded("a b/ü")));
    ASSERT_TRUE(response) << response.error().what;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "/v1/status a b/ü");
    EXPECT_EQ(response->content_type, "application/json");
    EXPECT_TRUE(response->request_sent);
}

TEST_F(ClientTest, post_sends_body_and_headers) {
    ScriptedServer server(socket, [](const Asked&) { return Reply{202, "{}"}; });
    Request request = get("/v1/models/digits/rollback");
    request.method = "POST";
    request.body = "{\"a\":1}";
    request.content_type = "application/json";
    request.headers = {{"Idempotency-Key", "k1"}};
    ASSERT_TRUE(send_request(socket, request));

    const Asked asked = server.asked().at(0);
    EXPECT_EQ(asked.method, "POST");
    EXPECT_EQ(asked.body, request.body);
    EXPECT_EQ(asked.headers.at("idempotency-key"), "k1");
    EXPECT_EQ(asked.headers.at("content-type"), "application/json");
}

TEST_F(ClientTest, a_post_without_body_says_so) {
    ScriptedServer server(socket, [](const Asked&) { return Reply{}; });
    Request request = get("/v1/models/digits/check");
    request.method = "POST";
    ASSERT_TRUE(send_request(socket, request));
    EXPECT_EQ(server.asked().at(0).headers.at("content-length"), "0");
}

TEST_F(ClientTest, a_large_body_is_streamed_and_counted) {
    ScriptedServer server(socket, [](const Asked& asked) { return Reply{202, std::to_string(asked.body.size())}; });
    Request request = post_file(5'000'000);
    std::uint64_t sent = 0;
    bool ended = false;
    request.on_sent = [&](std::uint64_t bytes) {
        EXPECT_GE(bytes, sent);
        sent = bytes;
    };
    request.body_complete = [&]() -> Result<void> {
        ended = true;
        return {};
    };
    const auto response = send_request(socket, request);
    ASSERT_TRUE(response) << response.error().what;
    EXPECT_EQ(response->body, "5000000");
    EXPECT_EQ(sent, 5'000'000u);
    EXPECT_TRUE(ended);
    EXPECT_TRUE(server.asked().at(0).complete);
}

TEST_F(ClientTest, an_empty_body_is_still_a_whole_request) {
    ScriptedServer server(socket, [](const Asked&) { return Reply{400, ""}; });
    ASSERT_TRUE(send_request(socket, post_file(0)));
    EXPECT_TRUE(server.asked().at(0).complete);
    EXPECT_EQ(server.asked().at(0).body, "");
}

TEST_F(ClientTest, a_body_that_turns_out_bad_never_looks_whole) {
    ScriptedServer server(socket, [](const Asked&) { return Reply{202, "{}"}; });
    Request request = post_file(300'000);
    request.body_complete = []() -> Result<void> { return fail(ErrorKind::io, "a file changed"); };
    const auto response = send_request(socket, request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().what, "a file changed");

    // the next exchange begins only when the server has let go of the first
    ASSERT_TRUE(send_request(socket, get("/v1/status")));
    EXPECT_FALSE(server.asked().at(0).complete);
}

TEST_F(ClientTest, an_answer_in_the_middle_of_the_body_is_heard_and_the_rest_not_sent) {
    const Reply no{409, R"({"schema":"modelguard.problem/1","kind":"conflict","title":"busy"})",
                   "application/problem+json"};
    for (const bool closes : {true, false}) {
        SCOPED_TRACE(closes ? "and closes" : "and goes on listening, without reading");
        ScriptedServer server(socket, [&](int fd) {
            char some[1000];
            ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
            test::send_text(fd, reply_text(no));
            if (!closes) ::shutdown(fd, SHUT_WR);
        });
        std::uint64_t sent = 0;
        Request request = post_file(50'000'000);
        request.on_sent = [&](std::uint64_t bytes) { sent = bytes; };
        const auto response = send_request(socket, request);
        ASSERT_TRUE(response) << response.error().what;
        EXPECT_EQ(response->status, 409);
        EXPECT_FALSE(response->request_sent);
        EXPECT_LT(sent, 50'000'000u);
        EXPECT_EQ(problem_of(*response).title, "busy");
        EXPECT_EQ(kind_of(problem_of(*response)), ErrorKind::conflict);
    }
}

TEST_F(ClientTest, a_server_that_hangs_up_in_the_middle_of_the_body_is_unavailable) {
    ScriptedServer server(socket, [](int fd) {
        char some[1000];
        ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
    });
    const auto response = send_request(socket, post_file(50'000'000));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, ErrorKind::unavailable) << response.error().what;
}

TEST_F(ClientTest, silence_ends_in_timed_out) {
    ScriptedServer server(socket, [](int fd) { test::wait_for_close(fd); });
    Request request = get("/v1/status");
    request.silence = 50ms;
    const auto response = send_request(socket, request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, ErrorKind::timed_out);
}

TEST_F(ClientTest, a_server_that_reads_nothing_is_silent_too) {
    ScriptedServer server(socket, [](int fd) {
        // waits for the peer to go without reading: only HUP matters
        pollfd poll_fd{fd, 0, 0};
        ::poll(&poll_fd, 1, -1);
    });
    Request request = post_file(5'000'000);
    request.silence = 50ms;
    const auto response = send_request(socket, request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, ErrorKind::timed_out);
}

TEST_F(ClientTest, the_deadline_holds_although_bytes_trickle) {
    ScriptedServer server(socket, [](int fd) {
        test::send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        for (char byte = 0; ::send(fd, &byte, 1, MSG_NOSIGNAL) == 1;) {
            pollfd poll_fd{fd, 0, 0};
            if (::poll(&poll_fd, 1, 5) != 0) return;
        }
    });
    Request request = get("/v1/status");
    request.silence = 10s;
    request.deadline = 100ms;
    request.max_body = 200'000'000;
    const auto response = send_request(socket, request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, ErrorKind::timed_out);
}

TEST_F(ClientTest, the_cancel_descriptor_stops_it) {
    ScriptedServer server(socket, [](int fd) { test::wait_for_close(fd); });
    const int cancel = ::eventfd(1, EFD_CLOEXEC);
    Request request = get("/v1/status");
    request.cancel_fd = cancel;
    const auto response = send_request(socket, request);
    ::close(cancel);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().sys_errno, EINTR);
}

TEST_F(ClientTest, nobody_there_is_unavailable) {
    EXPECT_EQ(send_request(dir / "none.sock", get("/")).error().kind, ErrorKind::unavailable);
    EXPECT_EQ(send_request(dir / "no/such/dir/none.sock", get("/")).error().kind, ErrorKind::unavailable);
    {
        ScriptedServer gone(socket, [](const Asked&) { return Reply{}; });
    }
    ASSERT_TRUE(std::filesystem::exists(socket));
    EXPECT_EQ(send_request(socket, get("/")).error().kind, ErrorKind::unavailable);
}

TEST_F(ClientTest, a_socket_without_permission_is_denied) {
    ScriptedServer server(socket, [](const Asked&) { return Reply{}; });
    ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
    ASSERT_EQ(::chmod(socket.c_str(), 0600), 0);
    const bool is_root = ::geteuid() == 0;  // root may do anything, so become somebody for a moment
    ASSERT_EQ(is_root ? ::seteuid(65534) : ::chmod(socket.c_str(), 0), 0);
    const auto response = send_request(socket, get("/"));
    ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, ErrorKind::denied) << response.error().what;
}

TEST_F(ClientTest, a_long_path_is_reached) {
    std::string deep = dir.path();
    while (deep.size() < 600)
        deep += "/a-directory-with-a-long-name";
    std::filesystem::create_directories(deep);
    ScriptedServer server(deep + "/api.sock", [](const Asked&) { return Reply{200, "far"}; });
    const auto response = send_request(deep + "/api.sock", get("/"));
    ASSERT_TRUE(response) << response.error().what;
    EXPECT_EQ(response->body, "far");
    EXPECT_EQ(send_request(deep + "/none.sock", get("/")).error().kind, ErrorKind::unavailable);
    EXPECT_EQ(send_request(deep + "/none/none.sock", get("/")).error().kind, ErrorKind::unavailable);
}

TEST_F(ClientTest, an_answer_in_small_pieces_is_read_whole) {
    ScriptedServer server(socket, [](int fd) {
        test::read_request(fd);
        for (const char byte :
             std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
            test::send_text(fd, {&byte, 1});
    });
    const auto response = send_request(socket, get("/"));
    ASSERT_TRUE(response) << response.error().what;
    EXPECT_EQ(response->body, "hello");
}

TEST_F(ClientTest, a_server_that_closes_at_once_is_unavailable_and_one_that_stops_halfway_malformed) {
    {
        ScriptedServer server(socket, [](int fd) { test::read_request(fd); });
        EXPECT_EQ(send_request(socket, get("/")).error().kind, ErrorKind::unavailable);
    }
    ScriptedServer server(socket, [](int fd) {
        test::read_request(fd);
        test::send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    EXPECT_EQ(send_request(socket, get("/")).error().kind, ErrorKind::malformed_reply);
}

TEST(Problems, one_is_made_up_where_the_body_has_none) {
    EXPECT_EQ(problem_of(Response{404, "text/plain", "nope"}).kind, "not_found");
    EXPECT_EQ(problem_of(Response{403, "", ""}).kind, "denied");
    EXPECT_EQ(problem_of(Response{409, "", ""}).kind, "conflict");
    EXPECT_EQ(problem_of(Response{413, "", ""}).kind, "invalid_config");
    EXPECT_EQ(problem_of(Response{500, "", ""}).kind, "internal");
    EXPECT_EQ(kind_of(Problem{500, "a_newer_word", "", "", "", 0}), ErrorKind::internal);
}

TEST(EncodeComponent, leaves_only_unreserved_characters) {
    EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
    EXPECT_EQ(percent_encoded("a/b?c&d=e %\r\n\xc3\xbc"), "a%2Fb%3Fc%26d%3De%20%25%0D%0A%C3%BC");
}

}  // namespace
}  // namespace modelguard::api
