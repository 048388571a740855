#include "rollback/outcome.hpp"

#include <gtest/gtest.h>

#include "tests/rollback/fixture.hpp"

namespace modelguard::rollback {
namespace {

using test::RollbackTest;

TEST_F(RollbackTest, delivery_counts_the_first_outcome_only) {
    std::vector<std::string> delivered;
    Delivery delivery(*loop, [&](const Outcome& outcome) { delivered.push_back(outcome.why); });

    delivery.deliver(failed_outcome("first"));
    delivery.deliver(failed_outcome("second"));
    EXPECT_TRUE(delivered.empty()) << "delivered from within deliver()";
    sys::test::run_pending(*loop);

    EXPECT_EQ(delivered, std::vector<std::string>{"first"});
}

TEST_F(RollbackTest, dropped_delivery_delivers_nothing) {
    bool called = false;
    {
        Delivery delivery(*loop, [&](const Outcome&) { called = true; });
        delivery.deliver(done_outcome());
    }

    sys::test::run_pending(*loop);

    EXPECT_FALSE(called);
}

}  // namespace
}  // namespace modelguard::rollback
