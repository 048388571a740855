// Connections over time: late replies, slow and vanishing clients, limits, the end of the server.
#include <sys/resource.h>
#include <sys/wait.h>

#include "supervisor/daemon/http_server.hpp"
#include "tests/daemon/http_server/server_fixture.hpp"

namespace modelguard::daemon {
namespace {

using testing::echo;
using testing::RawClient;

constexpr const char* kGet = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";

class HttpConnections : public testing::ServerTest {
  protected:
    /// A server that keeps every Responder for later.
    void hold_replies(HttpServerOptions options = {}) {
        server = serve(std::move(options), {.handle = [this](const HttpServerRequest&, Responder responder) {
                           held.push_back(std::move(responder));
                       }});
        ASSERT_NE(server, nullptr);
    }
    std::vector<std::unique_ptr<RawClient>> clients(std::size_t count, const std::string& text) {
        std::vector<std::unique_ptr<RawClient>> made;
        for (std::size_t i = 0; i < count; ++i) {
            made.push_back(std::make_unique<RawClient>(path));
            EXPECT_TRUE(send_all(*made.back(), text));
        }
        return made;
    }

    std::vector<Responder> held;
};

TEST_F(HttpConnections, a_reply_may_come_later) {
    hold_replies();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    settle();
    EXPECT_FALSE(client.has_reply());
    EXPECT_FALSE(held[0].is_client_gone());

    held[0].reply({.body = "now"});

    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.body(), "now");
    EXPECT_FALSE(held[0].is_client_gone());
}

TEST_F(HttpConnections, late_replies_come_in_any_order_even_from_inside_another_handler) {
    server = serve({}, {.handle = [this](const HttpServerRequest& request, Responder responder) {
                       if (request.path == "/wait") {
                           held.push_back(std::move(responder));
                           return;
                       }
                       for (Responder& waiting : held)
                           waiting.reply({.body = "woken"});
                       responder.reply({.body = "waker"});
                   }});
    auto waiting = clients(3, kGet);
    ASSERT_TRUE(until([&] { return held.size() == 3; }));
    RawClient waker(path);
    ASSERT_TRUE(send_all(waker, "GET /wake HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(until([&] { return waker.has_reply(); }));
    for (auto& client : waiting) {
        ASSERT_TRUE(until([&] { return client->has_reply(); }));
        EXPECT_EQ(client->body(), "woken");
    }
}

TEST_F(HttpConnections, a_request_is_answered_at_once_while_idle_and_slow_clients_fill_the_server) {
    server = serve({.connection_limit = 4}, {.handle = echo});
    const auto idle = clients(40, "");
    settle();
    const auto slow = clients(20, "GET /slow HTTP/1.1\r\nHo");
    RawClient client(path);

    ASSERT_TRUE(send_all(client, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));

    EXPECT_TRUE(until([&] { return client.has_reply(); }, std::chrono::seconds(3))) << "the idle timeout is 10 s";
    EXPECT_EQ(client.status(), 200);
}

TEST_F(HttpConnections, a_request_with_a_slow_body_gives_way_too) {
    server = serve({.connection_limit = 4}, {.handle = echo});
    const auto slow = clients(20, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfirst");
    RawClient client(path);

    ASSERT_TRUE(send_all(client, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));

    EXPECT_TRUE(until([&] { return client.has_reply(); }, std::chrono::seconds(5)));
}

TEST_F(HttpConnections, those_who_wait_for_an_answer_keep_their_place_among_idle_clients) {
    hold_replies({.connection_limit = 4});
    auto waiting = clients(3, kGet);
    ASSERT_TRUE(until([&] { return held.size() == 3; }));
    const auto idle = clients(50, "");
    RawClient last(path);
    ASSERT_TRUE(send_all(last, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 4; }, std::chrono::seconds(3)));

    for (Responder& responder : held)
        responder.reply({.body = "kept"});

    for (auto& client : waiting)
        EXPECT_TRUE(until([&] { return client->has_reply() && client->body() == "kept"; }));
    EXPECT_TRUE(until([&] { return last.has_reply(); }));
}

TEST_F(HttpConnections, long_polls_on_the_control_socket_give_way_to_a_change) {
    server = serve({.control = true, .connection_limit = 4},
                   {.handle = [this](const HttpServerRequest& request, Responder responder) {
                       if (request.method == "GET") return held.push_back(std::move(responder));
                       responder.reply({.body = "changed"});
                   }});
    auto waiting = clients(4, kGet);
    ASSERT_TRUE(until([&] { return held.size() == 4; }));
    RawClient client(path);

    ASSERT_TRUE(send_all(client, "POST /change HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));

    EXPECT_TRUE(until([&] { return client.has_reply(); }, std::chrono::seconds(3)));
    EXPECT_EQ(client.body(), "changed");
    EXPECT_TRUE(until([&] { return waiting[0]->has_reply(); }));
    EXPECT_EQ(waiting[0]->status(), 503);
}

TEST_F(HttpConnections, a_client_that_leaves_a_long_poll_is_noticed) {
    hold_replies();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    int gone = 0;
    held[0].on_client_gone([&] {
        ++gone;
        held.clear();  // the callback may drop the Responder that holds it
    });

    client.close();

    ASSERT_TRUE(until([&] { return gone == 1; }));
    settle();
    EXPECT_EQ(gone, 1);
    EXPECT_TRUE(held.empty());
}

TEST_F(HttpConnections, a_reply_to_a_client_that_has_gone_goes_nowhere) {
    hold_replies();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    client.close();
    ASSERT_TRUE(until([&] { return held[0].is_client_gone(); }));
    held[0].reply({.body = "nobody"});
    settle();
    EXPECT_TRUE(held[0].is_client_gone());
}

TEST_F(HttpConnections, a_client_that_only_stops_sending_still_gets_its_late_reply) {
    hold_replies();
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    client.stop_sending();
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    settle();
    EXPECT_FALSE(held[0].is_client_gone());
    held[0].reply({.body = "now"});
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.body(), "now");
}

TEST_F(HttpConnections, slow_readers_do_not_starve_the_other_server) {
    hold_replies();  // api.sock, limit 64
    auto control = serve({.path = directory + "/control.sock", .mode = 0660, .control = true, .connection_limit = 16},
                         {.handle = echo});
    auto slow = clients(100, "GET /never-finished HTT");
    settle();

    RawClient client(directory + "/control.sock");
    ASSERT_TRUE(send_all(client, "POST /v1/rollback HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"));

    ASSERT_TRUE(until([&] { return client.has_reply(); }, std::chrono::seconds(1)));
    EXPECT_EQ(client.body(), "POST /v1/rollback {}");
    EXPECT_TRUE(held.empty());
}

TEST_F(HttpConnections, a_client_over_the_limit_is_served_as_soon_as_one_leaves) {
    hold_replies({.connection_limit = 2});
    auto waiting = clients(3, kGet);
    ASSERT_TRUE(until([&] { return held.size() == 2; }));
    settle();
    ASSERT_EQ(held.size(), 2u) << "the third waits in the backlog";

    waiting[0]->close();

    ASSERT_TRUE(until([&] { return held.size() == 3; }, std::chrono::seconds(2)));
}

TEST_F(HttpConnections, a_client_without_progress_is_closed_but_a_long_poll_is_not) {
    hold_replies({.idle_timeout = std::chrono::seconds(1)});
    RawClient slow(path);
    RawClient halfway(path);
    RawClient poll(path);
    ASSERT_TRUE(send_all(slow, "GET /nev"));
    ASSERT_TRUE(send_all(halfway, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234"));
    ASSERT_TRUE(send_all(poll, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));

    ASSERT_TRUE(until([&] { return slow.has_closed() && halfway.has_closed(); }, std::chrono::seconds(5)));

    EXPECT_FALSE(held[0].is_client_gone());
    held[0].reply({.body = "patience"});
    ASSERT_TRUE(until([&] { return poll.has_reply(); }));
    EXPECT_EQ(poll.body(), "patience");
}

TEST_F(HttpConnections, nothing_wakes_a_server_without_connections) {
    server = serve({.idle_timeout = std::chrono::seconds(1)}, {.handle = echo});
    {
        RawClient client(path);
        ASSERT_TRUE(send_all(client, kGet));
        ASSERT_TRUE(until([&] { return client.has_reply(); }));
    }
    settle();
    const auto dispatched = loop->run_once(std::chrono::milliseconds(1500));
    ASSERT_TRUE(dispatched);
    EXPECT_FALSE(*dispatched) << "no timer may be left once the last connection is closed";
}

TEST_F(HttpConnections, an_idle_kept_connection_and_a_long_poll_cost_no_turns) {
    hold_replies({.idle_timeout = std::chrono::seconds(60)});
    RawClient poll(path);
    ASSERT_TRUE(send_all(poll, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 1; }));
    RawClient kept(path);
    ASSERT_TRUE(send_all(kept, kGet));
    ASSERT_TRUE(until([&] { return held.size() == 2; }));
    held[1].reply({.body = "x"});
    ASSERT_TRUE(until([&] { return kept.has_reply(); }));
    settle();
    const auto dispatched = loop->run_once(std::chrono::milliseconds(300));
    ASSERT_TRUE(dispatched);
    EXPECT_FALSE(*dispatched);
}

TEST_F(HttpConnections, the_end_of_the_server_answers_whoever_waits_and_removes_the_socket) {
    hold_replies();
    auto waiting = clients(5, kGet);
    auto halfway = clients(1, "GET /nev");
    ASSERT_TRUE(until([&] { return held.size() == 5; }));

    server.reset();

    for (auto& client : waiting) {
        EXPECT_TRUE(client->has_reply());
        EXPECT_EQ(client->status(), 503);
        EXPECT_TRUE(client->has_closed());
    }
    EXPECT_TRUE(halfway[0]->has_closed());
    EXPECT_FALSE(std::filesystem::exists(path));
    for (Responder& responder : held)
        responder.reply({.body = "after the end"});  // and nothing happens
}

TEST_F(HttpConnections, the_end_right_after_a_resume_is_orderly_too) {
    hold_replies();
    auto waiting = clients(2, kGet);
    ASSERT_TRUE(until([&] { return held.size() == 2; }));
    held[0].reply({.body = "just in time"});
    server.reset();  // before the loop has turned
    EXPECT_TRUE(waiting[0]->has_reply());
    EXPECT_EQ(waiting[0]->body(), "just in time");
}

TEST_F(HttpConnections, a_socket_path_far_beyond_107_bytes_works) {
    const std::string deep = directory + "/" + std::string(100, 'd') + "/" + std::string(100, 'e');
    std::filesystem::create_directories(deep);
    server = serve({.path = deep + "/control.sock"}, {.handle = echo});
    ASSERT_NE(server, nullptr);
    const sys::Fd dir(::open(deep.c_str(), O_PATH | O_CLOEXEC));
    RawClient client("/proc/self/fd/" + std::to_string(dir.get()) + "/control.sock");
    ASSERT_TRUE(send_all(client, kGet));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    server.reset();
    EXPECT_FALSE(std::filesystem::exists(deep + "/control.sock"));
}

TEST_F(HttpConnections, an_adopted_socket_is_served_and_its_file_left) {
    server = serve({.listener = testing::listening_socket(path, 5)}, {.handle = echo});
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    server.reset();
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(HttpConnections, a_second_server_on_a_live_socket_is_a_conflict) {
    server = serve({}, {.handle = echo});
    auto second = HttpServer::create(*loop, {.path = path}, {.handle = echo});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    EXPECT_TRUE(until([&] { return client.has_reply(); }));
}

TEST_F(HttpConnections, a_killed_server_leaves_a_stale_socket_that_the_next_one_replaces) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto own_loop = sys::Loop::create();
        auto own_server = HttpServer::create(**own_loop, {.path = path}, {.handle = echo});
        ::kill(::getpid(), own_server ? SIGKILL : SIGTERM);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ASSERT_TRUE(std::filesystem::exists(path));

    server = serve({}, {.handle = echo});

    ASSERT_NE(server, nullptr);
    RawClient client(path);
    ASSERT_TRUE(send_all(client, kGet));
    EXPECT_TRUE(until([&] { return client.has_reply(); }));
}

}  // namespace
}  // namespace modelguard::daemon
