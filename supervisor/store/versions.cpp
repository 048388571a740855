#include "supervisor/store/versions.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "supervisor/base/text.hpp"
#include "supervisor/store/child_exit.hpp"
#include "supervisor/store/place_tree.hpp"
#include "supervisor/store/quarantine.hpp"
#include "supervisor/store/rubbish.hpp"
#include "supervisor/store/tree.hpp"
#include "supervisor/store/version_file.hpp"
#include "supervisor/store/version_json.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::store {

namespace {

// 64 GiB over a link of 3 MiB/s. A stalled body ends sooner: the server of the request gives it up.
constexpr Usec kImportTimeout = std::chrono::hours(6);
// 64 GiB from a flash card at 20 MiB/s.
constexpr Usec kHashTimeout = std::chrono::hours(1);
constexpr Usec kScrubTimeout = std::chrono::hours(24);  // it gets what others leave
// Stamps name files up to 64 KiB (tree.cpp); JSON within JSON at most doubles it.
constexpr std::size_t kAnswerBytes = 512u << 10;
constexpr int kPipeBytes = 1 << 20;  // the most that the kernel lets anybody have; one system call for each MiB

using Verified = VersionStore::Verified;

Result<Verified> verified_from(const sys::ProcessEnd& end, const Digest& digest) {
    if (!end.ok()) {
        Error error = error_of_child(end, "verify");
        if (error.kind == ErrorKind::invalid_config)
            return Verified{.intact = false, .why = std::move(error.what), .stamps = {}};
        return std::unexpected(std::move(error));
    }
    try {
        const auto answer = nlohmann::json::parse(end.output);
        const auto found = answer.at("digest").get<std::string>();
        if (found == digest.text)
            return Verified{.intact = true, .why = {}, .stamps = answer.at("stamps").get<std::string>()};
        return Verified{.intact = false,
                        .why = "its content has another digest: " + Digest{found}.short_form() + " instead of " +
                               digest.short_form(),
                        .stamps = {}};
    } catch (const nlohmann::json::exception& error) {
        return fail(ErrorKind::internal, std::string("verify: the child's answer: ") + error.what());
    }
}

enum class Pace { prompt, idle };

Result<sys::Process> spawn_hash(sys::Loop& loop, const sys::Path& exe, const sys::Path& tree, const Digest& digest,
                                std::function<void(Result<Verified>)> done, Pace pace = Pace::prompt) {
    sys::ProcessSpec spec;
    spec.argv = {exe.string(), "--child-hash", tree.string()};
    if (pace == Pace::idle) spec.argv.emplace_back("idle");
    spec.timeout = pace == Pace::idle ? kScrubTimeout : kHashTimeout;
    spec.output_cap = kAnswerBytes;
    spec.separate_stdout = true;
    return sys::spawn(loop, std::move(spec), [digest, done = std::move(done)](const sys::ProcessEnd& end) {
        done(verified_from(end, digest));
    });
}

bool has_directory(const sys::Path& path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// Not durable: what is in staging/ counts for nothing after a crash.
Result<void> make_staging_directory(const sys::Path& path) {
    if (::mkdir(path.c_str(), 0755) != 0 || ::chmod(path.c_str(), 0755) != 0)
        return fail_errno("make directory " + path.string(), errno);
    return {};
}

/// One import: the child, its staging directory and the pipe to it. Holds copies, so that it may outlive the store.
class StagedImport : public Import {
  public:
    StagedImport(sys::Loop& loop, Places places, sys::Path exe, std::shared_ptr<Rubbish> rubbish, std::string model,
                 sys::Path staging, std::function<void(Result<VersionInfo>)> done)
        : loop_(loop),
          places_(std::move(places)),
          exe_(std::move(exe)),
          rubbish_(std::move(rubbish)),
          model_(std::move(model)),
          staging_(std::move(staging)),
          done_(std::move(done)) {}
    ~StagedImport() override {
        rubbish_->forget(this);
        process_ = {};  // kills and reaps: nothing writes into staging any more
        clean();
    }
    StagedImport(const StagedImport&) = delete;
    StagedImport& operator=(const StagedImport&) = delete;

    Result<void> start(const ImportLimits& limits);
    Result<void> begin(const ImportLimits& limits, sys::Fd input);
    int input_fd() const override { return input_.get(); }
    void finish_input() override { input_.reset(); }

  private:
    sys::Path tree() const { return staging_ / "tree"; }
    void imported(const sys::ProcessEnd& end);
    Result<void> place(VersionInfo info);
    void verified_old(VersionInfo info, const Result<Verified>& old);
    void finish(Result<VersionInfo> result);
    void clean() {
        if (!staging_.empty()) rubbish_->remove(std::exchange(staging_, {}));
    }

    sys::Loop& loop_;
    Places places_;
    sys::Path exe_;
    std::shared_ptr<Rubbish> rubbish_;  // the store's, which may be gone before the import
    std::string model_;
    sys::Path staging_;
    std::function<void(Result<VersionInfo>)> done_;
    sys::Fd input_;
    sys::Process process_;
};

Result<void> StagedImport::start(const ImportLimits& limits) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe to the import child", errno);
    sys::Fd child_end(ends[0]);
    input_ = sys::Fd(ends[1]);
    if (::fcntl(input_.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("pipe to the import child", errno);
    std::ignore = ::fcntl(input_.get(), F_SETPIPE_SZ, kPipeBytes);  // a smaller one is slower, not wrong

    MG_CHECK(make_staging_directory(staging_));
    MG_CHECK(make_staging_directory(tree()));
    if (!rubbish_->is_at_work()) return begin(limits, std::move(child_end));
    // The space that it frees may be what this one needs; and two at the disk at once are slower than one after
    // another.
    auto input = std::make_shared<sys::Fd>(std::move(child_end));  // std::function wants to be copied
    rubbish_->when_idle(this, [this, limits, input] {
        if (auto begun = begin(limits, std::move(*input)); !begun) finish(std::unexpected(std::move(begun).error()));
    });
    return {};
}

Result<void> StagedImport::begin(const ImportLimits& limits, sys::Fd input) {
    sys::ProcessSpec spec;
    spec.argv = {exe_.string(),
                 "--child-import",
                 tree().string(),
                 std::to_string(limits.max_bytes),
                 std::to_string(limits.max_entries),
                 std::to_string(limits.max_ratio),
                 std::to_string(limits.max_path),
                 std::to_string(limits.max_depth),
                 std::to_string(limits.reserve_bytes)};
    spec.input = std::move(input);
    spec.timeout = kImportTimeout;
    spec.output_cap = kAnswerBytes;
    spec.separate_stdout = true;
    MG_TRY(process_, sys::spawn(loop_, std::move(spec), [this](const sys::ProcessEnd& end) { imported(end); }));
    return {};
}

void StagedImport::imported(const sys::ProcessEnd& end) {
    input_.reset();
    if (!end.ok()) return finish(std::unexpected(error_of_child(end, "import")));
    Result<VersionInfo> info = version_info_from_json(end.output);
    if (!info) return finish(std::unexpected(Error{ErrorKind::internal, "import: " + info.error().what, 0}));
    if (auto placed = place(std::move(*info)); !placed) finish(std::unexpected(std::move(placed).error()));
}

Result<void> StagedImport::place(VersionInfo info) {
    const sys::Path target = places_.version_dir(model_, info.digest);
    if (!has_directory(target)) {
        MG_CHECK(place_tree(tree(), target));
        finish(std::move(info));
        return {};
    }
    // It is there already. It may have been for a year: it is believed after it has been read again, not before.
    const Digest digest = info.digest;
    MG_TRY(process_,
           spawn_hash(loop_, exe_, target, digest,
                      [this, info = std::move(info)](const Result<Verified>& old) { verified_old(info, old); }));
    return {};
}

void StagedImport::verified_old(VersionInfo info, const Result<Verified>& old) {
    if (!old) return finish(std::unexpected(old.error()));
    if (old->intact) {
        info.stamps = old->stamps;
        return finish(std::move(info));
    }
    if (auto replaced = replace_tree(tree(), places_.version_dir(model_, info.digest)); !replaced)
        return finish(std::unexpected(std::move(replaced).error()));
    finish(std::move(info));
}

void StagedImport::finish(Result<VersionInfo> result) {
    clean();
    const auto done = std::exchange(done_, nullptr);
    done(std::move(result));  // may drop this import: nothing of it is used below
}

class DiskVersionStore : public VersionStore {
  public:
    DiskVersionStore(sys::Loop& loop, Places places, ImportLimits limits, sys::Path exe)
        : loop_(loop),
          places_(std::move(places)),
          limits_(limits),
          exe_(std::move(exe)),
          rubbish_(std::make_shared<Rubbish>(loop_, exe_)) {}

    Result<void> prepare();
    Result<std::unique_ptr<Import>> begin_import(const std::string& model,
                                                 std::function<void(Result<VersionInfo>)> done) override;
    sys::Process verify(const std::string& model, const Digest& digest, const std::string& stamps,
                        std::function<void(Result<Verified>)> done) override;
    sys::Process scrub(const std::string& model, const Digest& digest,
                       std::function<void(Result<Verified>)> done) override;
    VersionInfo describe(const std::string& model, const Digest& digest) const override;
    Result<std::vector<Digest>> list(const std::string& model) const override;
    Result<void> remove(const std::string& model, const Digest& digest) override;
    Result<void> remove_model(const std::string& model) override;
    Result<void> quarantine(const std::string& model, const Digest& digest) override;
    Result<std::size_t> empty_quarantine(const std::string& model) override { return remove_quarantined(model, 0); }
    bool is_deleting() const override { return rubbish_->is_at_work(); }
    void on_note(std::function<void(const std::string&)> note) override { rubbish_->on_note = std::move(note); }
    const Places& places() const override { return places_; }

  private:
    sys::Path next_staging(const char* purpose) {
        for (;;) {
            sys::Path path = places_.staging() / (std::string(purpose) + "-" + std::to_string(++staged_));
            struct stat status{};
            if (::lstat(path.c_str(), &status) != 0) return path;  // else a dead daemon's, not removed yet
        }
    }
    void answer_later(std::function<void(Result<Verified>)> done, Result<Verified> answer);
    Result<std::size_t> remove_quarantined(const std::string& model, std::size_t kept);

    sys::Loop& loop_;
    Places places_;
    ImportLimits limits_;
    sys::Path exe_;
    std::shared_ptr<Rubbish> rubbish_;  // also of each import, which may outlive the store
    std::uint64_t staged_{0};           // staging/ is ours alone: a number is enough
    std::uint64_t deferred_{0};
    std::map<std::uint64_t, sys::Source> answers_;  // given on the next turn of the loop
};

Result<void> DiskVersionStore::prepare() {
    MG_CHECK(sys::make_directories(places_.models(), 0755));
    MG_CHECK(sys::make_directories(places_.staging(), 0700));
    std::error_code error;
    std::vector<sys::Path> left;
    for (std::filesystem::directory_iterator at(places_.staging(), error), end; !error && at != end;
         at.increment(error))
        left.push_back(at->path());
    if (error) return fail_errno("read " + places_.staging().string(), error.value());
    for (const sys::Path& path : left)
        rubbish_->remove(path);
    return {};
}

Result<void> check_model_name(const std::string& model) {
    if (is_valid_name(model)) return {};
    return fail(ErrorKind::invalid_config, "'" + printable_name(model) + "' is not a name of a model");
}

Result<std::unique_ptr<Import>> DiskVersionStore::begin_import(const std::string& model,
                                                               std::function<void(Result<VersionInfo>)> done) {
    MG_CHECK(check_model_name(model));
    auto import =
        std::make_unique<StagedImport>(loop_, places_, exe_, rubbish_, model, next_staging("import"), std::move(done));
    MG_CHECK(with_context(import->start(limits_), "import"));
    return import;
}

void DiskVersionStore::answer_later(std::function<void(Result<Verified>)> done, Result<Verified> answer) {
    const std::uint64_t number = ++deferred_;
    answers_[number] = loop_.defer([this, number, done = std::move(done), answer = std::move(answer)]() mutable {
        const auto call = std::move(done);
        const auto given = std::move(answer);
        answers_.erase(number);  // with it goes this closure
        call(given);
    });
}

sys::Process DiskVersionStore::verify(const std::string& model, const Digest& digest, const std::string& stamps,
                                      std::function<void(Result<Verified>)> done) {
    const sys::Path tree = places_.version_dir(model, digest);
    if (!stamps.empty()) {
        Result<TreeStamps> now = read_stamps(tree);
        if (now && !stamps_difference(stamps, std::move(*now))) {
            answer_later(std::move(done), Verified{.intact = true, .why = {}, .stamps = stamps});
            return {};
        }
    }
    // What the stamps say helps the operator only where the hash agrees that something is wrong.
    auto explained = [tree, stamps, done](Result<Verified> answer) {
        if (answer && !answer->intact && !stamps.empty())
            if (Result<TreeStamps> now = read_stamps(tree))
                if (const auto difference = stamps_difference(stamps, std::move(*now)))
                    answer->why += "; " + *difference;
        done(std::move(answer));
    };
    Result<sys::Process> child = spawn_hash(loop_, exe_, tree, digest, std::move(explained));
    if (child) return std::move(*child);
    answer_later(std::move(done), std::unexpected(std::move(child).error()));
    return {};
}

sys::Process DiskVersionStore::scrub(const std::string& model, const Digest& digest,
                                     std::function<void(Result<Verified>)> done) {
    Result<sys::Process> child = spawn_hash(loop_, exe_, places_.version_dir(model, digest), digest, done, Pace::idle);
    if (child) return std::move(*child);
    answer_later(std::move(done), std::unexpected(std::move(child).error()));
    return {};
}

VersionInfo DiskVersionStore::describe(const std::string& model, const Digest& digest) const {
    VersionInfo info;
    info.digest = digest;
    const sys::Path tree = places_.version_dir(model, digest);
    if (const auto text = sys::read_file(tree / kVersionFileName, kMaxVersionFileBytes))
        if (auto said = parse_version_file(*text)) {
            info.label = std::move(said->label);
            info.served_version = std::move(said->served_version);
        }
    if (const auto stamps = read_stamps(tree)) {
        info.files = stamps->files.size();
        for (const FileStamp& file : stamps->files)
            info.bytes += file.size;
    }
    return info;
}

Result<std::vector<Digest>> DiskVersionStore::list(const std::string& model) const {
    MG_CHECK(check_model_name(model));
    std::vector<Digest> digests;
    std::error_code error;
    const sys::Path versions = places_.model_dir(model) / "versions";
    for (std::filesystem::directory_iterator at(versions, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename();
        const Result<Digest> digest = parse_digest(name);
        if (digest && digest->dir_name() == name && has_directory(at->path())) digests.push_back(*digest);
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return fail_errno("read " + versions.string(), error.value());
    std::ranges::sort(digests);
    return digests;
}

Result<void> DiskVersionStore::remove(const std::string& model, const Digest& digest) {
    MG_CHECK(check_model_name(model));
    MG_TRY(const Digest exact, parse_digest(digest.text));
    const sys::Path rubbish = next_staging("removed");
    MG_CHECK(with_context(retire_tree(places_.version_dir(model, exact), rubbish), "remove"));
    rubbish_->remove(rubbish);
    return {};
}

Result<void> DiskVersionStore::remove_model(const std::string& model) {
    MG_CHECK(check_model_name(model));
    const sys::Path rubbish = next_staging("removed");
    MG_CHECK(with_context(retire_tree(places_.model_dir(model), rubbish), "remove the model"));
    rubbish_->remove(rubbish);
    return {};
}

Result<void> DiskVersionStore::quarantine(const std::string& model, const Digest& digest) {
    MG_CHECK(check_model_name(model));
    MG_TRY(const Digest exact, parse_digest(digest.text));
    const Result<void> moved = quarantine_tree(places_, model, exact);
    if (!moved && moved.error().sys_errno == ENOSPC) {
        MG_CHECK(remove_quarantined(model, 0));
        return remove(model, exact);
    }
    MG_CHECK(with_context(moved, "quarantine"));
    MG_CHECK(remove_quarantined(model, kQuarantined));
    return {};
}

Result<std::size_t> DiskVersionStore::remove_quarantined(const std::string& model, std::size_t kept) {
    MG_CHECK(check_model_name(model));
    MG_TRY(const std::vector<sys::Path> trees, quarantined_trees(places_, model));
    for (std::size_t at = kept; at < trees.size(); ++at) {
        const sys::Path rubbish = next_staging("removed");
        MG_CHECK(with_context(retire_tree(trees[at], rubbish), "remove from quarantine"));
        rubbish_->remove(rubbish);
    }
    return trees.size() - std::min(kept, trees.size());
}

}  // namespace

Places places_under(const sys::Path& root) {
    if (root.empty())
        return {
            .state = "/var/lib/modelguard", .runtime = "/run/modelguard", .config = "/etc/modelguard", .rooted = false};
    std::error_code error;
    sys::Path base = std::filesystem::absolute(root, error);  // children work in "/"
    if (error) base = root;
    return {.state = base / "var/lib/modelguard",
            .runtime = base / "run/modelguard",
            .config = base / "etc/modelguard",
            .rooted = true};
}

std::vector<std::string> models_on_disk(const Places& places) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(places.models(), error), end; !error && at != end; at.increment(error))
        if (std::string name = at->path().filename(); is_valid_name(name)) names.push_back(std::move(name));
    std::ranges::sort(names);
    return names;
}

Result<std::unique_ptr<VersionStore>> VersionStore::open(sys::Loop& loop, Places places, ImportLimits limits,
                                                         sys::Path self_exe) {
    auto store = std::make_unique<DiskVersionStore>(loop, std::move(places), limits, std::move(self_exe));
    MG_CHECK(with_context(store->prepare(), "open the version store"));
    return store;
}

}  // namespace modelguard::store
