#include "tests/ostree/world.hpp"

#include <fcntl.h>
#include <ostree.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

extern char** environ;

namespace modelguard::ostree_test {

namespace {
namespace fs = std::filesystem;

constexpr const char* kOs = "testos";
constexpr const char* kStagedVersion = "v9";

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "the test itself failed: %s\n", what.c_str());
    std::abort();
}

void must(bool done, const std::string& what) {
    if (!done) give_up(what + ": " + std::strerror(errno));
}

int spawn(const std::vector<std::string>& command, int out) {
    std::vector<char*> argv;
    for (const std::string& word : command)
        argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT: what posix_spawn takes
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (std::getenv("MODELGUARD_TEST_VERBOSE") == nullptr)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    const int failed = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) give_up(command[0] + ": " + std::strerror(failed));
    int status = 0;
    must(::waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string output_of(const std::vector<std::string>& command) {
    int ends[2];
    must(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
    const sys::Fd read_end(ends[0]);
    sys::Fd write_end(ends[1]);
    if (spawn(command, write_end.get()) != 0) give_up("failed: " + command[0] + " " + command[1]);
    write_end.reset();
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(read_end.get(), text.data(), text.size()), 0)));
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

void write_text(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

void bind_mount(const fs::path& from, const fs::path& to) {
    fs::create_directories(to);
    must(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind mount " + to.string());
}

std::string ref_of(std::string_view version) { return "testos/" + std::string(version); }

/// A commit of the least that libostree deploys; each version has a kernel of its own.
std::string commit_tree(const fs::path& repo, const fs::path& tree, std::string_view version, int age,
                        std::vector<std::string> more = {}) {
    fs::remove_all(tree);
    write_text(tree / "usr/lib/modules/1.0/vmlinuz", "kernel of " + std::string(version));
    write_text(tree / "usr/lib/modules/1.0/initramfs.img", "initramfs");
    write_text(tree / "usr/lib/os-release", "ID=testos\nPRETTY_NAME=\"Test " + std::string(version) + "\"\n");
    fs::create_directories(tree / "usr/etc");
    std::vector<std::string> command{"ostree",
                                     "commit",
                                     "--repo=" + repo.string(),
                                     "--branch=" + ref_of(version),
                                     "--timestamp=@" + std::to_string(1'700'000'000 - age),
                                     "--tree=dir=" + tree.string()};
    command.insert(command.end(), more.begin(), more.end());
    return output_of(command);
}

template <class T>
using Object = sys::CPtr<T, g_object_unref>;
using Array = sys::CPtr<GPtrArray, g_ptr_array_unref>;

/// By reference: it is set by the call that is the first argument.
void check(gboolean done, GError*& error, const char* what) {
    if (!done) give_up(std::string(what) + ": " + (error ? error->message : "no reason"));
}

Object<OstreeSysroot> load() {
    Object<OstreeSysroot> sysroot(ostree_sysroot_new_default());
    GError* error = nullptr;
    check(ostree_sysroot_load(sysroot.get(), nullptr, &error), error, "load");
    return sysroot;
}

std::string id_of(OstreeDeployment* each) {
    return std::string(ostree_deployment_get_osname(each)) + "-" + ostree_deployment_get_csum(each) + "." +
           std::to_string(ostree_deployment_get_deployserial(each));
}

OstreeDeployment* at(const Array& deployments, std::size_t index) {
    return OSTREE_DEPLOYMENT(g_ptr_array_index(deployments.get(), index));
}

OstreeDeployment* find(const Array& deployments, const std::string& id) {
    for (std::size_t index = 0; index < deployments->len; ++index)
        if (id_of(at(deployments, index)) == id) return at(deployments, index);
    give_up("no deployment " + id);
}
}  // namespace

World::World(std::size_t most) {
    if (::geteuid() != 0) throw Missing{"root, to make mount namespaces"};
    if (std::system("command -v ostree >/dev/null") != 0) throw Missing{"the program ostree"};
    if (::unshare(CLONE_NEWNS) != 0) throw Missing{"mount namespaces"};
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
    std::string pattern = (fs::temp_directory_path() / "mg-ostree-XXXXXX").native();
    must(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
    place_ = pattern;
    if (::mount("tmpfs", place_.c_str(), "tmpfs", 0, "mode=755") != 0) throw Missing{"the right to mount"};
    ::setenv("OSTREE_SYSROOT_DEBUG", "mutable-deployments", 1);

    const fs::path repo = place_ / "repo";
    output_of({"ostree", "init", "--mode=archive", "--repo=" + repo.string()});
    const fs::path tree = place_ / "tree";
    commits_["v3-base"] = commit_tree(repo, tree, "v3-base", 250);
    const std::vector<std::vector<std::string>> metadata{
        {},
        {"--add-metadata-string=ostree.manifest-digest=sha256:00c0ffee"},
        {"--add-metadata=rpmostree.clientlayer=true", "--parent=" + commit("v3-base")},
        {}};
    for (std::size_t number = 1; number <= most; ++number) {
        const std::string version = "v" + std::to_string(number);
        commits_[version] =
            commit_tree(repo, tree, version, 500 - 100 * static_cast<int>(number), metadata.at(number - 1));
    }
    commits_[kStagedVersion] = commit_tree(repo, tree, kStagedVersion, 0);
    write_text(place_ / "programs/systemctl", "#!/bin/sh\nexit 0\n");  // libostree starts a unit when it stages
    fs::permissions(place_ / "programs/systemctl", fs::perms{0755});
    for (std::size_t count = 1; count <= most; ++count) {
        const std::string sysroot = place_ / std::to_string(count);
        const std::string option = "--sysroot=" + sysroot;
        fs::create_directories(sysroot);
        output_of({"ostree", "admin", "init-fs", sysroot});
        output_of({"ostree", "admin", "os-init", kOs, option});
        output_of({"ostree", "pull-local", "--repo=" + sysroot + "/ostree/repo", repo.string()});
        for (std::size_t number = 1; number <= count; ++number)
            output_of(
                {"ostree", "admin", "deploy", option, "--os=testos", "--retain", ref_of("v" + std::to_string(number))});
    }
}

World::~World() {
    ::umount2(place_.c_str(), MNT_DETACH);
    ::rmdir(place_.c_str());
}

void World::bring(const sys::Path& program) { fs::copy_file(program, place_ / "programs" / program.filename()); }

std::string World::commit(std::string_view version) const { return commits_.find(version)->second; }

std::string World::id(std::string_view version) const { return "testos-" + commit(version) + ".0"; }

int World::boot(std::size_t deployments, std::string_view version, const std::function<int()>& inside) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child > 0) {
        int status = 0;
        must(::waitpid(child, &status, 0) == child, "waitpid");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    must(::unshare(CLONE_NEWNS) == 0, "unshare");
    const fs::path sysroot = place_ / std::to_string(deployments);
    const fs::path root = place_ / "root";
    bind_mount(sysroot / "ostree/deploy/testos/deploy" / (commit(version) + ".0"), root);
    bind_mount(sysroot, root / "sysroot");
    bind_mount(sysroot / "boot", root / "boot");
    for (const char* host : {"/usr", "/dev", "/proc"})
        bind_mount(host, root.string() + host);
    bind_mount(place_ / "programs", root / "programs");
    fs::create_directories(root / "run");
    must(::mount("tmpfs", (root / "run").c_str(), "tmpfs", 0, "mode=755") == 0, "/run");
    write_text(root / "run/ostree-booted", "");
    std::error_code exists;
    fs::create_symlink("sysroot/ostree", root / "ostree", exists);
    for (const char* name : {"bin", "lib", "lib64", "sbin"})
        fs::create_symlink(std::string("usr/") + name, root / name, exists);
    fs::create_directories(root / "tmp");
    must(::chroot(root.c_str()) == 0 && ::chdir("/") == 0, "chroot");
    ::setenv("PATH", "/programs:/usr/sbin:/usr/bin", 1);
    const int status = inside();
    std::fflush(nullptr);
    ::_exit(status);
}

std::vector<Entry> entries() {
    const auto sysroot = load();
    const Array deployments(ostree_sysroot_get_deployments(sysroot.get()));
    OstreeDeployment* booted = ostree_sysroot_get_booted_deployment(sysroot.get());
    std::vector<Entry> found;
    for (std::size_t index = 0; index < deployments->len; ++index) {
        OstreeDeployment* each = at(deployments, index);
        found.push_back({id_of(each), booted && ostree_deployment_equal(each, booted),
                         ostree_deployment_is_staged(each) != 0, ostree_deployment_is_pinned(each) != 0});
    }
    return found;
}

void set_order(const std::vector<std::string>& ids) {
    const auto sysroot = load();
    const Array deployments(ostree_sysroot_get_deployments(sysroot.get()));
    const Array wanted(g_ptr_array_new_with_free_func(g_object_unref));
    for (const std::string& id : ids)
        g_ptr_array_add(wanted.get(), g_object_ref(find(deployments, id)));
    GError* error = nullptr;
    check(ostree_sysroot_write_deployments(sysroot.get(), wanted.get(), nullptr, &error), error, "write");
    // libostree leaves the child that watches over a frozen /boot to whoever ends first: here that is never us.
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
}

void set_pinned(const std::string& id, bool pinned) {
    const auto sysroot = load();
    const Array deployments(ostree_sysroot_get_deployments(sysroot.get()));
    GError* error = nullptr;
    check(ostree_sysroot_deployment_set_pinned(sysroot.get(), find(deployments, id), pinned, &error), error, "pin");
}

std::string stage(std::string_view version) {
    const auto sysroot = load();
    GError* error = nullptr;
    char* checksum = nullptr;
    check(
        ostree_repo_resolve_rev(ostree_sysroot_repo(sysroot.get()), ref_of(version).c_str(), FALSE, &checksum, &error),
        error, "resolve");
    const sys::CPtr<char, g_free> revision(checksum);
    const sys::CPtr<GKeyFile, g_key_file_unref> origin(
        ostree_sysroot_origin_new_from_refspec(sysroot.get(), ref_of(version).c_str()));
    const Object<OstreeDeployment> merge(ostree_sysroot_get_merge_deployment(sysroot.get(), kOs));
    OstreeDeployment* staged = nullptr;
    check(ostree_sysroot_stage_tree(sysroot.get(), kOs, checksum, origin.get(), merge.get(), nullptr, &staged, nullptr,
                                    &error),
          error, "stage");
    const Object<OstreeDeployment> owned(staged);
    return id_of(staged);
}

std::shared_ptr<void> hold_lock() {
    OstreeSysroot* sysroot = load().release();
    GError* error = nullptr;
    check(ostree_sysroot_lock(sysroot, &error), error, "lock");
    return {sysroot, [](void* held) {
                ostree_sysroot_unlock(static_cast<OstreeSysroot*>(held));
                g_object_unref(held);
            }};
}

std::int64_t last_write_nsec() {
    struct stat found{};
    must(::stat("/ostree/deploy", &found) == 0, "stat");
    return found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec;
}

int run(const std::vector<std::string>& command) { return spawn(command, -1); }

std::string told_error() {
    std::ifstream in("/run/modelguard-os/error");
    std::string line;
    std::getline(in, line);
    return line;
}

}  // namespace modelguard::ostree_test
