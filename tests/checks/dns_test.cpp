#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class Dns : public WrittenCheck {};

TEST_F(Dns, a_name_that_resolves_passes) {
    const CheckOutcome outcome = run_written("kind: dns, lookup: localhost");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_TRUE(outcome.text.starts_with("localhost resolves to ")) << outcome.text;
}

TEST_F(Dns, another_address_than_expected_fails) {
    EXPECT_EQ(run_written("kind: dns, lookup: localhost, expect: ['192.0.2.7', '127.0.0.1', '::1']").verdict,
              VerdictKind::pass);
    const CheckOutcome outcome = run_written("kind: dns, lookup: localhost, expect: ['192.0.2.7']");
    EXPECT_EQ(outcome.code, "other_address");
    EXPECT_NE(outcome.text.find("expected 192.0.2.7"), std::string::npos) << outcome.text;
}

TEST_F(Dns, a_name_that_does_not_resolve_fails) {
    // Reserved for just that (RFC 6761); without any network the resolver may only say that it cannot tell now.
    const CheckOutcome outcome = run_written("kind: dns, lookup: modelguard.invalid, timeout: 20s");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail) << outcome.text;
    EXPECT_TRUE(outcome.code == "not_found" || outcome.code == "timed_out") << outcome.text;
}

TEST_F(Dns, what_is_no_host_name_is_refused) {
    for (const char* name : {"'a b'", "'-x'", "'a;b'"})
        EXPECT_NE(refusal(std::string("kind: dns, lookup: ") + name).find("expected a host name"), std::string::npos)
            << name;
}

}  // namespace
}  // namespace modelguard::checks::test
