#include "rollback/os_helper/view.hpp"

#include <fcntl.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "supervisor/base/boot_watch.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::rollback::os_helper {

namespace {
constexpr unsigned kReadable = 0644;
constexpr std::size_t kMostEnvBytes = 64u << 10;  // GRUB's block has 1 KiB

struct FirstLook {
    std::string boot_id, booted, default_;
};

std::string text_of(const FirstLook& look) { return look.boot_id + "\n" + look.booted + "\n" + look.default_ + "\n"; }

/// All three empty where it is not to be had.
FirstLook read_first_look(const Places& places) {
    const Result<std::string> text = sys::read_file(places.run / "first-look", 4u << 10);
    FirstLook look;
    if (!text) return look;
    std::size_t at = 0;
    for (std::string* part : {&look.boot_id, &look.booted, &look.default_}) {
        const std::size_t end = text->find('\n', at);
        if (end == std::string::npos) return {};
        *part = text->substr(at, end - at);
        at = end + 1;
    }
    return look;
}

/// Through links: on EFI hosts the environment is on another file system.
GrubEnv read_grubenv(const std::string& root) {
    for (const char* name : kGrubEnvs) {
        std::error_code error;
        const sys::Path place = std::filesystem::canonical(sys::Path(root) / name, error);
        if (error) continue;
        if (const Result<std::string> block = sys::read_file(place, kMostEnvBytes)) return parse_grubenv(*block);
    }
    return {};
}

Greenboot installed_greenboot(const std::string& root) {
    const sys::Path program = sys::Path(root) / kGreenbootProgram;
    const sys::Fd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 4> first{};
    const ssize_t count = file ? ::read(file.get(), first.data(), first.size()) : 0;
    return greenboot_of({first.data(), count > 0 ? static_cast<std::size_t>(count) : 0});
}
}  // namespace

Result<void> remember_first_look(const Places& places, const std::vector<Tree>& trees) {
    const std::string boot_id = sys::boot_id();
    if (read_first_look(places).boot_id == boot_id) return {};
    return sys::replace_file(places.run / "first-look", text_of({boot_id, booted_id(trees), default_id(trees)}),
                             kReadable);
}

Result<void> write_view(const Places& places, const Sysroot& sysroot) {
    const std::vector<Tree>& trees = sysroot.trees();
    const GrubEnv env = read_grubenv(places.sysroot);
    const FirstLook look = read_first_look(places);
    std::string osname;
    for (const Tree& tree : trees)
        if (tree.booted) osname = tree.osname;
    nlohmann::json deployments = nlohmann::json::array();
    for (std::size_t index = 0; index < trees.size(); ++index) {
        const Tree& tree = trees[index];
        if (tree.osname != osname) continue;
        const TreeFacts facts = sysroot.facts(index);
        deployments.push_back({{"id", tree.id},
                               {"identity", facts.identity},
                               {"bootable", tree.bootable},
                               {"os_pinned", tree.os_pinned},
                               {"newness", facts.newness_sec}});
    }
    const nlohmann::json view{{"schema", "modelguard.os_view/1"},
                              {"boot_id", sys::boot_id()},
                              {"deployments", std::move(deployments)},
                              {"booted", booted_id(trees)},
                              {"default", default_id(trees)},
                              {"staged", staged_id(trees)},
                              {"fell_back", grub_fell_back(env) || look.booted != look.default_},
                              {"boot_trial", boot_trial(env, installed_greenboot(places.sysroot))}};
    return sys::replace_file(places.run / "view.json",
                             view.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", kReadable);
}

}  // namespace modelguard::rollback::os_helper
