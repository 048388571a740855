#include "supervisor/base/boot_watch.hpp"

namespace modelguard {

namespace {
// What GRUB stores in the counter when it is used up and the other entry is booted.
constexpr std::string_view kGivenUp = "-1";

std::string_view value_of(const GrubEnv& env, std::string_view name) {
    const auto found = env.find(name);
    return found == env.end() ? std::string_view() : std::string_view(found->second);
}

/// The line at `at` without its newline, which is moved past. A newline after a backslash belongs to the line.
std::string next_line(std::string_view block, std::size_t& at) {
    std::string line;
    for (; at < block.size() && block[at] != '\n'; ++at) {
        if (block[at] == '\\' && at + 1 < block.size()) ++at;
        line += block[at];
    }
    ++at;
    return line;
}
}  // namespace

GrubEnv parse_grubenv(std::string_view block) {
    GrubEnv env;
    for (std::size_t at = 0; at < block.size();) {
        const bool comment = block[at] == '#';  // the header, and what fills the block up
        const std::string line = next_line(block, at);
        const std::size_t equals = line.find('=');
        if (comment || equals == 0 || equals == std::string::npos) continue;
        env.try_emplace(line.substr(0, equals), line.substr(equals + 1));
    }
    return env;
}

Greenboot greenboot_of(std::string_view first_bytes) {
    if (first_bytes.starts_with("#!")) return Greenboot::bash;
    if (first_bytes.starts_with("\x7f"
                                "ELF"))
        return Greenboot::rs;
    return Greenboot::none;
}

std::string_view boot_trial(const GrubEnv& env, Greenboot greenboot) {
    switch (greenboot) {
        case Greenboot::none: return {};
        case Greenboot::bash: {
            const std::string_view counter = value_of(env, "boot_counter");
            return counter.empty() || counter == kGivenUp ? std::string_view() : "greenboot";
        }
        // Its counter is set by any boot that fails, so that it says nothing of an update.
        case Greenboot::rs:
            return !value_of(env, "greenboot_next_deployment_id").empty() ||
                           value_of(env, "greenboot_rollback_trigger") == "1"
                       ? "greenboot-rs"
                       : std::string_view();
    }
    return {};
}

bool grub_fell_back(const GrubEnv& env) { return value_of(env, "boot_counter") == kGivenUp; }

}  // namespace modelguard
