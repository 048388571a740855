// Bodies as streams: back-pressure, clients that vanish, replies before the end.
#include "supervisor/daemon/http_server.hpp"
#include "tests/daemon/http_server/server_fixture.hpp"

namespace modelguard::daemon {
namespace {

using testing::echo;
using testing::RawClient;

/// What happened to one upload; outlives it.
struct Trace {
    std::string taken;
    int finished{0};
    int aborted{0};
    int destroyed{0};
    std::size_t allowance{~0uz};  ///< bytes write() still takes
    std::size_t fail_at{~0uz};    ///< reply early once that much is taken
    bool reply_at_finish{true};
    Responder responder;
};

class TracedUpload : public Upload {
  public:
    explicit TracedUpload(Trace& trace) : trace_(trace) {}
    ~TracedUpload() override { ++trace_.destroyed; }
    void start(Responder responder) override {
        trace_.responder = std::move(responder);
        if (trace_.fail_at == 0) trace_.responder.reply(problem_reply(507, ErrorKind::io, "no space"));
    }
    std::size_t write(std::string_view bytes) override {
        EXPECT_EQ(trace_.finished + trace_.aborted, 0);
        const std::size_t taken = std::min(bytes.size(), trace_.allowance);
        trace_.allowance -= taken;
        trace_.taken.append(bytes.substr(0, taken));
        if (trace_.taken.size() >= trace_.fail_at)
            trace_.responder.reply(problem_reply(422, ErrorKind::invalid_config, "bad bundle"));
        return taken;
    }
    void finish() override {
        ++trace_.finished;
        if (trace_.reply_at_finish)
            trace_.responder.reply({.status = 202, .body = std::to_string(trace_.taken.size())});
    }
    void aborted() override {
        ++trace_.aborted;
        EXPECT_TRUE(trace_.responder.is_client_gone());
    }

  private:
    Trace& trace_;
};

class HttpUploads : public testing::ServerTest {
  protected:
    void SetUp() override {
        ServerTest::SetUp();
        start_server(std::chrono::seconds(60));
    }
    void start_server(std::chrono::seconds idle_timeout) {
        server.reset();
        server =
            serve({.idle_timeout = idle_timeout}, {.handle = echo, .admit = [this](const HttpServerRequest& request) {
                                                       HttpAdmission admission;
                                                       if (request.path == "/deploy")
                                                           admission.upload = std::make_unique<TracedUpload>(trace);
                                                       return admission;
                                                   }});
        ASSERT_NE(server, nullptr);
    }
    void TearDown() override {
        ServerTest::TearDown();
        EXPECT_LE(trace.finished + trace.aborted, 1);
        EXPECT_EQ(trace.destroyed, 1);
    }
    static std::string head(std::size_t length) {
        return "POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
    }
    /// Bytes that differ everywhere, so that a lost or doubled part shows.
    static std::string numbered(std::size_t size) {
        std::string text;
        for (std::size_t i = 0; text.size() < size; ++i)
            text += std::to_string(i) + ",";
        text.resize(size);
        return text;
    }
    static std::string chunked(std::string_view bytes, std::size_t chunk) {
        std::string text;
        char size[32];
        for (std::size_t at = 0; at < bytes.size(); at += chunk) {
            const std::string_view part = bytes.substr(at, chunk);
            std::snprintf(size, sizeof size, "%zx\r\n", part.size());
            text.append(size).append(part).append("\r\n");
        }
        return text + "0\r\n\r\n";
    }
    /// Sends while the consumer is given `step` bytes of allowance whenever it has none.
    void send_to_slow_consumer(RawClient& client, std::string_view text, std::size_t step) {
        ASSERT_TRUE(until(
            [&] {
                const ssize_t sent = client.send(text);
                EXPECT_GE(sent, 0);
                if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
                if (trace.allowance == 0) {
                    trace.allowance = step;
                    trace.responder.resume_upload();
                }
                return client.has_reply();
            },
            std::chrono::seconds(30)));
    }

    Trace trace;
};

TEST_F(HttpUploads, a_large_body_is_streamed_whole) {
    const std::string bundle = numbered(8u << 20);
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(bundle.size())));
    ASSERT_TRUE(send_all(client, bundle));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 202);
    EXPECT_TRUE(trace.taken == bundle);
    EXPECT_EQ(trace.finished, 1);
}

