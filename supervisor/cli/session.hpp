#pragma once
// One run of a command: where the daemon is, how to ask it, and how to say what went wrong, with the exit code for it.

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "supervisor/api/client.hpp"
#include "supervisor/cli/exit_code.hpp"
#include "supervisor/cli/screens.hpp"

namespace modelguard::cli {

/// Why a command ended early. Told once, by Session::report().
struct Failure {
    api::Problem problem;
    int exit_code{kFailed};
};
template <class T>
using Answer = std::expected<T, Failure>;

Failure failure_of(const Error& error);             ///< of our side: no daemon, no permission, a file
Failure failure_of(const api::Response& response);  ///< of the daemon's
std::unexpected<Failure> refuse(int exit_code, ErrorKind kind, std::string title);

/// SIGINT and SIGTERM as a descriptor, while it lives: nothing of the wait is lost in a handler.
class Interrupts {
  public:
    Interrupts();
    ~Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    int fd() const { return fd_; }
    /// Waits; true if a signal came.
    bool wait(Usec time) const;

  private:
    int fd_;
};

class Session {
  public:
    Session(std::string root, bool json);

    bool json() const { return json_; }
    const View& view() const { return view_; }
    bool stderr_is_terminal() const { return stderr_is_terminal_; }
    std::string state_dir() const { return view_.root + "/var/lib/modelguard"; }

    /// The body of a 2xx answer of api.sock.
    Answer<std::string> get(const std::string& target, Usec silence = std::chrono::seconds(10),
                            int cancel_fd = -1) const;
    Answer<std::string> post_readonly(const std::string& target, std::string body,
                                      const std::string& content_type) const;
    /// Of control.sock; puts an Idempotency-Key on a POST that has none.
    Answer<std::string> change(api::Request request) const;
    Answer<std::string> change(const std::string& target, std::string json_body = "") const;

    /// The status of one model; not_found as the daemon has it.
    Answer<api::ModelStatus> model_status(const std::string& model) const;
    Answer<std::vector<std::string>> model_names() const;

    /// Prints a document: as it came with --json, else the screen made from it.
    void print_json(std::string_view document) const;
    void print(std::string_view text) const;
    void tell(std::string_view text) const;  ///< stderr

    /// Says what went wrong and what to do, and returns the exit code. `model`: what the command was about, if
    /// anything.
    int report(const Failure& failure, const std::string& model = "") const;

  private:
    std::string socket(const char* name) const { return view_.root + "/run/modelguard/" + name; }

    bool json_;
    bool stderr_is_terminal_;
    View view_;
};

/// Reads a document with one of api's readers; a malformed one is a Failure.
template <class T>
Answer<T> read_as(Result<T> (*reader)(std::string_view), const std::string& body) {
    auto value = reader(body);
    if (!value) return std::unexpected(failure_of(value.error()));
    return std::move(*value);
}

}  // namespace modelguard::cli

/// MG_ASK(declaration, answer): unwraps an Answer or returns its Failure.
#define MG_ASK(declaration, expression)                                                                         \
    auto MG_CONCAT(mg_ask_, __LINE__) = (expression);                                                           \
    if (!MG_CONCAT(mg_ask_, __LINE__)) return std::unexpected(std::move(MG_CONCAT(mg_ask_, __LINE__)).error()); \
    declaration = std::move(*MG_CONCAT(mg_ask_, __LINE__))
