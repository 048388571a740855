#pragma once
// The renames that make a staged tree a version, and a version rubbish. Durable on return. Internal to store.

#include "supervisor/store/versions.hpp"

namespace modelguard::store {

/// Moves `staged` to `target` (which must not exist), read-only and fsynced. The parent of `target` is made.
Result<void> place_tree(const sys::Path& staged, const sys::Path& target);
/// The same where `target` exists and is broken: exchanged in one step where the file system can, so that a link to
/// `target` resolves at every moment; the broken tree is then at `staged`.
Result<void> replace_tree(const sys::Path& staged, const sys::Path& target);
/// Moves `target` to `rubbish`; fine if there is none.
Result<void> retire_tree(const sys::Path& target, const sys::Path& rubbish);

}  // namespace modelguard::store
