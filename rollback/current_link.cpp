#include "rollback/current_link.hpp"

#include <system_error>

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
}  // namespace

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

bool is_linked(const sys::Path& model_dir, const core::VersionId& to) {
    const auto target = link_target(to);
    const auto now = sys::read_symlink(model_dir / "current");
    return now && *now == target && (target || to.empty());
}

Result<core::VersionId> read_current(const sys::Path& model_dir) {
    MG_TRY(const std::optional<std::string> target, sys::read_symlink(model_dir / "current"));
    if (!target) return core::VersionId{};
    const std::string_view text = *target;
    if (text.starts_with(kVersionsPrefix) && text.substr(kVersionsPrefix.size()).starts_with("sha256-"))
        if (auto digest = parse_digest(text.substr(kVersionsPrefix.size()))) return *digest;
    return fail(ErrorKind::conflict, "'" + (model_dir / "current").string() + "' points at '" + one_line(text, 100) +
                                         "', which is not a version of this store");
}

}  // namespace modelguard::rollback
