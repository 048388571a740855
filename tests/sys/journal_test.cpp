#include "supervisor/sys/journal.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace modelguard::sys::test {
namespace {

TEST(Journal, record_never_fails_with_or_without_a_journal) {
    EXPECT_EQ(has_journal(), ::access("/run/systemd/journal/socket", F_OK) == 0);
    // Odd ones too: empty, several lines, not text, a name that is none.
    EXPECT_NO_FATAL_FAILURE(send_journal({}));
    EXPECT_NO_FATAL_FAILURE(send_journal({{"MESSAGE", "test record\nof two lines"},
                                          {"MODELGUARD_MODEL", ""},
                                          {"lower case", std::string("\0\xff", 2)},
                                          {"MODELGUARD_REASON", std::string(300'000, 'x')}}));
}

}  // namespace
}  // namespace modelguard::sys::test
