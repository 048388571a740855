// The helper's verbs on a real sysroot beside the others that write it or are asked: rpm-ostree's toggle, rpm-ostreed,
// logind and systemd on a bus, a lock that somebody holds. One line a case; those that fail say what they saw.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "rollback/os_ostree.hpp"
#include "supervisor/sys/clock.hpp"
#include "tests/ostree/fake_bus.hpp"
#include "tests/ostree/world.hpp"

namespace {

using namespace modelguard;
using namespace modelguard::ostree_test;
namespace fs = std::filesystem;

int wrong = 0;

void expect(bool holds, const std::string& what) {
    if (holds) return;
    wrong += 1;
    std::printf("    WRONG: %s; told: %s\n", what.c_str(), told_error().c_str());
}

int ask(const std::string& instance) { return run({"modelguard-os", "--mounts-are-private", "--", instance}); }

std::vector<std::string> order() {
    std::vector<std::string> ids;
    for (const Entry& each : entries())
        ids.push_back(each.id);
    return ids;
}

void write_text(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

core::OsView look() {
    expect(ask("list") == 0, "listed");
    const auto text = sys::read_file("/run/modelguard-os/view.json");
    const auto view =
        text ? rollback::parse_os_view(*text, sys::boot_id()) : Result<core::OsView>(std::unexpected(text.error()));
    expect(view.has_value(), "a view that the backend takes: " + (view ? "" : view.error().what));
    return view ? *view : core::OsView{};
}

using Ids = std::vector<std::string>;

// ---- rpm-ostree's toggle
// ---------------------------------------------------------------------------------------------

void toggle_of_two(const World& world) {
    const Ids newest{world.id("v2"), world.id("v1")}, oldest{world.id("v1"), world.id("v2")};
    set_order(newest);
    for (int call = 0; call < 4; ++call) {
        expect(run({"rpm-ostree", "rollback"}) == 0, "rolled back");
        expect(order() == (call % 2 == 0 ? oldest : newest),
               "the toggle's order after call " + std::to_string(call + 1));
    }
}

void toggle_of_one(const World&) {
    const Ids before = order();
    expect(run({"rpm-ostree", "rollback"}) == 1 && order() == before, "no rollback deployment is refused");
}

/// After a GRUB fallback: v2 is booted, v3 the default. The toggle takes v1, then v2, then v1.
void trap_of_three(const World& world) {
    const std::string v1 = world.id("v1"), v2 = world.id("v2"), v3 = world.id("v3");
    set_order({v3, v2, v1});
    expect(run({"rpm-ostree", "rollback"}) == 0 && order() == (Ids{v1, v3, v2}), "the wrong tree, as recorded");
    expect(run({"rpm-ostree", "rollback"}) == 0 && order().front() == v2, "a retry takes v2");
    expect(run({"rpm-ostree", "rollback"}) == 0 && order().front() == v1, "another one v1");
    const core::OsView view = look();
    expect(view.fell_back && view.booted == v2 && view.default_ == v1, "seen as a fallback");
    expect(ask("confirm_os_default:" + v2) == 0 && order().front() == v2, "what is booted is the default again");
    expect(order().size() == 3 && ask("confirm_os_default:" + v2) == 0 && order().front() == v2, "and stays so");
    expect(ask("order_os:" + v3) == 0 && ask("order_os:" + v3) == 0 && order().front() == v3, "ours is no toggle");
}

void toggle_refuses_staged(const World& world) {
    set_order({world.id("v2"), world.id("v1")});
    const std::string staged = stage();
    const Ids before = order();
    expect(run({"rpm-ostree", "rollback"}) == 1 && order() == before, "refused");
    expect(ask("drop_staged:" + staged) == 0 && run({"rpm-ostree", "rollback"}) == 0, "dropped, it is not");
}

// ---- the view
// ----------------------------------------------------------------------------------------------------------

void view_of_identities(const World& world) {
    const std::string v1 = world.id("v1"), v2 = world.id("v2"), v3 = world.id("v3"), v4 = world.id("v4");
    set_order({v4, v3, v2, v1});
    set_pinned(v1, true);
    const core::OsView bare = look();
    expect(bare.deployments.size() == 4 && bare.booted == v4 && bare.default_ == v4 && bare.staged.empty(), "all four");
    expect(!bare.fell_back && bare.boot_trial.empty(), "nobody watches");
    expect(bare.find(v1)->identity == world.commit("v1"), "a plain commit is its checksum");
    expect(bare.find(v2)->identity == "sha256:00c0ffee", "an image is its digest");
    expect(bare.find(v3)->identity == world.commit("v3-base"), "a layered commit is its base");
    expect(bare.find(v4)->newness == 1'700'000'000 - 100 && bare.find(v1)->os_pinned && !bare.find(v4)->os_pinned,
           "time and pin");

    const fs::path origin = "/ostree/deploy/testos/deploy/" + world.commit("v3") + ".0.origin";
    write_text(origin, "[origin]\nbaserefspec=testos/v3\n[packages]\nrequested=vim;htop;\n");
    const std::string layered = look().find(v3)->identity;
    write_text(origin, "[origin]\nbaserefspec=testos/v3\n[packages]\nrequested=htop;vim;\n");
    expect(layered.starts_with(world.commit("v3-base") + "+") && look().find(v3)->identity == layered, "in any order");
    write_text(origin, "[origin]\nbaserefspec=testos/v3\n[packages]\nrequested=htop;\n");
    expect(look().find(v3)->identity != layered, "other packages are another OS");

    const fs::path commit =
        "/ostree/repo/objects/" + world.commit("v1").substr(0, 2) + "/" + world.commit("v1").substr(2) + ".commit";
    fs::rename(commit, "/ostree/away");
    const core::OsView damaged = look();
    expect(damaged.deployments.size() == 4 && damaged.find(v1)->identity == world.commit("v1") &&
               damaged.find(v1)->newness == 0,
           "a commit that is gone hides no other");
    fs::rename("/ostree/away", commit);

    const std::string staged = stage("v2");
    const core::OsView again = look();
    expect(staged != v2 && again.staged == staged && again.default_ == v4, "staged aside");
    expect(again.find(staged) && again.find(staged)->identity == again.find(v2)->identity, "the same OS staged again");
}

void view_of_the_boot(const World& world) {
    const std::string v1 = world.id("v1"), v2 = world.id("v2");
    set_order({v2, v1});
    expect(!look().fell_back, "the default is booted");
    set_order({v1, v2});
    expect(!look().fell_back, "a default that changes later is no fallback");
    fs::remove("/run/modelguard-os/first-look");
    expect(look().fell_back, "not the default at the first look");
    write_text("/run/modelguard-os/first-look", "another boot\na\nb\n");
    set_order({v2, v1});
    expect(!look().fell_back, "what another boot saw does not count");

    write_text("/boot/efi/EFI/test/grubenv", "# GRUB Environment Block\nboot_counter=-1\n");
    fs::create_directories("/boot/grub2");
    fs::create_symlink("../efi/EFI/test/grubenv", "/boot/grub2/grubenv");
    expect(look().fell_back, "GRUB says so, through a link");
    write_text("/boot/efi/EFI/test/grubenv",
               "# GRUB Environment Block\nboot_counter=2\ngreenboot_next_deployment_id=5b\n");
    expect(!look().fell_back && look().boot_trial.empty(), "no greenboot, no trial");
    // /usr is this host's: a place of its own for the program
    const fs::path program = "/usr/libexec/greenboot/greenboot";
    if (run({"mount", "-t", "tmpfs", "tmpfs", "/usr/libexec"}) != 0) return expect(false, "a place for greenboot");
    write_text(program, "#!/usr/bin/bash\n");
    expect(look().boot_trial == "greenboot", "bash");
    write_text(program,
               "\x7f"
               "ELF");
    expect(look().boot_trial == "greenboot-rs", "rs");
}

// ---- beside others
// -----------------------------------------------------------------------------------------------------

void refuses_what_cannot_boot(const World& world) {
    const std::string v1 = world.id("v1"), v2 = world.id("v2");
    set_order({v2, v1});
    const core::OsView before = look();
    for (const auto& folder : fs::directory_iterator("/boot/ostree"))
        for (const auto& file : fs::directory_iterator(folder)) {
            std::string text;
            std::ifstream in(file.path());
            std::getline(in, text);
            if (text == "kernel of v1") fs::remove(file.path());
        }
    expect(before.find(v1)->bootable && !look().find(v1)->bootable && look().find(v2)->bootable, "seen in the view");
    expect(ask("order_os:" + v1) == 1 && told_error().find("cannot boot") != std::string::npos, "refused");
    expect(order() == (Ids{v2, v1}), "nothing changed");
}

void tells_rpm_ostreed(const World& world) {
    FakeBus bus;
    const std::string v1 = world.id("v1"), v2 = world.id("v2");
    const Ids reload{"org.projectatomic.rpmostree1 Reload"};
    set_order({v2, v1});
    expect(ask("order_os:" + v1) == 0 && bus.take().empty(), "it does not run, so it is not started either");
    bus.running = {"org.projectatomic.rpmostree1"};
    expect(ask("order_os:" + v2) == 0 && bus.take() == reload, "it runs");
    expect(ask("order_os:" + v2) == 0 && bus.take().empty(), "nothing was written");
    bus.refused = "Reload";
    expect(ask("order_os:" + v1) == 0 && order().front() == v1, "it says no, and the order is on disk all the same");
}

void reboots(const World& world) {
    FakeBus bus;
    const std::string v1 = world.id("v1"), v2 = world.id("v2");
    const Ids by_systemd{"org.freedesktop.systemd1 StartUnit reboot.target"};
    const Ids by_logind{"org.freedesktop.login1 ListInhibitors", "org.freedesktop.login1 Reboot"};
    const Ids asked_only{"org.freedesktop.login1 ListInhibitors"};
    set_order({v2, v1});
    expect(ask("reboot:" + v1) == 0 && order().front() == v1, "ordered again first");
    expect(bus.take() == by_systemd, "without logind by systemd");
    bus.running = {"org.freedesktop.login1"};
    bus.inhibitors = {{"sleep", "music", "plays", "block"}, {"shutdown", "logger", "writes", "delay"}};
    expect(ask("reboot:" + v1) == 0 && bus.take() == by_logind, "nobody blocks it");
    bus.inhibitors.push_back({"sleep:shutdown", "press 7", "a part is in it", "block"});
    expect(ask("reboot:" + v1) == 1 && bus.take() == asked_only, "blocked");
    expect(told_error().find("press 7 (pid 42): a part is in it") != std::string::npos, "and by whom");
    bus.inhibitors.clear();
    bus.refused = "Reboot";
    expect(ask("reboot:" + v1) == 75 && told_error().find("it says no") != std::string::npos, "refused by logind");
    bus.refused.clear();
    bus.take();
    const std::string staged = stage();
    expect(ask("reboot:" + v1) == 1 && bus.take().empty(), "never with something staged");
    expect(ask("drop_staged:" + staged) == 0 && ask("reboot:" + world.id("v2").substr(1)) == 3, "nor to nowhere");
    expect(bus.take().empty(), "nobody was asked");
}

void waits_for_the_lock_and_not_for_ever(const World& world) {
    set_order({world.id("v2"), world.id("v1")});
    const auto lock = hold_lock();
    const Instant begin = sys::boottime_now();
    expect(ask("order_os:" + world.id("v1")) == 75, "busy");
    const Usec took = sys::boottime_now() - begin;
    expect(took >= std::chrono::seconds(9) && took < std::chrono::seconds(30), "after 10 s: " + format_duration(took));
    expect(told_error().find("busy") != std::string::npos && order().front() == world.id("v2"), "and said so");
    expect(ask("list") == 0, "looking needs no lock");
}

void takes_names_as_units_have_them(const World& world) {
    set_order({world.id("v2"), world.id("v1")});
    expect(ask("order_os:my\\x20os-5b.0") == 3 && told_error().starts_with("order_os my os-5b.0: "), "unescaped");
    std::ifstream in("/run/modelguard-os/error");
    std::string line, kind, when, instance;
    std::getline(in, line);
    in >> kind >> when >> instance;
    expect(kind == "not_found" && instance == "order_os:my\\x20os-5b.0", "the run is named as its unit is");
    for (const char* usage :
         {"", "lists", "list:a", "order_os", "order_os:", "order_os:a b", "reboot", "--run", "-- list"})
        expect(ask(usage) == 2, std::string("usage: ") + usage);
    expect(ask("list") == 0 && told_error().empty(), "what went well leaves no error");
}

struct Test {
    const char* name;
    std::size_t deployments;
    const char* booted;
    void (*run)(const World&);
};
constexpr Test kTests[] = {
    {"rpm_ostree_rollback_toggles_between_two", 2, "v2", toggle_of_two},
    {"rpm_ostree_rollback_of_one_is_refused", 1, "v1", toggle_of_one},
    {"rpm_ostree_rollback_of_three_takes_the_wrong_tree_and_ours_does_not", 3, "v2", trap_of_three},
    {"rpm_ostree_rollback_refuses_where_something_is_staged", 2, "v2", toggle_refuses_staged},
    {"same_os_has_one_identity_and_another_one_another", 4, "v4", view_of_identities},
    {"fallback_and_boot_trial_are_seen_as_they_were_at_first", 2, "v2", view_of_the_boot},
    {"rpm_ostreed_is_told_where_it_runs", 2, "v2", tells_rpm_ostreed},
    {"reboot_is_ordered_once_more_and_respects_inhibitors", 2, "v2", reboots},
    {"lock_of_another_is_waited_for_and_not_for_ever", 2, "v1", waits_for_the_lock_and_not_for_ever},
    {"instance_names_are_unescaped_and_nonsense_is_usage", 2, "v1", takes_names_as_units_have_them},
    {"deployment_without_a_kernel_is_refused", 2, "v2", refuses_what_cannot_boot},  // and has none from then on
};

int test(const char* helper, const char* rpm_ostree) {
    World world(4);
    world.bring(helper);
    world.bring(rpm_ostree);
    int failed = 0;
    for (const Test& each : kTests) {
        const int status = world.boot(each.deployments, each.booted, [&] {
            each.run(world);
            return wrong == 0 ? 0 : 1;
        });
        std::printf("%s %s\n", status == 0 ? "ok    " : "FAILED", each.name);
        failed += status == 0 ? 0 : 1;
    }
    std::printf("ostree.verbs_test: %zu tests, %d failed\n", std::size(kTests), failed);
    return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    try {
        return test(argv[1], argv[2]);
    } catch (const Missing& missing) {
        std::printf("SKIPPED ostree.verbs_test: this needs %s\n", missing.what.c_str());
        return 77;
    }
}
