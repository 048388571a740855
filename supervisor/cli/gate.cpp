// `gate`: what this boot is worth, for greenboot and for modelguard-gate.service. It always ends, within its bound,
// with 0 or 1: who watches the boot knows no third answer.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <optional>

#include "supervisor/base/boot_watch.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

using std::chrono::seconds;

constexpr seconds kDefaultBound{300};  // a large model takes minutes to load
constexpr seconds kLeastBound{10}, kMostBound{600};
constexpr long kDefaultBoots = 3, kMostBoots = 9;  // GREENBOOT_MAX_BOOT_ATTEMPTS, greenboot.conf
constexpr long kMostPatience =
    3;  // times the bound: with kMostBound half an hour, which the unit and the script rely on
constexpr seconds kPoll{2};
constexpr seconds kSilence{5};
constexpr Usec kAgain = std::chrono::milliseconds(200);
constexpr seconds kTellBound{60};
constexpr std::size_t kMostFile = 64u << 10;

Usec now() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return seconds(time.tv_sec) + std::chrono::duration_cast<Usec>(std::chrono::nanoseconds(time.tv_nsec));
}

/// Up to `most` bytes; empty where it cannot be read.
std::string read_some(const std::string& path, std::size_t most) {
    std::ifstream file(path, std::ios::binary);
    std::string text(most, '\0');
    file.read(text.data(), static_cast<std::streamsize>(most));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
    return text;
}

