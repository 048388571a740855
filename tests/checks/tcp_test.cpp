#include <arpa/inet.h>
#include <sys/socket.h>

#include "supervisor/sys/fd.hpp"
#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class Tcp : public WrittenCheck {
  protected:
    static std::string port_of(const std::string& url) {
        const std::string rest = url.substr(url.rfind(':') + 1);
        return rest.substr(0, rest.find('/'));
    }
};

TEST_F(Tcp, an_accepted_connection_passes) {
    const sys::test::TinyServer server(*loop_, [](const std::string&) { return sys::test::TinyServer::Answer{}; });
    for (const char* host : {"127.0.0.1", "localhost"}) {
        const CheckOutcome outcome =
            run_written(std::string("kind: tcp, address: '") + host + ":" + port_of(server.url()) + "'");
        EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
        EXPECT_EQ(outcome.probes, 1);
        EXPECT_EQ(outcome.unit, "s");
    }
    EXPECT_EQ(server.accepted(), 2);
}

TEST_F(Tcp, refused_until_the_time_is_out_fails_with_the_reason) {
    const sys::test::DeadPort dead;
    const CheckOutcome outcome =
        run_written("kind: tcp, timeout: 350ms, address: '127.0.0.1:" + port_of(dead.url()) + "'");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "timed_out");
    EXPECT_NE(outcome.text.find("within 350ms: Connection refused"), std::string::npos) << outcome.text;
    EXPECT_GE(outcome.probes, 2);
}

TEST_F(Tcp, a_server_that_comes_up_meanwhile_passes) {
    // Bound and not listening: connections are refused until it does.
    const sys::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const sys::Source later =
        loop_->add_timer(std::chrono::milliseconds(150), [&] { ASSERT_EQ(::listen(listener.get(), 1), 0); });

    const CheckOutcome outcome =
        run_written("kind: tcp, timeout: 10s, address: '127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "'");

    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_GE(outcome.probes, 2);
}

TEST_F(Tcp, only_this_device_is_asked_unless_it_allows_others) {
    EXPECT_NE(refusal("kind: tcp, address: '192.0.2.1:80'")
                  .find("checks[0].address: '192.0.2.1:80' is not on this device's loopback"),
              std::string::npos)
        << refusal("kind: tcp, address: '192.0.2.1:80'");
    EXPECT_NE(refusal("kind: tcp, address: '127.0.0.1'").find("expected host:port"), std::string::npos);
    EXPECT_NE(refusal("kind: tcp, address: '127.0.0.1:99999'").find("expected host:port"), std::string::npos);
    EXPECT_NE(refusal("kind: tcp").find("address"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
