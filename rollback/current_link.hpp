#pragma once
// The link `current` in a model's directory: what every switch moves last and what recovery reads. Not for what a
// service reads besides (a tag): that is the switch's own.

#include <optional>
#include <string>

#include "supervisor/core/step.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::rollback {

/// Moves the link to this version, removes it where there is none. Blocks for one fsync of the directory. not_found
/// where the version is not in the store, invalid_config where it is no digest, io.
Result<void> move_link(const sys::Path& model_dir, const core::VersionId& to);
/// Whether the link names this version now, whatever move_link() said: the link may be there and only its fsync failed.
bool is_linked(const sys::Path& model_dir, const core::VersionId& to);
/// Which version the link names; empty: none. conflict where it names something that is no version.
Result<core::VersionId> read_current(const sys::Path& model_dir);

}  // namespace modelguard::rollback
