#include "supervisor/sys/journal.hpp"

#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

namespace {
std::vector<std::string> sent;
int answer = 0;
}  // namespace

// The program's own definition comes before the library's: the socket's path is fixed, and most test machines run no
// journal.
extern "C" int sd_journal_sendv(const iovec* parts, int count) {
    for (int i = 0; i < count; ++i)
        sent.emplace_back(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    return answer;
}

namespace modelguard::sys::test {
namespace {

TEST(Journal, record_has_exactly_the_fields_given_with_their_bytes_unchanged) {
    sent.clear();
    send_journal({{"MESSAGE", "two\nlines"}, {"MODELGUARD_MODEL", ""}, {"MODELGUARD_REASON", std::string("a\0=b", 4)}});
    EXPECT_EQ(sent, (std::vector<std::string>{"MESSAGE=two\nlines",
                                              "MODELGUARD_MODEL=", "MODELGUARD_REASON=" + std::string("a\0=b", 4)}));
}

TEST(Journal, lost_record_is_not_an_error) {
    sent.clear();
    answer = -ENOBUFS;
    send_journal({{"MESSAGE", "lost"}});
    answer = 0;
    EXPECT_EQ(sent.size(), 1U);
}

TEST(Journal, presence_is_that_of_the_socket) {
    EXPECT_EQ(has_journal(), ::access("/run/systemd/journal/socket", F_OK) == 0);
}

}  // namespace
}  // namespace modelguard::sys::test