TEST_F(HttpUploads, a_chunked_body_to_a_slow_consumer_arrives_whole) {
    const std::string bundle = numbered(1u << 20);
    trace.allowance = 0;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, "POST /deploy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    send_to_slow_consumer(client, chunked(bundle, 10007), 4099);
    EXPECT_EQ(client.status(), 202);
    EXPECT_TRUE(trace.taken == bundle);
}

TEST_F(HttpUploads, a_body_of_known_length_to_a_slow_consumer_arrives_whole) {
    const std::string bundle = numbered(1u << 20);
    trace.allowance = 1;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(bundle.size())));
    send_to_slow_consumer(client, bundle, 16411);
    EXPECT_TRUE(trace.taken == bundle);
}

TEST_F(HttpUploads, a_consumer_that_takes_nothing_stops_the_client) {
    trace.allowance = 0;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(64u << 20)));
    const std::string part(1u << 20, 'p');
    std::size_t accepted = 0;
    for (int i = 0; i < 64; ++i) {
        const ssize_t sent = client.send(part);
        ASSERT_GE(sent, 0);
        accepted += static_cast<std::size_t>(sent);
        settle();
    }
    EXPECT_LT(accepted, 2u << 20) << "the kernel's buffers and ours, no more";
    EXPECT_EQ(trace.taken.size(), 0u);
    client.close();
    ASSERT_TRUE(until([&] { return trace.aborted == 1; }));
}

TEST_F(HttpUploads, resume_inside_write_offers_the_rest_at_once) {
    // The consumer that makes room while it is asked: allowance comes from its own flush.
    struct Stubborn : Upload {
        explicit Stubborn(std::string& out) : taken(out) {}
        void start(Responder given) override { responder = std::move(given); }
        std::size_t write(std::string_view bytes) override {
            is_full = !is_full;
            if (is_full) {
                responder.resume_upload();
                return 0;
            }
            taken.append(bytes.substr(0, 7));
            return std::min<std::size_t>(7, bytes.size());
        }
        void finish() override { responder.reply({.body = "done"}); }
        void aborted() override { ADD_FAILURE(); }
        std::string& taken;
        bool is_full{false};
        Responder responder;
    };
    std::string taken;
    auto other =
        serve({.path = directory + "/b.sock"}, {.handle = echo, .admit = [&](const HttpServerRequest&) {
                                                    return HttpAdmission{.upload = std::make_unique<Stubborn>(taken)};
                                                }});
    const std::string bundle = numbered(100000);
    RawClient client(directory + "/b.sock");
    ASSERT_TRUE(send_all(client, head(bundle.size()) + bundle));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_TRUE(taken == bundle);
    trace.destroyed = 1;  // this test has an upload of its own
}

TEST_F(HttpUploads, an_upload_without_a_body_finishes_at_once) {
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(0)));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 202);
    EXPECT_EQ(client.body(), "0");
}

TEST_F(HttpUploads, continue_is_sent_before_the_stream) {
    RawClient client(path);
    ASSERT_TRUE(
        send_all(client, "POST /deploy HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    ASSERT_TRUE(until([&] {
        client.read();
        return client.received == "HTTP/1.1 100 Continue\r\n\r\n";
    }));
    client.received.clear();
    ASSERT_TRUE(send_all(client, "abcd"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(trace.taken, "abcd");
}

TEST_F(HttpUploads, a_client_that_vanishes_aborts_exactly_once) {
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1000000) + numbered(300000)));
    ASSERT_TRUE(until([&] { return trace.taken.size() == 300000; }));
    client.close();
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(trace.aborted, 1);
    EXPECT_EQ(trace.finished, 0);
    trace.responder.reply({.body = "too late"});  // goes nowhere
}

TEST_F(HttpUploads, a_client_that_ends_its_body_too_early_aborts) {
    start_server(std::chrono::seconds(1));  // the library may notice the half-close only by then
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1000) + "only this"));
    client.stop_sending();
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(trace.aborted, 1);
    EXPECT_EQ(trace.finished, 0);
}

TEST_F(HttpUploads, a_broken_chunk_aborts) {
    RawClient client(path);
    ASSERT_TRUE(
        send_all(client, "POST /deploy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"));
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(trace.aborted, 1);
    EXPECT_EQ(trace.finished, 0);
}

TEST_F(HttpUploads, a_client_that_vanishes_while_held_back_aborts_exactly_once) {
    trace.allowance = 100;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1000000) + numbered(5000)));
    ASSERT_TRUE(until([&] { return trace.allowance == 0; }));
    settle();
    client.close();
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(trace.aborted, 1);
    EXPECT_EQ(trace.taken.size(), 100u);
}

