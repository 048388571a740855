#include "tests/model/configurations.hpp"

namespace modelguard::model {

using namespace core;

namespace {

/// Budgets of one each: every rung and its end are reached, and no rung is climbed twice for nothing.
Policy tight_policy() {
    Policy policy;
    policy.reprobes = 1;
    policy.restarts = 1;
    policy.waits = 1;
    policy.switches = 1;
    policy.boots_in_trial = 1;
    policy.os_rollbacks_per_window = 1;
    policy.os_attempts = 2;
    return policy;
}

Bounds one_model(std::string name) {
    Bounds bounds;
    bounds.name = std::move(name);
    bounds.models = {"m"};
    bounds.versions = {{"A"}, {"B"}, {"C"}};
    bounds.manifests = {ManifestFacts{.rev = "r1"}};
    bounds.policy = tight_policy();
    return bounds;
}

}  // namespace

std::vector<Bounds> configurations(bool all) {
    std::vector<Bounds> result;
    const auto either = [&](const Budget& by_default, const Budget& full) { return all ? full : by_default; };

    Bounds first = one_model("first installs");
    first.budget = either({.wants = 2, .rollbacks = 1}, {.wants = 2, .rollbacks = 1, .reboots = 1, .corruptions = 1});
    result.push_back(first);

    Bounds upgrade = one_model("upgrades");
    upgrade.established = true;
    upgrade.budget = either({.wants = 1, .corruptions = 1}, {.wants = 1, .rollbacks = 1});
    result.push_back(upgrade);

    Bounds admin = one_model("operators");
    admin.established = true;
    admin.manifests.push_back(ManifestFacts{.rev = "r2"});
    admin.budget = {.admin = 2};
    result.push_back(admin);
    if (all) {
        admin.name = "operators, deploys";
        admin.budget = {.wants = 1, .admin = 1};
        result.push_back(admin);
        admin.name = "operators, rollbacks";
        admin.budget = {.rollbacks = 1, .admin = 1};
        result.push_back(admin);
        admin.name = "corrupt versions";
        admin.budget = {.wants = 1, .corruptions = 1};
        result.push_back(admin);
    }

    Bounds scrub = one_model("scrubs");
    scrub.established = true;
    if (!all) scrub.versions.pop_back();  // what matters is deployed and damaged at once: a known-good version
    scrub.budget = either({.wants = 1, .scrubs = 1}, {.wants = 1, .rollbacks = 1, .scrubs = 1});
    result.push_back(scrub);
    if (all) {
        scrub.name = "scrubs, operators";
        scrub.budget = {.wants = 1, .admin = 1, .scrubs = 1};
        result.push_back(scrub);
        scrub.name = "scrubs, preflight";
        scrub.manifests.front().preflight = true;
        scrub.budget = {.wants = 1, .scrubs = 2};
        result.push_back(scrub);
        scrub.name = "scrubs, OS";
        scrub.manifests.front().preflight = false;
        scrub.os_updates = {"os2"};
        scrub.budget = {.updates = 1, .reboots = 1, .scrubs = 1};
        result.push_back(scrub);
    }

    Bounds preflight = one_model("preflight");
    preflight.established = true;
    preflight.manifests = {ManifestFacts{.rev = "r1", .preflight = true}};
    preflight.budget = either({.wants = 1}, {.wants = 1, .rollbacks = 1});
    result.push_back(preflight);

    Bounds accepting = one_model("inconclusive: accept");
    accepting.established = true;
    accepting.manifests = {ManifestFacts{.rev = "r1", .soak = Usec{0}, .on_inconclusive = OnInconclusive::accept}};
    accepting.budget = either({.wants = 1}, {.wants = 1, .reboots = 1});
    result.push_back(accepting);

    Bounds holding = one_model("inconclusive: hold");
    holding.established = true;
    holding.manifests = {ManifestFacts{.rev = "r1", .on_inconclusive = OnInconclusive::hold}};
    holding.budget = either({.wants = 1}, {.wants = 1, .rollbacks = 1});
    result.push_back(holding);

    Bounds os = one_model("3 versions, 2 OS");
    os.established = true;
    os.os_updates = {"os2"};
    os.budget = either({.updates = 1, .reboots = 1}, {.wants = 1, .updates = 1, .reboots = 1});
    result.push_back(os);
    Bounds watched = os;
    watched.name = "watched boots";
    watched.boot_trial = "greenboot";
    watched.budget =
        either({.updates = 1, .reboots = 1, .fallbacks = 1}, {.wants = 1, .updates = 1, .reboots = 1, .fallbacks = 1});
    result.push_back(watched);
    if (all) {
        os.name = "OS fallbacks";
        os.budget = {.updates = 1, .reboots = 1, .fallbacks = 1};
        result.push_back(os);
    }

    Bounds two;
    two.name = "2 models, 2 versions";
    two.models = {"m", "n"};
    two.versions = {{"A"}, {"B"}};
    two.manifests = {ManifestFacts{.rev = "r1"}};
    two.policy = tight_policy();
    two.policy.reprobes = two.policy.waits = 0;  // what one model does by itself is explored above
    two.budget = either({.wants = 2}, {.wants = 2, .rollbacks = 1});
    result.push_back(two);

    Bounds two_os = two;
    two_os.name = "2 models, 2 OS";
    two_os.established = true;
    if (!all) two_os.versions.pop_back();
    two_os.os_updates = {"os2"};
    two_os.budget = either({.updates = 1, .reboots = 1}, {.updates = 1, .reboots = 1});
    result.push_back(two_os);
    return result;
}

}  // namespace modelguard::model
