#pragma once
// How the import and hash children end, and how the daemon reads it. Internal to store.
// Pipe format: stdin is the bundle (import only); stdout is one JSON text on success and empty otherwise; stderr is one
// line that says what was wrong; the exit status says whose fault it was.

#include <string>

#include "supervisor/base/result.hpp"
#include "supervisor/sys/process.hpp"

namespace modelguard::store {

enum ChildExit : int {
    exit_ok = 0,
    exit_refused = 1,  ///< the bundle or tree is at fault
    exit_usage = 2,    ///< wrong arguments: daemon and child are not of one release
    exit_no_space = 3,
    exit_io = 4,  ///< the system refused something
};

/// The exit status for an error, after its text went to stderr.
int report_error(const Error& error);
/// The error that a child which did not end well means.
Error error_of_child(const sys::ProcessEnd& end, const std::string& what);

}  // namespace modelguard::store
