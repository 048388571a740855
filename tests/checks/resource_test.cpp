#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class ResourceKind : public WrittenCheck {};

TEST_F(ResourceKind, memory_of_this_machine) {
    const CheckOutcome enough = run_written("kind: resource, resource: memory_available, min: 1MiB");
    EXPECT_EQ(enough.verdict, VerdictKind::pass) << enough.text;
    EXPECT_GT(enough.measured.value_or(0), 1.0);
    EXPECT_EQ(enough.unit, "MiB");
    const CheckOutcome wanted = run_written("kind: resource, resource: memory_available, min: 999TiB");
    EXPECT_EQ(wanted.verdict, VerdictKind::fail);
    EXPECT_EQ(wanted.code, "too_low");
}

TEST_F(ResourceKind, disk_of_the_versions) {
    const CheckOutcome outcome = run_written("kind: resource, resource: disk_free, min: 1KiB");
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    const auto space = std::filesystem::space(version_dir_);
    EXPECT_NEAR(outcome.measured.value_or(0), static_cast<double>(space.available) / 0x1p20, 1024);
    context_->version_dir = version_dir_ / "gone";
    EXPECT_EQ(run_written("kind: resource, resource: disk_free, min: 1KiB").verdict, VerdictKind::inconclusive);
}

// A machine without the sensor or without pressure says that it could not be measured; never pass, never fail.
TEST_F(ResourceKind, what_this_machine_cannot_measure_is_inconclusive) {
    for (const char* resource : {"temperature", "cpu_pressure", "memory_pressure", "io_pressure"}) {
        const CheckOutcome outcome = run_written(std::string("kind: resource, max: '1000', resource: ") + resource);
        if (outcome.verdict == VerdictKind::inconclusive)
            EXPECT_EQ(outcome.code, "not_measured") << outcome.text;
        else
            EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    }
    EXPECT_EQ(run_written("kind: resource, resource: temperature, zone: no-such-zone, max: 80C").code, "not_measured");
}

TEST_F(ResourceKind, wrong_parameters_are_refused_with_what_was_expected) {
    EXPECT_NE(refusal("kind: resource, resource: memory, min: 1MiB").find("memory_available"), std::string::npos);
    EXPECT_NE(refusal("kind: resource, resource: memory_available").find("expected min or max"), std::string::npos);
    EXPECT_NE(refusal("kind: resource, resource: memory_available, min: '5'").find("as in 512MiB"), std::string::npos);
    EXPECT_NE(refusal("kind: resource, resource: disk_free, min: 1MiB, zone: x").find("zone"), std::string::npos);
}

}  // namespace
}  // namespace modelguard::checks::test
