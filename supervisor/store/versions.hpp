#pragma once
// Versions on disk: import, digest, verification, listing, removal (DESIGN.md section 6). Imports, hashing and
// long removals run in child processes of the daemon's own executable (`modelguardd --child-import`, `--child-hash`,
// `--child-remove`), never on the loop. Not for which version is current or good: that is core's State in the ledger.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/base/ids.hpp"
#include "supervisor/sys/files.hpp"
#include "supervisor/sys/loop.hpp"
#include "supervisor/sys/process.hpp"

namespace modelguard::store {

/// Where everything is. `root` empty: the system's own places.
struct Places {
    sys::Path state;    ///< /var/lib/modelguard        or ROOT/var/lib/modelguard
    sys::Path runtime;  ///< /run/modelguard            or ROOT/run/modelguard
    sys::Path config;   ///< /etc/modelguard            or ROOT/etc/modelguard
    bool rooted{false};

    sys::Path models() const { return state / "models"; }
    sys::Path model_dir(std::string_view model) const { return models() / model; }
    sys::Path version_dir(std::string_view model, const Digest& digest) const {
        return model_dir(model) / "versions" / digest.dir_name();
    }
    sys::Path staging() const { return state / "staging"; }
    sys::Path database() const { return state / "state.db"; }
    sys::Path backup(int index) const { return state / ("state.bak." + std::to_string(index)); }
};
Places places_under(const sys::Path& root);
/// Names of models that have a directory, sorted.
std::vector<std::string> models_on_disk(const Places& places);

struct ImportLimits {
    std::uint64_t max_bytes{64ull << 30};  ///< unpacked
    std::uint64_t max_entries{100'000};
    std::uint64_t max_ratio{1'000};  ///< unpacked to packed, judged from 1 MiB unpacked on
    std::size_t max_path{1024};
    std::size_t max_depth{32};
    std::uint64_t reserve_bytes{64ull << 20};  ///< free space that an import must leave, so that the way back works
};

/// What the bundle says of itself in `modelguard-version.yaml` and what was measured.
struct VersionInfo {
    Digest digest;
    std::string label;           ///< empty: none given
    std::string served_version;  ///< empty: not checked
    std::uint64_t bytes{0};
    std::uint64_t files{0};
    std::int64_t imported_wall_usec{0};
    std::string
        stamps;  ///< opaque: (ino, size, mtime, ctime) of each file as the full hash saw it, dev with its boot id
    std::int64_t verified_wall_usec{0};  ///< when its newest full hash was right; for display
    std::uint64_t hash_turn{0};          ///< orders full hashes on this device: larger is later, 0: before all others
    std::string damage;                  ///< what the newest full hash found wrong; empty: nothing
};

/// An import under way; dropping it kills the child and removes its staging.
class Import {
  public:
    virtual ~Import() = default;
    /// The write end of the pipe to the child: non-blocking. Close it (finish_input) at the end of the body.
    virtual int input_fd() const = 0;
    virtual void finish_input() = 0;
};

class VersionStore {
  public:
    /// Makes the directories (0755 models/, 0700 staging/) and removes what a dead daemon left in staging/: what takes
    /// long, or fails, after the return.
    static Result<std::unique_ptr<VersionStore>> open(sys::Loop& loop, Places places, ImportLimits limits,
                                                      sys::Path self_exe);
    virtual ~VersionStore() = default;

    /// Starts an import of a tar stream (plain, gz, zst) into `model`. `done` comes once: the version, complete,
    /// fsynced and in place (or already there and re-verified), or why not, naming the entry. invalid_config: hostile
    /// or broken bundle; io with ENOSPC: no space. Nothing is left behind on error. While a removed tree is being
    /// deleted it waits, and its pipe fills.
    virtual Result<std::unique_ptr<Import>> begin_import(const std::string& model,
                                                         std::function<void(Result<VersionInfo>)> done) = 0;

    struct Verified {
        bool intact{false};
        std::string why;
        std::string stamps;
    };
    /// Re-hashes the version fully, or with `stamps` not empty compares them first and hashes only on a difference.
    /// `intact` false with `why` where the tree is not what its name says; an Error where that could not be found out.
    virtual sys::Process verify(const std::string& model, const Digest& digest, const std::string& stamps,
                                std::function<void(Result<Verified>)> done) = 0;

    /// The same without stamps, with what CPU time and disk bandwidth nobody else wants: for when nothing waits for it.
    virtual sys::Process scrub(const std::string& model, const Digest& digest,
                               std::function<void(Result<Verified>)> done) = 0;

    /// What can be said of a version on disk without reading its files: what it says of itself, their number and size.
    /// No import time, no stamps.
    virtual VersionInfo describe(const std::string& model, const Digest& digest) const = 0;
    /// Digests on disk, complete ones only.
    virtual Result<std::vector<Digest>> list(const std::string& model) const = 0;
    /// Removes a version: durably out of its place on return, deleted at once or, where that takes long, by a child.
    /// Restartable. Blocks for an fsync and some milliseconds.
    virtual Result<void> remove(const std::string& model, const Digest& digest) = 0;
    /// Removes all that the model has here, its links too, as remove() does: one rename.
    virtual Result<void> remove_model(const std::string& model) = 0;
    /// Moves a damaged version to models/MODEL/quarantine/, durably, where the newest one stays for a look and older
    /// ones are removed; fine if there is none. On a full disk it is removed instead. Blocks as remove() does.
    virtual Result<void> quarantine(const std::string& model, const Digest& digest) = 0;
    /// Removes what quarantine() left; how many. Blocks as remove() does.
    virtual Result<std::size_t> empty_quarantine(const std::string& model) = 0;
    /// A child deletes what was removed: there will be more space soon.
    virtual bool is_deleting() const = 0;
    /// Where to say what could not be deleted; it is tried again.
    virtual void on_note(std::function<void(const std::string&)> note) = 0;
    virtual const Places& places() const = 0;
};

/// The digest of a directory tree as section 6 defines it: sha256 of `<x|-> SP size SP sha256-hex SP path NUL` sorted
/// bytewise by path. Blocks. invalid_config where the tree holds anything but regular files and directories.
Result<Digest> digest_tree(const sys::Path& tree);

/// Entry points of the child processes; each returns the exit status. See versions.cpp for the pipe format.
int run_import_child(int argc, char** argv);
int run_hash_child(int argc, char** argv);
int run_remove_child(int argc, char** argv);

}  // namespace modelguard::store
