#pragma once
// VERSION on the command line: a digest, a unique prefix of at least six hex digits, or a label.

#include "supervisor/cli/session.hpp"

namespace modelguard::cli {

/// The digest meant by `text` among `versions`. A whole digest stands for itself, known or not. kNotFound where nothing
/// fits, kUsage where several versions do; the text lists the choices.
Answer<std::string> resolve_version(const api::Versions& versions, const std::string& text);

/// The same against the daemon's list for `model`.
Answer<std::string> resolve_version(const Session& session, const std::string& model, const std::string& text);

}  // namespace modelguard::cli
