#include "supervisor/daemon/scrub.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

using namespace std::chrono_literals;

Digest digest(char letter) { return {"sha256:" + std::string(64, letter)}; }

struct ScrubOrder : ::testing::Test {
    core::State state;
    std::map<Digest, store::VersionInfo> versions;

    void known_good(const std::string& model, char letter, std::uint64_t turn) {
        state.models[model].known_good.push_back({digest(letter), {}, {}});
        versions[digest(letter)].hash_turn = turn;
    }
    std::string next() const {
        const auto target = next_to_scrub(state, [&](const std::string&, const Digest& version) {
            const auto found = versions.find(version);
            return found == versions.end() ? nullptr : &found->second;
        });
        return target ? target->model + "/" + target->version.text.back() : "";
    }
};

TEST_F(ScrubOrder, oldest_full_hash_of_all_models_is_next) {
    EXPECT_EQ(next(), "");
    known_good("m", 'a', 7);
    known_good("m", 'b', 3);
    known_good("n", 'c', 5);

    EXPECT_EQ(next(), "m/b");
    versions[digest('b')].hash_turn = 8;
    EXPECT_EQ(next(), "n/c");
}

TEST_F(ScrubOrder, version_without_a_row_has_no_turn) {
    known_good("m", 'a', 1);
    state.models["m"].known_good.push_back({digest('d'), {}, {}});

    EXPECT_EQ(next(), "m/a");
}

TEST(ScrubTime, each_version_has_its_turn_once_in_a_period) {
    EXPECT_EQ(scrub_interval(7 * 24h, 14), Usec(12h));
    EXPECT_EQ(scrub_interval(7 * 24h, 0), Usec(7 * 24h));
}

TEST(ScrubTime, first_one_leaves_a_boot_alone_and_comes_at_all) {
    EXPECT_EQ(first_scrub_wait(12h, 0), Usec(5min));
    EXPECT_EQ(first_scrub_wait(1s, 0), Usec(1s));
    EXPECT_LT(first_scrub_wait(12h, 1.0), Usec(12h) * 7);
}

TEST(ScrubTime, device_that_is_switched_off_every_day_comes_to_as_many_scrubs_for_its_uptime) {
    const Usec interval = 48h, a_day = 4h;
    constexpr int kDays = 60'000;
    int scrubs = 0;
    for (int day = 0; day < kDays; ++day)
        for (Usec at = first_scrub_wait(interval, (day + 0.5) / kDays); at < a_day; at += interval)
            ++scrubs;

    const double expected = kDays * (4.0 / 48.0);
    EXPECT_NEAR(scrubs, expected, expected / 10);
}

}  // namespace
}  // namespace modelguard::daemon
