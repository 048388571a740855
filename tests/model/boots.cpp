// Thousands of boots of one device, at random through the explorer's world: bad models, bad OSes, an updater that
// insists, boots that greenboot watches, crashes, fallbacks, power cuts. What is bad stays bad; flaky verdicts are
// rare. Every invariant is asked on every edge, and over the whole way: the budget of OS rollbacks, no loop of boots,
// no writes without end.
//   boots [--boots N] [--seed N]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/model/invariants.hpp"
#include "tests/model/print.hpp"

namespace modelguard::model {

using namespace core;

namespace {

constexpr int kVersions = 20;
constexpr double kFlaky = 0.01;  // of the verdicts
// Beside what somebody asked for: a boot that comes to rest writes no more than the ladder's rungs, twice over.
constexpr int kWritesOfABoot = 60, kWritesOfARequest = 40;

Bounds bounds_of_device() {
    Bounds bounds;
    bounds.name = "boots";
    bounds.models = {"m", "n"};
    for (int i = 0; i < kVersions; ++i)
        bounds.versions.push_back(VersionId{"V" + std::to_string(i)});
    bounds.manifests = {ManifestFacts{.rev = "r1"}};
    return bounds;
}

/// What is bad is so for ever: by its name.
bool is_bad(const std::string& name) {
    return std::hash<std::string>{}(name) % 3 == 0 && name != "V0" && name != "os1";
}

class Walk {
  public:
    Walk(int boots, unsigned seed) : wanted_(boots), random_(seed), bounds_(bounds_of_device()) {}

    int run(unsigned seed) {
        node_ = first_node(bounds_);
        happens({MoveKind::request, "",
                 Started{.boot_id = node_.world.boot_id, .boot_complete = false, .os = node_.world.os, .links = {}},
                 node_.world, "", false});
        for (const std::string& name : bounds_.models)
            happens(
                {MoveKind::request, name, ManifestApplied{name, bounds_.manifests.front()}, node_.world, "", false});
        while (node_.world.boots <= wanted_ && broken_ == 0)
            happens(next_move());
        return told(seed);
    }

  private:
    const ModelState& model(const std::string& name) const { return node_.state.models.at(name); }

    /// The truth of a judging, or now and then the contrary.
    bool is_true(const Verdict& verdict) {
        const ModelState& s = model(verdict.model);
        const bool of_candidate = verdict.where == Where::preflight && s.trial;
        const std::string serving = of_candidate ? s.trial->version.text : s.current.text;
        const bool bad = is_bad(serving) || is_bad(booted_identity(node_.world.os));
        const VerdictKind truth = bad ? VerdictKind::fail : VerdictKind::pass;
        return verdict.verdict == (flaky_ ? VerdictKind::inconclusive : truth);
    }

    double weight(const Move& move) {
        if (const auto* verdict = std::get_if<Verdict>(&move.event)) {
            if (!is_true(*verdict)) return 0;
            return move.kind == MoveKind::watch ? 1 : 20;
        }
        const bool os_is_blamed =
            std::ranges::any_of(node_.state.models, [](const auto& entry) { return is_standing_back(entry.second); });
        switch (move.kind) {
            case MoveKind::outcome: return move.cooperative ? 20 : 1;
            case MoveKind::watch: return 1;
            case MoveKind::timer:
                if (const Timer timer = std::get<TimerExpired>(move.event).timer; timer == Timer::os_window)
                    return 0.01;  // a day
                else
                    return timer == Timer::deadline ? 0.2 : 3;
            case MoveKind::request:
                return std::holds_alternative<VersionWanted>(move.event)       ? 0.02
                       : std::holds_alternative<UnrejectRequested>(move.event) ? 0.002
                                                                               : 0.0005;
            case MoveKind::os_news: return 5;
            case MoveKind::os_change: return 0.15;
            case MoveKind::scrub: return 0.002;
            case MoveKind::crash: return 0.1;
            case MoveKind::reboot:
                if (node_.world.os.boot_trial.empty() || !os_is_blamed) return move.cooperative ? 20 : 0.1;
                return std::get<Started>(move.event).os.fell_back ? 5 : 1;  // greenboot's
        }
        return 0;
    }

    Move next_move() {
        node_.world.budget = {.wants = 1,
                              .rollbacks = 0,
                              .admin = 1,
                              .updates = 1,
                              .reboots = 1,
                              .fallbacks = 1,
                              .corruptions = 0,
                              .scrubs = 1};
        bounds_.boot_trial = (node_.world.boots / 3) % 2 == 0 ? "" : "greenboot";
        // The updater has a new OS once the last one was tried, and goes on insisting on that one.
        const std::string newest = "os" + std::to_string(newest_os_);
        if (booted_identity(node_.world.os) == newest || os_was_rejected(newest)) ++newest_os_;
        bounds_.os_updates = {"os" + std::to_string(newest_os_ - 1), "os" + std::to_string(newest_os_)};
        flaky_ = chance(kFlaky);
        const std::vector<Move> all = moves(node_, bounds_);
        std::vector<double> weights;
        for (const Move& move : all)
            weights.push_back(weight(move));
        std::discrete_distribution<std::size_t> choose(weights.begin(), weights.end());
        return all[choose(random_)];
    }