TEST_F(HttpUploads, a_client_that_vanishes_after_the_body_is_told_to_the_responder) {
    trace.reply_at_finish = false;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(3) + "abc"));
    ASSERT_TRUE(until([&] { return trace.finished == 1; }));
    int gone = 0;
    trace.responder.on_client_gone([&] { ++gone; });
    client.close();
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(gone, 1);
    EXPECT_EQ(trace.aborted, 0) << "the body was complete";
}

TEST_F(HttpUploads, an_early_reply_reaches_a_client_that_goes_on_sending) {
    trace.fail_at = 100000;
    RawClient client(path);
    const std::string bundle = numbered(900000);

    ASSERT_TRUE(send_all(client, head(bundle.size()) + bundle)) << "the rest, under the limit, is read";

    ASSERT_TRUE(until([&] { return client.has_closed(); }));
    EXPECT_EQ(client.status(), 422);
    EXPECT_NE(client.received.find("bad bundle"), std::string::npos);
    EXPECT_NE(client.received.find("Connection: close"), std::string::npos);
    EXPECT_LT(trace.taken.size(), 200000u);
    EXPECT_EQ(trace.finished + trace.aborted, 0);
}

TEST_F(HttpUploads, an_early_reply_is_there_at_once_for_a_client_that_reads) {
    trace.fail_at = 10;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1u << 30) + "0123456789"));
    ASSERT_TRUE(until([&] { return client.has_closed(); }, std::chrono::seconds(1)));
    EXPECT_EQ(client.status(), 422);
    client.close();
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
}

TEST_F(HttpUploads, after_an_early_reply_an_endless_sender_is_cut_off_and_can_still_read_it) {
    trace.fail_at = 10;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1u << 30)));
    const std::string part(1u << 16, 'p');
    std::size_t sent = 0;
    while (send_all(client, part)) {
        sent += part.size();
        ASSERT_LT(sent, 4u << 20) << "1 MiB is dropped, then the connection is closed";
    }
    EXPECT_GT(sent, 1u << 20);
    ASSERT_TRUE(until([&] { return client.has_closed(); }));
    EXPECT_EQ(client.status(), 422);
}

TEST_F(HttpUploads, after_an_early_reply_a_silent_client_is_closed_in_two_seconds) {
    trace.fail_at = 10;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(1u << 30) + "0123456789"));
    ASSERT_TRUE(until([&] { return client.has_closed(); }));
    EXPECT_TRUE(until([&] { return trace.destroyed == 1; }, std::chrono::seconds(5)));
}

TEST_F(HttpUploads, a_reply_from_start_is_sent_before_the_body_and_nothing_is_written) {
    trace.fail_at = 0;
    for (const char* expect : {"", "Expect: 100-continue\r\n"}) {
        trace.destroyed = 0;
        RawClient client(path);
        ASSERT_TRUE(send_all(
            client, "POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n" + std::string(expect) + "\r\n"));
        ASSERT_TRUE(until([&] { return client.has_closed(); })) << expect;
        EXPECT_EQ(client.status(), 507) << client.received;
        client.close();
        ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    }
    EXPECT_EQ(trace.taken, "");
    EXPECT_EQ(trace.finished + trace.aborted, 0);
}

TEST_F(HttpUploads, an_early_reply_from_outside_while_held_back_reaches_the_client) {
    trace.allowance = 0;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(500000) + numbered(1000)));
    settle();
    trace.responder.reply(problem_reply(507, ErrorKind::io, "no space"));
    ASSERT_TRUE(until([&] { return client.has_reply(); }));
    EXPECT_EQ(client.status(), 507);
    ASSERT_TRUE(send_all(client, numbered(499000))) << "what it still sends is read";
    ASSERT_TRUE(until([&] { return trace.destroyed == 1; }));
    EXPECT_EQ(trace.finished + trace.aborted, 0);
}

TEST_F(HttpUploads, the_end_of_the_server_aborts_uploads_moving_or_held_back) {
    trace.allowance = 10;
    RawClient client(path);
    ASSERT_TRUE(send_all(client, head(500000) + numbered(1000)));
    ASSERT_TRUE(until([&] { return trace.allowance == 0; }));
    settle();
    server.reset();
    EXPECT_EQ(trace.aborted, 1);
    EXPECT_EQ(trace.destroyed, 1);
    EXPECT_TRUE(client.has_closed());
}

}  // namespace
}  // namespace modelguard::daemon