/// The number that a line NAME=12 of greenboot.conf gives, quoted or not; the last such line counts, as for the shell
/// that sources it.
long setting(std::string_view conf, std::string_view name, long otherwise, long least, long most) {
    long found = otherwise;
    while (!conf.empty()) {
        std::string_view line = conf.substr(0, conf.find('\n'));
        conf.remove_prefix(std::min(line.size() + 1, conf.size()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        if (!line.starts_with(name) || !line.substr(name.size()).starts_with('=')) continue;
        line.remove_prefix(name.size() + 1);
        if (line.starts_with('"') || line.starts_with('\'')) line.remove_prefix(1);
        long value = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
        if (error == std::errc{} && value >= least && value <= most) found = value;
    }
    return found;
}

struct Boot {
    Usec bound;
    bool is_on_trial;  ///< somebody rolls the OS back if this boot fails
};

/// What the files of greenboot and GRUB say; the daemon may be dead. The patience grows from boot to boot of a trial:
/// what was too slow for the first one may be ready in time for the last.
Boot read_boot(const std::string& root) {
    const std::string conf = read_some(root + "/etc/greenboot/greenboot.conf", kMostFile);
    const long base =
        setting(conf, "MODELGUARD_GATE_TIMEOUT_SEC", kDefaultBound.count(), kLeastBound.count(), kMostBound.count());
    const long boots = setting(conf, "GREENBOOT_MAX_BOOT_ATTEMPTS", kDefaultBoots, 1, kMostBoots);
    std::string block;
    for (const char* place : kGrubEnvs)
        if (block.empty()) block = read_some(root + "/" + place, kMostFile);
    const GrubEnv env = parse_grubenv(block);
    const auto counter = env.find("boot_counter");
    const long left = setting(counter == env.end() ? "" : "left=" + counter->second, "left", boots - 1, 0, boots);
    const Greenboot greenboot = greenboot_of(read_some(root + "/" + kGreenbootProgram, 4));
    return {seconds(base) * std::clamp(boots - left, 1L, kMostPatience), !boot_trial(env, greenboot).empty()};
}

const std::string& name_of(const api::Gate::Reason& reason) {
    return reason.script.empty() ? reason.model : reason.script;
}

std::string line_of(const api::Gate::Reason& reason) {
    const std::string outcome = reason.verdict == "pass" && reason.warning ? "passes, but" : reason.verdict;
    return "  " + printable(name_of(reason)) + ": " + outcome +
           (reason.text.empty() ? "" : " " + printable(reason.text)) + "\n";
}

std::string screen_of(const api::Gate& gate, const std::string& headline) {
    std::string text = headline + "\n";
    for (const api::Gate::Reason& reason : gate.reasons)
        text += line_of(reason);
    return text;
}

/// What was looked at: "2 required models and 3 scripts".
std::string subjects_of(const api::Gate& gate) {
    const auto scripts = std::ranges::count_if(gate.reasons, [](const auto& reason) { return !reason.script.empty(); });
    const auto models = std::ssize(gate.reasons) - scripts;
    std::string text;
    if (models > 0) text = std::to_string(models) + (models == 1 ? " required model" : " required models");
    if (scripts > 0)
        text += (text.empty() ? "" : " and ") + std::to_string(scripts) + (scripts == 1 ? " script" : " scripts");
    return text;
}

std::string headline_of(const api::Gate& gate) {
    const auto any_model = [&](auto is_so) {
        return std::ranges::any_of(gate.reasons,
                                   [&](const auto& reason) { return reason.script.empty() && is_so(reason); });
    };
    if (gate.verdict == "fail")
        return any_model([](const auto& reason) { return reason.verdict == "fail"; })
                   ? "fail: the OS is to blame"
                   : "fail: a required script says so";
    if (gate.reasons.empty()) return "pass: no model is required";
    if (any_model([](const auto& reason) { return reason.warning; }))
        return "pass, with a warning: another OS would not help";
    if (std::ranges::any_of(gate.reasons, &api::Gate::Reason::warning)) return "pass, with a warning: a script failed";
    return "pass: " + subjects_of(gate) + ", well";
}

/// One line for those who log in.
std::string motd_of(const api::Gate& gate) {
    const auto bad = std::ranges::find_if(gate.reasons, [](const auto& reason) { return !reason.text.empty(); });
    if (gate.reasons.empty()) return "modelguard: no model is required here\n";
    if (bad == gate.reasons.end()) return "modelguard: " + subjects_of(gate) + ", well at boot\n";
    constexpr std::size_t kMostText = 120;
    return "modelguard: " + printable(name_of(*bad)) + ": " + plain_line(bad->text, kMostText) + " (see modelguard " +
           (bad->script.empty() ? "status" : "gate") + ")\n";
}

/// Readers see the old line or the new one. A line that cannot be written is told, and changes no verdict.
void write_motd(const Session& session, const std::string& path, const std::string& line) {
    if (path.empty()) return;
    const std::string temporary = path + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    if (fd >= 0) written = ::close(fd) == 0 && written;
    if (!written || ::rename(temporary.c_str(), path.c_str()) != 0)
        session.tell("modelguard: " + printable(path) + " could not be written\n");
}

int tell_boot_complete(const Session& session) {
    const Interrupts interrupts;
    const Usec deadline = now() + kTellBound;
    for (;;) {
        const auto answer = session.change("/v1/boot-complete");
        if (answer) {
            if (session.json()) session.print_json(*answer);
            return kDone;
        }
        if (answer.error().exit_code != kUnreachable || now() >= deadline) return session.report(answer.error());
        if (interrupts.wait(kAgain)) return kInterrupted;
    }
}

}  // namespace

int run_gate(const Session& session, const Arguments& arguments) {
    if (arguments.boot_complete) return tell_boot_complete(session);
    const Boot boot = read_boot(session.view().root);
    const Usec bound = arguments.timeout > Usec{0} ? arguments.timeout : boot.bound;
    const Usec deadline = now() + bound;
    const Interrupts interrupts;
    std::string document;
    std::optional<api::Gate> gate;
    api::Problem trouble;
    for (bool interrupted = false; !interrupted && now() < deadline && (!gate || gate->verdict == "pending");) {
        const auto wait = std::clamp(std::chrono::duration_cast<seconds>(deadline - now()), seconds{0}, kPoll);
        const Usec silence = std::min<Usec>(deadline - now() + kAgain, kSilence);
        auto answer = session.get("/v1/gate?wait=" + std::to_string(wait.count()), silence, interrupts.fd());
        auto read = answer ? read_as(api::gate_from_json, *answer) : Answer<api::Gate>(std::unexpected(answer.error()));
        if (read) {
            gate = std::move(*read);
            document = std::move(*answer);
            if (gate->verdict != "pending") break;
            if (wait > seconds{0}) continue;
        } else {
            gate.reset();
            trouble = read.error().problem;
        }
        interrupted = interrupts.wait(kAgain);
    }
    const bool is_on_trial = gate ? !gate->boot_trial.empty() : boot.is_on_trial;
    const bool is_decided = gate && gate->verdict != "pending";
    const int code = is_decided ? (gate->verdict == "fail" ? kNo : kDone) : (is_on_trial ? kNo : kDone);
    const std::string late = std::string(code == kNo ? "fail" : "pass, with a warning") + ": " +
                             (gate ? "not decided" : "no answer from modelguardd") + " within " +
                             format_duration(bound) +
                             (is_on_trial ? ", and this OS is on trial" : "; no OS is on trial, so it may go on");
    if (!gate) {
        if (session.json()) session.print_json(api::to_json(trouble));
        session.tell(late + (trouble.title.empty() ? "" : ": " + printable(trouble.title)) + "\n");
        write_motd(session, arguments.motd, "modelguard: no answer at boot (see systemctl status modelguardd)\n");
        return code;
    }
    if (session.json())
        session.print_json(document);
    else
        session.print(screen_of(*gate, is_decided ? headline_of(*gate) : late));
    write_motd(session, arguments.motd, motd_of(*gate));
    return code;
}

}  // namespace modelguard::cli
