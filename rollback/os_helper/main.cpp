// modelguard-os VERB[:DEPLOYMENT]: the one program of modelguard that runs as root. One verb, named with its target,
// and an end; what is decided, why and how often, is the daemon's. It cannot open the ledger. Run by
// modelguard-os@.service.
//
// Exit status: 0 it is so now · 1 refused, the world is not as the caller believed · 2 usage · 3 no such deployment ·
// 6 could not be carried out · 75 busy, ask again. On anything but 0 one line is on stderr and in error below the run
// directory.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "rollback/os_helper/bus.hpp"
#include "rollback/os_helper/view.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/base/unit_name.hpp"
#include "supervisor/sys/clock.hpp"

namespace {

using namespace modelguard;
using namespace modelguard::rollback::os_helper;

constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr int kNoSuchDeployment = 3;
constexpr int kNotCarriedOut = 6;
constexpr int kBusy = 75;                                 // EX_TEMPFAIL
constexpr Usec kLockPatience = std::chrono::seconds(10);  // longer than an orderly write, shorter than a download

struct Job {
    std::string verb;
    std::string target;
    Places places;
    bool mounts_are_private{false};
};

int exit_status(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::conflict:
        case ErrorKind::denied:
        case ErrorKind::unsupported: return kRefused;
        case ErrorKind::invalid_config: return kUsage;
        case ErrorKind::not_found: return kNoSuchDeployment;
        case ErrorKind::unavailable:
        case ErrorKind::timed_out: return kBusy;
        case ErrorKind::malformed_reply:
        case ErrorKind::io:
        case ErrorKind::internal: return kNotCarriedOut;
    }
    return kNotCarriedOut;
}

/// libostree makes /sysroot and /boot writable where they are not: in a namespace of our own, nobody else sees it.
Result<void> leave_the_mounts_of_others(const Job& job) {
    if (job.mounts_are_private) return {};
    if (::unshare(CLONE_NEWNS) != 0) return fail_errno("a mount namespace of its own", errno);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
        return fail_errno("a mount namespace of its own", errno);
    return {};
}

Result<Sysroot> load(const Job& job) {
    MG_TRY(Sysroot sysroot, Sysroot::load(job.places.sysroot, true));
    MG_CHECK(remember_first_look(job.places, sysroot.trees()));
    return sysroot;
}

void warn(const std::string& line) { std::fprintf(stderr, "modelguard-os: %s\n", one_line(line, 1000).c_str()); }

using Decide = Result<WantedOrder> (*)(std::span<const Tree>, std::string_view);

/// Makes the order so, if it is not; then reads it again from the disk, since rpm-ostreed may have written an older one
/// that it had loaded before it took the lock.
Result<void> make_it_so(const Job& job, Decide decide) {
    MG_TRY(Sysroot sysroot, load(job));
    MG_CHECK(sysroot.lock(kLockPatience));
    MG_TRY(const WantedOrder wanted, decide(sysroot.trees(), job.target));
    const std::size_t count = wanted ? wanted->size() : sysroot.trees().size();
    if (wanted) {
        MG_CHECK(sysroot.write(*wanted));
        sysroot.unlock();
        if (const Result<void> told = reload_rpm_ostreed(); !told) warn(told.error().what);
    }
    MG_TRY(const Sysroot now, Sysroot::load(job.places.sysroot, true));
    MG_TRY(const WantedOrder still, decide(now.trees(), job.target));
    if (still || now.trees().size() < count)
        return fail(ErrorKind::unavailable,
                    "the order on disk is another one again; expected ours; next: see what else writes it "
                    "(rpm-ostree status), then ask again");
    return {};
}

Result<void> list(const Job& job) {
    MG_TRY(const Sysroot sysroot, load(job));
    return write_view(job.places, sysroot);
}
Result<void> drop_staged(const Job& job) { return make_it_so(job, order_without_staged); }
Result<void> order_os(const Job& job) { return make_it_so(job, order_with_first); }
Result<void> confirm_os_default(const Job& job) { return make_it_so(job, order_with_booted_first); }

Result<void> reboot(const Job& job) {
    MG_CHECK(order_os(job));
    MG_TRY(const std::string inhibitor, shutdown_inhibitor());
    if (!inhibitor.empty())
        return fail(ErrorKind::conflict, "a reboot is blocked by " + inhibitor +
                                             "; expected nobody to block it; next: systemd-inhibit --list");
    return request_reboot();
}

struct Verb {
    std::string_view name;
    bool has_target;
    Result<void> (*run)(const Job&);
};
constexpr Verb kVerbs[] = {
    {"list", false, list},        {"drop_staged", true, drop_staged},
    {"order_os", true, order_os}, {"confirm_os_default", true, confirm_os_default},
    {"reboot", true, reboot},
};

const Verb* find_verb(const Job& job) {
    for (const Verb& verb : kVerbs)
        if (verb.name == job.verb && verb.has_target != job.target.empty()) return &verb;
    return nullptr;
}

int usage() {
    std::fprintf(stderr,
                 "usage: modelguard-os [--sysroot PATH] [--run DIR] [--mounts-are-private] [--] VERB[:DEPLOYMENT]\n"
                 "verbs: list, drop_staged:ID, order_os:ID, confirm_os_default:ID, reboot:ID\n");
    return kUsage;
}

/// nullopt: usage. After "--" comes the instance's name and nothing else, whatever it looks like.
std::optional<Job> parse(int argc, char** argv) {
    Job job;
    int at = 1;
    for (; at < argc && std::string_view(argv[at]).starts_with("--"); ++at) {
        const std::string_view option = argv[at];
        if (option == "--") {
            ++at;
            break;
        }
        if (option == "--mounts-are-private")
            job.mounts_are_private = true;
        else if (option == "--sysroot" && at + 1 < argc)
            job.places.sysroot = argv[++at];
        else if (option == "--run" && at + 1 < argc)
            job.places.run = argv[++at];
        else
            return std::nullopt;
    }
    if (at + 1 != argc) return std::nullopt;
    const std::optional<std::string> instance = unescape_instance(argv[at]);
    if (!instance) return std::nullopt;
    const std::size_t colon = instance->find(':');
    job.verb = instance->substr(0, colon);
    if (colon != std::string::npos) job.target = instance->substr(colon + 1);
    return job;
}

/// The line, and beneath it of which run it is: the daemon believes no other.
int failed(const Job& job, const std::string& instance, const Error& error) {
    const std::string line =
        one_line(job.verb + (job.target.empty() ? "" : " " + job.target) + ": " + error.what, 1000);
    warn(line);
    const std::string run =
        std::string(to_string(error.kind)) + " " + std::to_string(sys::boottime_now().boottime_usec) + " " + instance;
    if (const auto kept = sys::replace_file(job.places.run / "error", line + "\n" + run + "\n", 0644); !kept)
        warn(kept.error().what);
    return exit_status(error.kind);
}

int run(int argc, char** argv) {
    const std::optional<Job> job = parse(argc, argv);
    const Verb* verb = job ? find_verb(*job) : nullptr;
    if (!verb) return usage();
    const std::string instance = argv[argc - 1];
    ::umask(022);
    std::error_code ignored;
    std::filesystem::create_directories(job->places.run, ignored);  // what fails here fails below, with its reason
    Result<void> done = leave_the_mounts_of_others(*job);
    if (done) done = verb->run(*job);
    if (!done) return failed(*job, instance, done.error());
    std::filesystem::remove(job->places.run / "error", ignored);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "modelguard-os: %s\n", error.what());
        return kNotCarriedOut;
    }
}
