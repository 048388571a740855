#include "supervisor/cli/bundle.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <utility>

#include "supervisor/cli/program.hpp"
#include "supervisor/cli/tree.hpp"

namespace modelguard::cli {

namespace {

struct SpawnSetup {
    posix_spawn_file_actions_t files{};
    posix_spawnattr_t attributes{};
    SpawnSetup() {
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attributes);
    }
    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;
    ~SpawnSetup() {
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }
};

}  // namespace

Bundle::Bundle(Bundle&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      packer_(std::exchange(other.packer_, -1)),
      expected_bytes_(other.expected_bytes_) {}

Bundle::~Bundle() {
    if (fd_ >= 0) ::close(fd_);  // first: a packer that still writes ends by that
    if (packer_ >= 0) ::waitpid(packer_, nullptr, 0);
}

Result<Bundle> Bundle::open(const std::string& path) {
    Bundle bundle;
    if (path == "-") {
        if (::isatty(STDIN_FILENO) == 1)
            return fail(ErrorKind::invalid_config,
                        "a bundle cannot be typed: '-' reads standard input, and that is a terminal");
        bundle.fd_ = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
        if (bundle.fd_ < 0) return fail_errno("standard input", errno);
        return bundle;
    }
    bundle.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (bundle.fd_ < 0) return fail_errno(path, errno);
    struct stat info{};
    if (::fstat(bundle.fd_, &info) < 0) return fail_errno(path, errno);
    if (S_ISDIR(info.st_mode)) return pack(path);
    if (S_ISREG(info.st_mode)) bundle.expected_bytes_ = static_cast<std::uint64_t>(info.st_size);
    return bundle;
}

Result<Bundle> Bundle::pack(const std::string& directory) {
    Bundle bundle;
    MG_TRY(const auto entries, list_tree(directory));
    std::uint64_t bytes = 0;
    for (const TreeEntry& entry : entries)
        bytes += entry.size;
    bundle.expected_bytes_ = bytes;
    MG_TRY(std::string packer, find_program("modelguard-pack", {"", MODELGUARD_LIBEXEC_RELATIVE}));

    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) < 0) return fail_errno("pipe", errno);
    bundle.fd_ = pipe[0];
    SpawnSetup setup;
    posix_spawn_file_actions_adddup2(&setup.files, pipe[1], STDOUT_FILENO);
    sigset_t none;  // we hold SIGINT back for ourselves; the child must die of it
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&setup.attributes, &none);
    posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK);
    std::string argument = directory;
    const std::array<char*, 3> argv{packer.data(), argument.data(), nullptr};
    const int error =
        ::posix_spawn(&bundle.packer_, packer.c_str(), &setup.files, &setup.attributes, argv.data(), environ);
    ::close(pipe[1]);
    if (error != 0) {
        bundle.packer_ = -1;
        return fail_errno(packer, error);
    }
    return bundle;
}

Result<void> Bundle::complete() {
    if (packer_ < 0) return {};
    int status = 0;
    while (::waitpid(packer_, &status, 0) < 0 && errno == EINTR) {
    }
    packer_ = -1;
    // It has said on stderr what was wrong.
    if (status != 0) return fail(ErrorKind::io, "the directory could not be packed; nothing was deployed");
    return {};
}

}  // namespace modelguard::cli
