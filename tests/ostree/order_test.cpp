// All orders of one to four deployments, each one booted, with and without a staged and an OS pinned one, each target,
// asked one to three times: through the real helper, the real libostree and its real files. The order wanted or a
// refusal with its reason; never another tree, nothing dropped. Every k-th case; all with MODELGUARD_ALL=1.

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/ostree/world.hpp"

namespace {

using namespace modelguard;
using namespace modelguard::ostree_test;

constexpr std::size_t kMost = 4;
// A prime, so that the sample meets each value of each dimension.
constexpr long kSampleStep = 29;

/// Shared with the processes that are booted.
struct Counts {
    long cases, run, calls, ordered, refused, dropped, violations;
};

struct Case {
    std::size_t count;
    std::vector<std::string> order;  // ids
    std::string booted;
    std::string pinned;  // empty: none
    std::string target;  // "staged": the staged one
    std::string verb;
    bool with_staged;
};

std::string show(const std::vector<Entry>& list) {
    std::string text;
    for (const Entry& each : list)
        text += " " + each.id.substr(0, 12) + (each.booted ? "*" : "") + (each.staged ? "(staged)" : "") +
                (each.pinned ? "(pinned)" : "");
    return text;
}

class Inside {
  public:
    Inside(Counts& counts, long step) : counts_(counts), step_(step) {}

    void consider(const Case& each) {
        if (++counts_.cases % step_ != 0) return;
        counts_.run += 1;
        prepare(each);
        const std::string target = each.target == "staged" ? staged_ : each.target;
        for (int call = 1; call <= 3; ++call)
            ask(each, target);
        if (each.with_staged && each.pinned.empty()) drop(each, target);
    }

  private:
    void violation(const Case& each, const std::string& what) {
        counts_.violations += 1;
        if (counts_.violations > 20) return;
        std::printf("VIOLATION %s %s of%s: %s; told: %s\n", each.verb.c_str(), each.target.substr(0, 12).c_str(),
                    show(before_).c_str(), what.c_str(), told_error().c_str());
    }

    void prepare(const Case& each) {
        if (pinned_ != each.pinned) {
            if (!pinned_.empty()) set_pinned(pinned_, false);
            if (!each.pinned.empty()) set_pinned(each.pinned, true);
            pinned_ = each.pinned;
        }
        std::vector<std::string> now;
        bool has_staged = false;
        for (const Entry& entry : entries())
            if (entry.staged)
                has_staged = true;
            else
                now.push_back(entry.id);
        if (now != each.order || (has_staged && !each.with_staged)) {
            set_order(each.order);
            has_staged = false;
        }
        if (each.with_staged && !has_staged) staged_ = stage();
    }

    /// Why it is to be refused; empty: it is to be done.
    static std::string refusal(const Case& each, const std::string& target, bool has_staged) {
        const bool known = std::ranges::find(each.order, target) != each.order.end();
        if (!known && !(each.target == "staged" && has_staged)) return "no such deployment";
        if (each.verb == "confirm_os_default" && target != each.booted) return "it is not booted";
        if (!known) return "it is only staged";
        return has_staged ? "is staged and would win" : "";
    }

    void ask(const Case& each, const std::string& target) {
        before_ = entries();
        const std::int64_t written = last_write_nsec();
        const bool has_staged = !before_.empty() && before_.front().staged;
        const std::string reason = refusal(each, target, has_staged);
        const int status = run({"modelguard-os", "--mounts-are-private", each.verb + ":" + target});
        counts_.calls += 1;
        const std::vector<Entry> after = entries();
        std::vector<Entry> wanted = before_;
        if (reason.empty()) {
            const auto at = std::ranges::find(wanted, target, &Entry::id);
            std::rotate(wanted.begin(), at, at + 1);
            counts_.ordered += 1;
            if (status != 0) violation(each, "exit " + std::to_string(status));
            if (!told_error().empty()) violation(each, "an error is told of what was done");
        } else {
            counts_.refused += 1;
            const int expected = reason == "no such deployment" ? 3 : 1;
            if (status != expected) violation(each, "exit " + std::to_string(status) + ", expected a refusal");
            if (told_error().find(reason) == std::string::npos) violation(each, "expected the reason '" + reason + "'");
        }
        if (after != wanted) violation(each, "now" + show(after) + ", expected" + show(wanted));
        if (wanted == before_ && last_write_nsec() != written) violation(each, "written although nothing was to do");
    }

    void drop(const Case& each, const std::string& target) {
        before_ = entries();
        Case dropping = each;
        dropping.verb = "drop_staged";
        if (run({"modelguard-os", "--mounts-are-private", "drop_staged:" + each.booted}) != 1 ||
            told_error().find("another one is staged now") == std::string::npos || entries() != before_)
            violation(dropping, "another one than the staged one was to be dropped");
        std::vector<Entry> wanted(before_.begin() + 1, before_.end());
        for (int call = 1; call <= 2; ++call) {
            if (run({"modelguard-os", "--mounts-are-private", "drop_staged:" + staged_}) != 0)
                violation(dropping, "not dropped");
            if (entries() != wanted) violation(dropping, "now" + show(entries()) + ", expected" + show(wanted));
        }
        counts_.calls += 3;
        counts_.dropped += 1;
        ask(each, target);
    }

    Counts& counts_;
    long step_;
    std::string pinned_, staged_;
    std::vector<Entry> before_;
};

int all_cases_of(const World& world, std::size_t count, const std::string& booted, Inside& inside) {
    std::vector<std::string> ids;
    for (std::size_t number = 1; number <= count; ++number)
        ids.push_back(world.id("v" + std::to_string(number)));
    std::vector<std::string> pins = ids;
    pins.emplace_back();
    std::vector<std::string> targets = ids;
    targets.emplace_back("testos-0000000000000000000000000000000000000000000000000000000000000000.0");
    targets.emplace_back("staged");
    for (const std::string& pinned : pins) {
        std::vector<std::string> order = ids;
        std::ranges::sort(order);
        do {
            for (const bool with_staged : {false, true})
                for (const char* verb : {"order_os", "confirm_os_default"})
                    for (const std::string& target : targets)
                        if (with_staged || target != "staged")
                            inside.consider({count, order, world.id(booted), pinned, target, verb, with_staged});
        } while (std::ranges::next_permutation(order).found);
    }
    return 0;
}

int test(const char* helper) {
    World world(kMost);
    world.bring(helper);
    auto* counts = static_cast<Counts*>(
        ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const char* all = std::getenv("MODELGUARD_ALL");
    const long step = all && std::strcmp(all, "1") == 0 ? 1 : kSampleStep;
    bool ended = true;
    for (std::size_t count = 1; count <= kMost; ++count)
        for (std::size_t booted = 1; booted <= count; ++booted) {
            const std::string version = "v" + std::to_string(booted);
            ended &= world.boot(count, version, [&] {
                Inside inside(*counts, step);
                return all_cases_of(world, count, version, inside);
            }) == 0;
        }
    std::printf(
        "ostree.order_test: %ld of %ld cases, %ld calls: %ld ordered, %ld refused, %ld dropped; violations %ld\n",
        counts->run, counts->cases, counts->calls, counts->ordered, counts->refused, counts->dropped,
        counts->violations);
    return ended && counts->violations == 0 && counts->ordered > 0 && counts->refused > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    try {
        return test(argv[1]);
    } catch (const Missing& missing) {
        std::printf("SKIPPED ostree.order_test: this needs %s\n", missing.what.c_str());
        return 77;
    }
}
