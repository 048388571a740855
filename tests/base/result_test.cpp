#include "supervisor/base/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace modelguard::test {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return fail(ErrorKind::conflict, "odd");
    return number / 2;
}
Result<void> must_be_small(int number) {
    if (number > 100) return fail(ErrorKind::denied, "too large");
    return {};
}
Result<std::string> describe(int number, int& steps) {
    MG_CHECK(must_be_small(number));
    ++steps;
    MG_TRY(const int once, half(number));
    ++steps;
    MG_TRY(const int twice, half(once));
    ++steps;
    return std::to_string(twice);
}

TEST(Result, try_unwraps_values_and_goes_on) {
    int steps = 0;
    EXPECT_EQ(describe(12, steps).value(), "3");
    EXPECT_EQ(steps, 3);
}

TEST(Result, try_and_check_return_the_error_at_once) {
    int steps = 0;
    EXPECT_EQ(describe(6, steps).error(), (Error{ErrorKind::conflict, "odd", 0}));
    EXPECT_EQ(steps, 2);
    steps = 0;
    EXPECT_EQ(describe(1000, steps).error().kind, ErrorKind::denied);
    EXPECT_EQ(steps, 0);
}

TEST(Result, try_moves_what_cannot_be_copied_and_assigns_to_what_is_there) {
    const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
    const auto use = [&]() -> Result<int> {
        MG_TRY(auto first, make());
        std::unique_ptr<int> second;
        MG_TRY(second, make());
        return *first + *second;
    };
    EXPECT_EQ(use().value(), 14);
}

TEST(Result, check_is_one_statement) {
    const auto use = [](bool check) -> Result<int> {
        if (check)
            MG_CHECK(must_be_small(1000));
        else
            return 1;
        return 2;
    };
    EXPECT_FALSE(use(true).has_value());
    EXPECT_EQ(use(false).value(), 1);
}

TEST(Result, context_goes_before_the_error_and_leaves_values_alone) {
    EXPECT_EQ(with_context(half(3), "import").error(), (Error{ErrorKind::conflict, "import: odd", 0}));
    EXPECT_EQ(with_context(with_context(half(3), "inner"), "outer").error().what, "outer: inner: odd");
    EXPECT_EQ(with_context(half(4), "import").value(), 2);
    EXPECT_EQ(with_context(must_be_small(101), "import").error().what, "import: too large");
}

TEST(Errors, errno_decides_what_the_caller_can_do) {
    struct Row {
        int number;
        ErrorKind kind;
    };
    for (const Row& row :
         {Row{ENOENT, ErrorKind::not_found}, Row{ENOTDIR, ErrorKind::not_found}, Row{EACCES, ErrorKind::denied},
          Row{EPERM, ErrorKind::denied}, Row{ETIMEDOUT, ErrorKind::timed_out}, Row{EEXIST, ErrorKind::conflict},
          Row{EAGAIN, ErrorKind::unavailable}, Row{ECONNREFUSED, ErrorKind::unavailable}, Row{EIO, ErrorKind::io},
          Row{ENOSPC, ErrorKind::io}, Row{EROFS, ErrorKind::io}}) {
        const Error error = errno_error("open state.db", row.number);
        EXPECT_EQ(error.kind, row.kind) << row.number;
        EXPECT_EQ(error.sys_errno, row.number);
    }
    EXPECT_EQ(errno_error("open state.db", ENOSPC).what, "open state.db: No space left on device");
}

TEST(Errors, every_kind_has_a_word_of_its_own) {
    EXPECT_EQ(to_string(ErrorKind::invalid_config), "invalid_config");
    EXPECT_EQ(to_string(ErrorKind::unavailable), "unavailable");
    EXPECT_EQ(to_string(ErrorKind::timed_out), "timed_out");
    EXPECT_EQ(to_string(ErrorKind::denied), "denied");
    EXPECT_EQ(to_string(ErrorKind::not_found), "not_found");
    EXPECT_EQ(to_string(ErrorKind::conflict), "conflict");
    EXPECT_EQ(to_string(ErrorKind::malformed_reply), "malformed_reply");
    EXPECT_EQ(to_string(ErrorKind::io), "io");
    EXPECT_EQ(to_string(ErrorKind::unsupported), "unsupported");
    EXPECT_EQ(to_string(ErrorKind::internal), "internal");
}

TEST(AssertDeathTest, says_what_and_where) {
    EXPECT_DEATH(MG_ASSERT(1 + 1 == 3), "result_test.cpp:[0-9]+: assertion failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace modelguard::test
