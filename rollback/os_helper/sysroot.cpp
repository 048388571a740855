#include "rollback/os_helper/sysroot.hpp"

#include <ostree.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::rollback::os_helper {

namespace {
template <class T>
using Object = sys::CPtr<T, g_object_unref>;
using Variant = sys::CPtr<GVariant, g_variant_unref>;
using Text = sys::CPtr<char, g_free>;
using Texts = sys::CPtr<char*, g_strfreev>;
using Array = sys::CPtr<GPtrArray, g_ptr_array_unref>;

/// A GError that frees itself; `&error` where libostree takes one.
class GlibError {
  public:
    GlibError() = default;
    GlibError(const GlibError&) = delete;
    GlibError& operator=(const GlibError&) = delete;
    ~GlibError() { g_clear_error(&error_); }
    GError** operator&() { return &error_; }  // NOLINT(google-runtime-operator): what the C calls take
    std::unexpected<Error> as_error(std::string_view what) const {
        return fail(ErrorKind::io, std::string(what) + ": " + (error_ ? error_->message : "no reason given") +
                                       "; expected a sysroot that libostree reads and writes; next: ostree admin "
                                       "status");
    }

  private:
    GError* error_{nullptr};
};

// flock() has no wait with a limit, and an interrupted one would need a signal: the lock is asked for again instead.
constexpr timespec kLockRetry{.tv_sec = 0, .tv_nsec = 50'000'000};

OstreeDeployment* at(GPtrArray* deployments, std::size_t index) {
    return OSTREE_DEPLOYMENT(g_ptr_array_index(deployments, index));
}

std::string id_of(OstreeDeployment* deployment) {
    return std::string(ostree_deployment_get_osname(deployment)) + "-" + ostree_deployment_get_csum(deployment) + "." +
           std::to_string(ostree_deployment_get_deployserial(deployment));
}

/// The boot entry names the kernel as the boot loader sees it: below /boot's own file system, or below /.
bool has_kernel(const std::string& root, OstreeDeployment* deployment) {
    OstreeBootconfigParser* entry = ostree_deployment_get_bootconfig(deployment);
    const char* kernel = entry ? ostree_bootconfig_parser_get(entry, "linux") : nullptr;
    if (!kernel) return false;
    std::string_view path(kernel);
    if (path.starts_with("/boot/")) path.remove_prefix(std::string_view("/boot").size());
    struct stat found{};
    return ::stat((root + "/boot" + std::string(path)).c_str(), &found) == 0 && S_ISREG(found.st_mode);
}

/// "group.key=a;b" of each list that changes what the tree holds, the entries sorted.
std::string layers_of(GKeyFile* origin) {
    // Source: rpm-ostree's origin file: layered packages, overrides and modules.
    constexpr std::array kGroups{"packages", "overrides", "modules"};
    std::string layers;
    for (const char* group : kGroups) {
        const Texts keys(origin ? g_key_file_get_keys(origin, group, nullptr, nullptr) : nullptr);
        if (!keys) continue;
        std::vector<std::string> lines;
        for (char** key = keys.get(); *key; ++key) {
            const Texts values(g_key_file_get_string_list(origin, group, *key, nullptr, nullptr));
            std::vector<std::string> entries;
            for (char** value = values.get(); value && *value; ++value)
                entries.emplace_back(*value);
            if (entries.empty()) continue;
            std::ranges::sort(entries);
            std::string& line = lines.emplace_back(std::string(group) + "." + *key + "=");
            for (const std::string& entry : entries)
                line += entry + ";";
        }
        std::ranges::sort(lines);
        for (const std::string& line : lines)
            layers += line + "\n";
    }
    return layers;
}

struct Commit {
    Variant whole;
    Variant metadata;
};

Result<Commit> read_commit(OstreeRepo* repo, const std::string& checksum) {
    GVariant* raw = nullptr;
    GlibError error;
    if (!ostree_repo_load_variant(repo, OSTREE_OBJECT_TYPE_COMMIT, checksum.c_str(), &raw, &error))
        return error.as_error("read commit " + checksum);
    Commit commit{Variant(raw), nullptr};
    commit.metadata.reset(g_variant_get_child_value(raw, 0));
    return commit;
}

std::string image_digest(const Commit& commit) {
    const char* digest = nullptr;
    g_variant_lookup(commit.metadata.get(), "ostree.manifest-digest", "&s", &digest);
    return digest ? digest : "";
}

bool is_client_layered(const Commit& commit) {
    gboolean layered = FALSE;
    return g_variant_lookup(commit.metadata.get(), "rpmostree.clientlayer", "b", &layered) && layered;
}

/// The image's digest, or else the checksum of the commit that the packages were layered on.
std::string base_of(OstreeRepo* repo, const std::string& checksum, const Commit& commit) {
    if (std::string digest = image_digest(commit); !digest.empty()) return digest;
    if (!is_client_layered(commit)) return checksum;
    const Text parent(ostree_commit_get_parent(commit.whole.get()));
    if (!parent) return checksum;
    // Where the base is no longer there its checksum still says which it was.
    const Result<Commit> base = read_commit(repo, parent.get());
    const std::string digest = base ? image_digest(*base) : std::string();
    return digest.empty() ? std::string(parent.get()) : digest;
}
}  // namespace

