#include "tests/cli/cli_harness.hpp"

#include <fcntl.h>
#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace modelguard::test {

const std::string kDigest4 = "sha256:44444444" + std::string(56, 'a');
const std::string kDigest5 = "sha256:55555555" + std::string(56, 'b');

namespace {

std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words)
        list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

}  // namespace

api::ModelStatus steady_model(const std::string& name) {
    api::ModelStatus model;
    model.model = name;
    model.healthy = true;
    model.phase = "steady";
    model.current = model.known_good = {kDigest4, "4"};
    return model;
}

api::Status status_of(std::vector<api::ModelStatus> models) {
    api::Status status;
    status.version = "0.1.0";
    status.wall_usec = 1'795'302'389'000'000;
    status.healthy = true;
    for (const auto& model : models)
        status.healthy = status.healthy && model.healthy;
    status.models = std::move(models);
    return status;
}

api::OperationDoc operation(const std::string& kind, const std::string& status) {
    api::OperationDoc document;
    document.id = 12;
    document.kind = kind;
    document.model = "digits";
    document.digest = kDigest5;
    document.label = "5";
    document.status = status;
    return document;
}

api::HistoryItem decision(std::int64_t number, const std::string& kind, const std::string& text) {
    api::HistoryItem item;
    item.number = number;
    item.wall_usec = 1'795'302'389'000'000 + number * 1'000'000;
    item.label = "5";
    item.decision.kind = core::from_word<core::DecisionKind>(kind).value();
    item.decision.model = "digits";
    item.decision.version = {kDigest5};
    item.decision.text = text;
    return item;
}

Reply problem(int status, const std::string& kind, const std::string& title) {
    api::Problem document;
    document.http_status = status;
    document.kind = kind;
    document.title = title;
    return {status, api::to_json(document), "application/problem+json"};
}

ScriptedServer::Script always(Reply reply) {
    return [reply = std::move(reply)](const Asked&) { return reply; };
}

ScriptedServer::Script in_turn(std::vector<Reply> replies) {
    return [replies = std::move(replies), next = std::size_t{0}](const Asked&) mutable {
        const Reply& reply = replies[next];
        if (next + 1 < replies.size()) ++next;
        return reply;
    };
}

CliTest::CliTest() {
    std::filesystem::create_directories(root / "run/modelguard");
    on["GET /v1/status"] = [](const Asked& asked) {
        if (asked.query.contains("model") && asked.query.at("model") != "digits")
            return problem(404, "not_found", "no model '" + asked.query.at("model") + "'");
        return Reply{200, api::to_json(status_of({steady_model("digits")}))};
    };
    on["GET /v1/history"] = always(api::History{});
}

CliTest::~CliTest() {
    if (!waited_) wait();
    stop_daemon();
}

void CliTest::start_daemon() {
    const auto answer = [this](const Asked& asked) {
        const auto found = on.find(asked.method + " " + asked.path);
        return found == on.end() ? problem(404, "not_found", "nothing at " + asked.path) : found->second(asked);
    };
    api_server = std::make_unique<ScriptedServer>(root / "run/modelguard/api.sock", answer);
    control = std::make_unique<ScriptedServer>(root / "run/modelguard/control.sock", answer);
}

void CliTest::stop_daemon() {
    api_server.reset();
    control.reset();
}

std::vector<std::string> CliTest::command(std::vector<std::string> arguments) const {
    const char* program = std::getenv("MODELGUARD_CLI");
    arguments.insert(arguments.begin(),
                     {program != nullptr ? program : "MODELGUARD_CLI is not set", "--root", root.path()});
    return arguments;
}

void CliTest::start(std::vector<std::string> arguments, const std::string& input) {
    write_text(root / "stdin", input);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (root / "stdin").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (root / "stdout").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, (root / "stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    auto words = command(std::move(arguments));
    const std::lock_guard lock(mutex_);
    const int error = ::posix_spawn(&pid_, words[0].c_str(), &files, nullptr, pointers(words).data(), environ);
    posix_spawn_file_actions_destroy(&files);
    ASSERT_EQ(error, 0) << words[0];
    waited_ = false;
}

Ran CliTest::wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    waited_ = true;
    return {exit_code_of(status), text_of(root / "stdout"), text_of(root / "stderr")};
}

pid_t CliTest::pid() {
    const std::lock_guard lock(mutex_);
    return pid_;
}

Ran CliTest::run_on_terminal(std::vector<std::string> arguments, std::vector<std::string> environment) {
    auto words = command(std::move(arguments));
    const auto argv = pointers(words);
    const auto variables = pointers(environment);
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
        ::execve(argv[0], argv.data(), variables.data());
        ::_exit(127);
    }
    Ran ran;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(terminal, buffer, sizeof buffer)) > 0;)  // EIO at its end
        ran.out.append(buffer, static_cast<std::size_t>(count));
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(terminal);
    ran.exit_code = exit_code_of(status);
    return ran;
}

}  // namespace modelguard::test