    bool os_was_rejected(const std::string& identity) const {
        return std::ranges::find(node_.state.os.rejected, identity) != node_.state.os.rejected.end();
    }
    bool chance(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }

    void happens(const Move& move) {
        Node room;
        Step answer;
        const Node before = base_of(node_, move, room);
        Node next = perform(before, move, bounds_, answer);
        const Edge edge{before, move, answer, next, bounds_};
        for (const Invariant& invariant : invariants())
            if (const std::string why = invariant.broken(edge); !why.empty())
                broken(std::string(invariant.name) + ": " + why + "\n" + describe(move.event));
        count(move, answer, !(before.state == next.state));
        node_ = std::move(next);
    }

    void count(const Move& move, const Step& answer, bool wrote) {
        ++edges_;
        const auto* timer = std::get_if<TimerExpired>(&move.event);
        if (timer && timer->timer == Timer::os_window) in_window_ = 0;
        for (const Decision& decision : answer.decisions) {
            ++told_[std::string(to_word(decision.kind))];
            if (decision.kind != DecisionKind::os_rollback_ordered) continue;
            most_in_window_ = std::max(most_in_window_, ++in_window_);
            if (in_window_ > bounds_.policy.os_rollbacks_per_window) broken("more OS rollbacks than the budget has");
            const std::string& from = node_.world.os.booted;
            if (++rolled_back_from_[from] > 1) broken("a second OS rollback from " + from);
        }
        const bool is_asked = move.kind == MoveKind::request || move.kind == MoveKind::os_change ||
                              move.kind == MoveKind::crash || move.kind == MoveKind::scrub;
        requests_ += is_asked;
        writes_ += wrote;
        if (writes_ > kWritesOfABoot + kWritesOfARequest * requests_)
            broken(std::to_string(writes_) + " writes on one boot, after " + std::to_string(requests_) + " requests");
        if (move.kind == MoveKind::crash) ++told_["(crash)"];
        const bool reboots = move.kind == MoveKind::reboot || move.note == "reboots as core ordered";
        if (!reboots) return;
        writes_of_boots_.push_back(writes_);
        writes_ = requests_ = 0;
        in_a_row_ = move.note == "reboots as core ordered" ? in_a_row_ + 1 : 0;
        most_in_a_row_ = std::max(most_in_a_row_, in_a_row_);
        if (in_a_row_ > bounds_.policy.os_rollbacks_per_window) broken("core reboots the device in a loop");
    }

    void broken(const std::string& what) {
        ++broken_;
        std::printf("BROKEN on boot %d: %s\n", node_.world.boots, what.c_str());
    }

    int told(unsigned seed) {
        for (const auto& [what, times] : told_)
            std::printf("  %-22s %7d\n", what.c_str(), times);
        std::ranges::sort(writes_of_boots_);
        const int median = writes_of_boots_.empty() ? 0 : writes_of_boots_[writes_of_boots_.size() / 2];
        const int most = writes_of_boots_.empty() ? 0 : writes_of_boots_.back();
        std::printf(
            "%zu boots, %ld edges, seed %u: at most %d OS rollbacks in a window, %d reboots of core's in a row; "
            "writes of a boot: median %d, most %d; %zu invariants, %d broken\n",
            writes_of_boots_.size(), edges_, seed, most_in_window_, most_in_a_row_, median, most, invariants().size(),
            broken_);
        if (told_["os_rollback_ordered"] == 0 || told_["staged_dropped"] == 0) {
            std::printf("nothing was tried: no OS was rolled back, or none dropped\n");
            return 1;
        }
        return broken_ == 0 ? 0 : 1;
    }

    int wanted_;
    std::mt19937 random_;
    Bounds bounds_;
    Node node_;
    int newest_os_{2};
    bool flaky_{false};
    long edges_{0};
    int broken_{0}, in_window_{0}, most_in_window_{0}, in_a_row_{0}, most_in_a_row_{0}, writes_{0}, requests_{0};
    std::map<std::string, int> told_, rolled_back_from_;
    std::vector<int> writes_of_boots_;
};

}  // namespace
}  // namespace modelguard::model

int main(int argc, char** argv) {
    int boots = 10'000;
    unsigned seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string(argv[i]) == "--boots") boots = std::atoi(argv[i + 1]);
        if (std::string(argv[i]) == "--seed") seed = static_cast<unsigned>(std::atoi(argv[i + 1]));
    }
    return modelguard::model::Walk(boots, seed).run(seed);
}
