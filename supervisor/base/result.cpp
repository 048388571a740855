#include "supervisor/base/result.hpp"

#include <cerrno>
#include <cstring>

namespace modelguard {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_config: return "invalid_config";
        case ErrorKind::unavailable: return "unavailable";
        case ErrorKind::timed_out: return "timed_out";
        case ErrorKind::denied: return "denied";
        case ErrorKind::not_found: return "not_found";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::malformed_reply: return "malformed_reply";
        case ErrorKind::io: return "io";
        case ErrorKind::unsupported: return "unsupported";
        case ErrorKind::internal: return "internal";
    }
    return "internal";
}

Error errno_error(std::string_view what, int sys_errno) {
    ErrorKind kind = ErrorKind::io;
    switch (sys_errno) {
        case ENOENT:
        case ENOTDIR: kind = ErrorKind::not_found; break;
        case EACCES:
        case EPERM: kind = ErrorKind::denied; break;
        case ETIMEDOUT: kind = ErrorKind::timed_out; break;
        case EEXIST: kind = ErrorKind::conflict; break;
        case EAGAIN:
        case ECONNREFUSED: kind = ErrorKind::unavailable; break;
        default: break;
    }
    return Error{kind, std::string(what) + ": " + std::strerror(sys_errno), sys_errno};
}

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    std::abort();
}

}  // namespace modelguard
