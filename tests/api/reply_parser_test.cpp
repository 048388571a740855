#include "supervisor/api/reply_parser.hpp"

#include <gtest/gtest.h>

namespace modelguard::api {
namespace {

constexpr std::size_t kMaxBody = 1000;

struct Good {
    const char* name;
    std::string text;
    int status;
    std::string body;
    bool ends_with_connection{false};
};

const std::vector<Good>& good_replies() {
    static const std::vector<Good> replies{
        {"sized", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
        {"chunked",
         "HTTP/1.1 202 Accepted\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: "
         "1\r\n\r\n",
         202, "hello"},
        {"open", "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nhello", 404, "hello", true},
        {"empty", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, ""},
        {"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
        {"continued", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno", 409, "no"},
        {"bare line feeds", "HTTP/1.1 200\nContent-Length: 2\n\nok", 200, "ok"},
        {"twice the same length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length:2\r\n\r\nok", 200, "ok"},
    };
    return replies;
}

TEST(ReplyParser, reads_a_reply_however_it_is_cut) {
    for (const Good& good : good_replies()) {
        for (std::size_t cut = 0; cut <= good.text.size(); ++cut) {
            SCOPED_TRACE(std::string(good.name) + " cut at " + std::to_string(cut));
            ReplyParser parser(kMaxBody);
            ASSERT_TRUE(parser.feed(good.text.substr(0, cut)));
            ASSERT_TRUE(parser.feed(good.text.substr(cut)));
            if (good.ends_with_connection) {
                ASSERT_TRUE(parser.finish());
            }
            ASSERT_TRUE(parser.is_done());
            const Response response = parser.take();
            EXPECT_EQ(response.status, good.status);
            EXPECT_EQ(response.body, good.body);
        }
    }
}

TEST(ReplyParser, a_reply_that_is_cut_off_is_malformed_and_no_reply_is_unavailable) {
    for (const Good& good : good_replies()) {
        if (good.ends_with_connection) continue;
        for (std::size_t cut = 0; cut < good.text.size(); ++cut) {
            SCOPED_TRACE(std::string(good.name) + " cut at " + std::to_string(cut));
            ReplyParser parser(kMaxBody);
            const auto fed = parser.feed(good.text.substr(0, cut));
            ASSERT_TRUE(fed);
            ASSERT_FALSE(*fed);
            const auto end = parser.finish();
            ASSERT_FALSE(end);
            EXPECT_EQ(end.error().kind, cut == 0 ? ErrorKind::unavailable : ErrorKind::malformed_reply);
        }
    }
}

TEST(ReplyParser, nonsense_is_refused) {
    const std::vector<std::string> bad{
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000 x\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        std::string(100'000, 'x'),
        "HTTP/1.1 200 OK\r\n" + std::string(100'000, 'x'),
    };
    for (const std::string& text : bad) {
        ReplyParser parser(kMaxBody);
        const auto fed = parser.feed(text);
        ASSERT_FALSE(fed) << text.substr(0, 100);
        EXPECT_EQ(fed.error().kind, ErrorKind::malformed_reply);
    }
}

TEST(ReplyParser, a_body_above_the_limit_is_refused_whatever_announces_it) {
    const std::string large(kMaxBody + 1, 'x');
    for (const std::string& text : {
             "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + large,
             "HTTP/1.1 200 OK\r\n\r\n" + large,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + large,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + large,
         }) {
        ReplyParser parser(kMaxBody);
        EXPECT_FALSE(parser.feed(text)) << text.substr(0, 60);
    }
}

TEST(ReplyParser, what_follows_the_reply_is_ignored) {
    ReplyParser parser(kMaxBody);
    const auto fed = parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 no");
    ASSERT_TRUE(fed);
    EXPECT_TRUE(*fed);
    EXPECT_EQ(parser.take().body, "ok");
}

}  // namespace
}  // namespace modelguard::api
