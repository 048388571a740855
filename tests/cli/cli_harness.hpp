#pragma once
// Runs the real `modelguard` under a temporary --root, against a scripted daemon on both of its sockets.

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/api/values.hpp"
#include "tests/api/scripted_server.hpp"

namespace modelguard::test {

struct Ran {
    int exit_code{-1};  // -1: ended by a signal
    std::string out, err;
};

extern const std::string kDigest4, kDigest5;

api::ModelStatus steady_model(const std::string& name);
api::Status status_of(std::vector<api::ModelStatus> models);
api::OperationDoc operation(const std::string& kind, const std::string& status);
api::HistoryItem decision(std::int64_t number, const std::string& kind, const std::string& text);
Reply problem(int status, const std::string& kind, const std::string& title);

class CliTest : public testing::Test {
  protected:
    CliTest();
    ~CliTest() override;

    /// Both sockets answer by `on`; what is not listed there is a 404. Status with one healthy model is there from the
    /// start.
    void start_daemon();
    void stop_daemon();
    /// Starts the program with `--root ROOT` in front; `input` is its stdin.
    void start(std::vector<std::string> arguments, const std::string& input = "");
    Ran wait();
    Ran run(std::vector<std::string> arguments, const std::string& input = "") {
        start(std::move(arguments), input);
        return wait();
    }
    /// On a terminal of its own; out and err are one.
    Ran run_on_terminal(std::vector<std::string> arguments, std::vector<std::string> environment = {});
    /// Of the program that runs; blocks until there is one.
    pid_t pid();
    /// What control.sock was asked by POST, after the program has ended.
    std::vector<Asked> changes() const { return control->asked(); }
    std::vector<Asked> reads(std::string_view path) const { return api_server->asked(path); }

    TempDir root;
    std::map<std::string, ScriptedServer::Script> on;  // "GET /v1/status" → answer; set before start()
    std::unique_ptr<ScriptedServer> api_server, control;

  private:
    std::vector<std::string> command(std::vector<std::string> arguments) const;

    std::mutex mutex_;  // pid_ is asked for by the scripts, which run on another thread
    pid_t pid_{-1};
    bool waited_{true};
};

ScriptedServer::Script always(Reply reply);
template <class Document>
ScriptedServer::Script always(const Document& document) {
    return always(Reply{200, api::to_json(document)});
}
/// The replies in turn; the last one again and again.
ScriptedServer::Script in_turn(std::vector<Reply> replies);

}  // namespace modelguard::test
