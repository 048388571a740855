// Switch `files`: `current` in the model's directory is a relative link into versions/, replaced whole.

#include <system_error>

#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::rollback {

namespace {
constexpr std::string_view kVersionsPrefix = "versions/";

/// Where the link of this version points; nullopt where there is to be none, or it is no version.
std::optional<std::string> link_target(const core::VersionId& version) {
    const auto digest = parse_digest(version.text);
    if (!digest) return std::nullopt;
    return std::string(kVersionsPrefix) + digest->dir_name();
}

/// Moves the link; blocks for one fsync of the directory.
Result<void> move_link(const sys::Path& model_dir, const core::VersionId& to) {
    const sys::Path link = model_dir / "current";
    if (to.empty()) return sys::remove_symlink(link);
    MG_TRY(const Digest digest, parse_digest(to.text));
    const std::string target = *link_target(to);
    // A link must never name what is not there: whoever asks may be behind the garbage collector.
    std::error_code error;
    if (!std::filesystem::is_directory(model_dir / target, error))
        return fail(ErrorKind::not_found,
                    "version " + digest.short_form() + " is not in " + (model_dir / kVersionsPrefix).string());
    return sys::replace_symlink(link, target);
}

class FilesSwitch final : public Running {
  public:
    FilesSwitch(const SwitchRequest& request, std::function<void(Outcome)> done)
        : delivery_(request.service.loop, std::move(done)) {
        if (const auto moved = with_context(move_link(request.service.model_dir, request.to), "move the link");
            !moved) {
            Outcome outcome = failed_outcome(one_line(moved.error().what));
            // The link is there and only its fsync failed: whoever reads it is served the new version already.
            const auto target = link_target(request.to);
            const auto now = sys::read_symlink(request.service.model_dir / "current");
            outcome.link_moved = now && *now == target && (target || request.to.empty());
            delivery_.deliver(std::move(outcome));
            return;
        }
        if (request.then == nullptr) {
            finish(done_outcome());
            return;
        }
        then_ = request.then->start(request.service, request.then_params, ThenVerb::version_changed,
                                    [this](Outcome outcome) { finish(std::move(outcome)); });
    }

  private:
    void finish(Outcome outcome) {
        outcome.link_moved = true;
        delivery_.deliver(std::move(outcome));
    }

    Delivery delivery_;
    std::unique_ptr<Running> then_;
};

Result<core::VersionId> read_current(const sys::Path& model_dir) {
    MG_TRY(const std::optional<std::string> target, sys::read_symlink(model_dir / "current"));
    if (!target) return core::VersionId{};
    const std::string_view text = *target;
    if (text.starts_with(kVersionsPrefix) && text.substr(kVersionsPrefix.size()).starts_with("sha256-"))
        if (auto digest = parse_digest(text.substr(kVersionsPrefix.size()))) return *digest;
    return fail(ErrorKind::conflict, "'" + (model_dir / "current").string() + "' points at '" + one_line(text, 100) +
                                         "', which is not a version of this store");
}
}  // namespace

constinit const SwitchKind switch_files{
    .name = "files",
    .summary = "the link `current` in the model's directory names the version; servers read through it",
    .params = {},
    .start = [](const SwitchRequest& request, std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
        return std::make_unique<FilesSwitch>(request, std::move(done));
    },
    .current = read_current,
};

}  // namespace modelguard::rollback
