#include "tests/checks/bench_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "supervisor/sys/clock.hpp"

namespace modelguard::checks::test {

namespace {
constexpr Usec kGuard = std::chrono::seconds(30);
}  // namespace

ModelServer::ModelServer(const std::string& dialect) {
    int to_child[2];
    int from_child[2];
    if (::pipe2(to_child, O_CLOEXEC) != 0 || ::pipe2(from_child, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], 1);
    std::string script = MODEL_SERVER;
    std::string python = "python3";
    std::string flag = "--dialect";
    std::string value = dialect;
    char* argv[] = {python.data(), script.data(), flag.data(), value.data(), nullptr};
    if (::posix_spawnp(&pid_, "python3", &actions, nullptr, argv, environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    stdin_ = to_child[1];
    std::string line;
    pollfd readable{.fd = from_child[0], .events = POLLIN, .revents = 0};
    char byte = 0;
    while (::poll(&readable, 1, 20'000) == 1 && ::read(from_child[0], &byte, 1) == 1 && byte != '\n')
        line += byte;
    ::close(from_child[0]);
    if (!line.starts_with("listening ")) {
        std::fprintf(stderr, "%s did not start: '%s'\n", MODEL_SERVER, line.c_str());
        std::abort();
    }
    port_ = std::stoi(line.substr(10));
}

ModelServer::~ModelServer() {
    ::close(stdin_);
    ::waitpid(pid_, nullptr, 0);
}

const Protocol& oip_protocol() {
    static const auto made = *find_protocol("oip")->make({});
    return *made;
}

int unused_port() {
    const sys::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) std::abort();
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) std::abort();
    return ntohs(address.sin_port);
}

std::unique_ptr<ModelServer> CheckTest::server_;

void CheckTest::SetUpTestSuite() { server_ = std::make_unique<ModelServer>("mlserver"); }
void CheckTest::TearDownTestSuite() { server_.reset(); }

void CheckBench::SetUp() {
    auto loop = sys::Loop::create();
    ASSERT_TRUE(loop) << loop.error().what;
    loop_ = std::move(*loop);
    auto http = sys::HttpClient::create(*loop_);
    ASSERT_TRUE(http) << http.error().what;
    http_ = std::move(*http);
    std::string name = (std::filesystem::temp_directory_path() / "modelguard-checks-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    version_dir_ = name;
    context_.emplace(CheckContext{.loop = *loop_,
                                  .http = *http_,
                                  .target = {.endpoint = "", .server_model = "digits", .protocol = &oip_protocol()},
                                  .version_dir = version_dir_});
}

void CheckTest::SetUp() {
    CheckBench::SetUp();
    context_->target.endpoint = "http://127.0.0.1:" + std::to_string(server_->port());
    control(R"({"mode": "ok"})");
}

void CheckBench::TearDown() {
    http_.reset();
    loop_.reset();
    std::filesystem::remove_all(version_dir_);
}

std::string CheckTest::ask_control(const std::string& method, const std::string& body) {
    std::optional<Result<sys::HttpReply>> answer;
    sys::HttpRequest request;
    request.method = method;
    request.url = context_->target.endpoint + "/control";
    request.body = body;
    request.fresh_connection = true;
    const auto transfer =
        http_->send(std::move(request), [&](Result<sys::HttpReply> reply) { answer = std::move(reply); });
    turn_until([&] { return answer.has_value(); });
    if (!answer || !*answer || (*answer)->status != 200) {
        ADD_FAILURE() << "the model server does not answer on /control";
        return "{}";
    }
    return (*answer)->body;
}

void CheckTest::control(const std::string& json) { ask_control("POST", json); }

long CheckTest::counted(const std::string& name) {
    return nlohmann::json::parse(ask_control("GET", "")).value(name, -1L);
}

void CheckBench::write_file(const std::string& path, const std::string& content) {
    std::filesystem::create_directories((version_dir_ / path).parent_path());
    std::ofstream(version_dir_ / path) << content;
}

void CheckTest::write_canary(int items) {
    std::string set;
    for (int i = 0; i < items; ++i) {
        nlohmann::json input = nlohmann::json::array();
        // The rest of the numbers differs from item to item, the first ten say the class.
        for (int j = 0; j < 64; ++j)
            input.push_back(j < 10 ? (j == i % 10 ? 1.0 : 0.0) : 0.001 * i);
        set += nlohmann::json{{"id", "item-" + std::to_string(i)}, {"input", input}, {"label", i % 10}}.dump() + "\n";
    }
    write_file("canary/digits.jsonl", set);
}

std::unique_ptr<Check> CheckTest::make(std::string_view kind, ParamMap params) {
    auto made = find_kind(kind)->make(params);
    if (!made) {
        ADD_FAILURE() << made.error().what;
        std::abort();
    }
    return std::move(*made);
}

void CheckBench::turn_until(const std::function<bool()>& done) {
    const Instant deadline = sys::boottime_now() + kGuard;
    while (!done() && sys::boottime_now() < deadline) {
        const auto turned = loop_->run_once(std::chrono::seconds(1));
        ASSERT_TRUE(turned) << turned.error().what;
    }
    ASSERT_TRUE(done()) << "no end within 30 s";
}

CheckOutcome CheckBench::run(const Check& check) {
    std::optional<CheckOutcome> outcome;
    std::unique_ptr<Running> running = check.start(*context_, [&](CheckOutcome ended) {
        EXPECT_FALSE(outcome.has_value()) << "done was called twice";
        outcome = std::move(ended);
        running.reset();  // as an owner may: from inside of the callback
    });
    EXPECT_FALSE(outcome.has_value()) << "done was called inside of start()";
    turn_until([&] { return outcome.has_value(); });
    return outcome.value_or(CheckOutcome{});
}

ParamValue text(std::string value) { return {.value = std::move(value)}; }
ParamValue number(double value) { return {.value = value}; }
ParamValue integer(std::int64_t value) { return {.value = value}; }
ParamValue duration(Usec value) { return {.value = value}; }

}  // namespace modelguard::checks::test