struct Sysroot::Impl {
    std::string root;
    Object<OstreeSysroot> sysroot;
    Array deployments;
    std::vector<Tree> trees;

    Result<void> read() {
        deployments.reset(ostree_sysroot_get_deployments(sysroot.get()));
        OstreeDeployment* booted = ostree_sysroot_get_booted_deployment(sysroot.get());
        if (!booted)
            return fail(ErrorKind::unsupported,
                        "no deployment of " + root + "/ is booted; expected an ostree host; next: ostree admin status");
        trees.clear();
        for (std::size_t index = 0; index < deployments->len; ++index) {
            OstreeDeployment* each = at(deployments.get(), index);
            const bool staged = ostree_deployment_is_staged(each);
            trees.push_back({.id = id_of(each),
                             .osname = ostree_deployment_get_osname(each),
                             .booted = ostree_deployment_equal(each, booted) != 0,
                             .staged = staged,
                             .os_pinned = ostree_deployment_is_pinned(each) != 0,
                             // a staged one has no entry yet
                             .bootable = staged || has_kernel(root, each)});
        }
        return {};
    }
};

Sysroot::Sysroot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sysroot::Sysroot(Sysroot&&) noexcept = default;
Sysroot& Sysroot::operator=(Sysroot&&) noexcept = default;
Sysroot::~Sysroot() = default;

Result<Sysroot> Sysroot::load(const std::string& path, bool own_namespace) {
    auto impl = std::make_unique<Impl>();
    impl->root = path == "/" ? std::string() : path;
    const Object<GFile> file(g_file_new_for_path(path.c_str()));
    impl->sysroot.reset(path == "/" ? ostree_sysroot_new_default() : ostree_sysroot_new(file.get()));
    if (own_namespace) ostree_sysroot_set_mount_namespace_in_use(impl->sysroot.get());
    GlibError error;
    if (!ostree_sysroot_load(impl->sysroot.get(), nullptr, &error)) return error.as_error("read the deployments");
    MG_CHECK(impl->read());
    return Sysroot(std::move(impl));
}

const std::vector<Tree>& Sysroot::trees() const { return impl_->trees; }

TreeFacts Sysroot::facts(std::size_t index) const {
    OstreeDeployment* deployment = at(impl_->deployments.get(), index);
    OstreeRepo* repo = ostree_sysroot_repo(impl_->sysroot.get());
    const std::string checksum = ostree_deployment_get_csum(deployment);
    TreeFacts facts{.identity = checksum, .newness_sec = 0};
    if (const Result<Commit> commit = read_commit(repo, checksum)) {
        facts.identity = base_of(repo, checksum, *commit);
        facts.newness_sec = static_cast<std::int64_t>(ostree_commit_get_timestamp(commit->whole.get()));
    }
    // The list may be long and is only ever compared.
    constexpr std::size_t kDigits = 32;
    if (const std::string layers = layers_of(ostree_deployment_get_origin(deployment)); !layers.empty())
        facts.identity += "+" + sys::sha256_hex(layers).substr(0, kDigits);
    return facts;
}

Result<void> Sysroot::lock(Usec patience) {
    const Instant deadline = sys::boottime_now() + patience;
    gboolean acquired = FALSE;
    for (;;) {
        GlibError error;
        if (!ostree_sysroot_try_lock(impl_->sysroot.get(), &acquired, &error)) return error.as_error("lock");
        if (acquired) break;
        if (sys::boottime_now() >= deadline)
            return fail(ErrorKind::unavailable,
                        "busy: another program has held the sysroot's lock for " + format_duration(patience) +
                            "; expected it to be free; next: wait for the updater to end (rpm-ostree status)");
        ::nanosleep(&kLockRetry, nullptr);
    }
    GlibError error;
    gboolean changed = FALSE;
    if (!ostree_sysroot_load_if_changed(impl_->sysroot.get(), &changed, nullptr, &error))
        return error.as_error("read the deployments again");
    return impl_->read();
}

Result<void> Sysroot::write(const std::vector<std::size_t>& order) {
    const Array wanted(g_ptr_array_new_with_free_func(g_object_unref));
    for (const std::size_t index : order)
        g_ptr_array_add(wanted.get(), g_object_ref(at(impl_->deployments.get(), index)));
    GlibError error;
    if (!ostree_sysroot_write_deployments(impl_->sysroot.get(), wanted.get(), nullptr, &error))
        return error.as_error("write the boot order");
    return {};
}

void Sysroot::unlock() { ostree_sysroot_unlock(impl_->sysroot.get()); }

}  // namespace modelguard::rollback::os_helper
