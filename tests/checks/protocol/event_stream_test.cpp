#include "checks/protocol/event_stream.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace modelguard::checks {
namespace {

std::vector<std::string> payloads(std::string_view body) {
    EventStream events(body);
    std::vector<std::string> found;
    while (const auto event = events.next())
        found.emplace_back(event->payload);
    return found;
}

TEST(EventStream, payloads_come_in_order_and_everything_else_is_passed_over) {
    EXPECT_EQ(payloads(": hello\n\nevent: x\ndata: {\"a\":1}\n\ndata:[DONE]\r\n\r\nid: 7\n"),
              (std::vector<std::string>{"{\"a\":1}", "[DONE]"}));
    EXPECT_TRUE(payloads("").empty());
    EXPECT_TRUE(payloads("data:\ndata: \r\n\n").empty());
    EXPECT_TRUE(payloads("{\"choices\":[]}").empty());
}

TEST(EventStream, a_line_that_is_cut_off_is_no_event) {
    EXPECT_EQ(payloads("data: a\ndata: b"), std::vector<std::string>{"a"});
}

TEST(EventStream, an_event_came_with_the_bytes_that_end_it) {
    const std::string body = "data: a\n\ndata: b\n\n";
    const sys::HttpReply reply{.total = Usec{90}, .arrivals = {{3, Usec{10}}, {9, Usec{20}}, {body.size(), Usec{40}}}};
    EventStream events(body);
    EXPECT_EQ(arrival_of(reply, events.next()->end), Usec{20});
    EXPECT_EQ(arrival_of(reply, events.next()->end), Usec{40});
    EXPECT_EQ(arrival_of(reply, 1000), Usec{90});
    EXPECT_EQ(arrival_of({.total = Usec{90}}, 1), Usec{90});
}

}  // namespace
}  // namespace modelguard::checks
