#pragma once
// Result and Error: how every layer says that something could not be done.
// Not for "the model is unhealthy" (that is a core::Verdict) and not for programming errors (those are MG_ASSERT).
//
//   Result<Fd> open_dir(...)            returns a value or an Error
//   MG_TRY(auto fd, open_dir(p));       unwraps, or returns the Error from the enclosing function
//   MG_CHECK(fsync_dir(fd));            the same for Result<void>
//   return with_context(r, "import");   adds one clause per layer: "import: open staging: No space left on device"

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace modelguard {

/// What the caller can do about it; nothing finer.
enum class ErrorKind {
    invalid_config,   ///< somebody has to change a file or an argument
    unavailable,      ///< try again later
    timed_out,        ///< a deadline passed
    denied,           ///< the right is missing
    not_found,        ///< no such model, version, file
    conflict,         ///< the world is not in the state the caller believed
    malformed_reply,  ///< the other side answered nonsense
    io,               ///< the system refused (see sys_errno)
    unsupported,      ///< not on this device or in this release
    internal,         ///< ours; report it
};

/// The stable word for a kind, as used in JSON (`"kind": "not_found"`).
std::string_view to_string(ErrorKind kind);

struct Error {
    ErrorKind kind{ErrorKind::internal};
    std::string what;  ///< one line, no trailing full stop, no newline
    int sys_errno{0};  ///< errno where a system call was the cause, else 0

    bool operator==(const Error&) const = default;
};

/// An Error from errno: `what` becomes "<what>: <strerror>", and the kind follows the number
/// (ENOENT not_found, EACCES/EPERM denied, ETIMEDOUT timed_out, EEXIST conflict, the rest io).
Error errno_error(std::string_view what, int sys_errno);

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  public:
    using std::expected<T, Error>::expected;
};

/// `fail(ErrorKind::not_found, "...")` as a return value of any Result.
inline std::unexpected<Error> fail(ErrorKind kind, std::string what) {
    return std::unexpected(Error{kind, std::move(what), 0});
}
inline std::unexpected<Error> fail_errno(std::string_view what, int sys_errno) {
    return std::unexpected(errno_error(what, sys_errno));
}

/// Puts "<context>: " before the error's text; a value passes through.
template <class T>
Result<T> with_context(Result<T> result, std::string_view context) {
    if (!result) result.error().what.insert(0, std::string(context) + ": ");
    return result;
}

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace modelguard

#define MG_CONCAT_INNER(a, b) a##b
#define MG_CONCAT(a, b) MG_CONCAT_INNER(a, b)
/// MG_TRY(declaration, expression): unwraps a Result or returns its Error.
#define MG_TRY(declaration, expression)                                                                         \
    auto MG_CONCAT(mg_try_, __LINE__) = (expression);                                                           \
    if (!MG_CONCAT(mg_try_, __LINE__)) return std::unexpected(std::move(MG_CONCAT(mg_try_, __LINE__)).error()); \
    declaration = std::move(*MG_CONCAT(mg_try_, __LINE__))
/// MG_CHECK(expression): the same where there is no value.
#define MG_CHECK(expression)                                                                              \
    do {                                                                                                  \
        if (auto mg_check = (expression); !mg_check) return std::unexpected(std::move(mg_check).error()); \
    } while (false)
/// A programming error: say where and abort; the service manager restarts us and the ledger resumes us.
#define MG_ASSERT(expression) ((expression) ? void(0) : ::modelguard::assertion_failed(#expression, __FILE__, __LINE__))
