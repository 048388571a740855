#pragma once
// The backend `ostree`, its places made explicit for tests. Everybody else takes it from os_backends().

#include <memory>

#include "rollback/os_backend.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::rollback {

/// Does the host below `root` run from an ostree deployment, under systemd, with the OS helper's unit installed and not
/// masked?
bool ostree_is_present(const sys::Path& root);
/// `run` is where the helper leaves view.json and error.
std::unique_ptr<OsBackend> make_ostree_backend(sys::Loop& loop, const sys::Path& run);
/// "modelguard-os@order_os:ID.service"; "modelguard-os@list.service" for an empty target.
std::string os_helper_unit(std::string_view verb, std::string_view target);
/// view.json as the helper writes it. malformed_reply: it is anything else, or of another boot than `boot_id`.
Result<core::OsView> parse_os_view(const std::string& text, std::string_view boot_id);

}  // namespace modelguard::rollback
