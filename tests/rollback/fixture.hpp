#pragma once
// A model's directory with two versions, a loop and an HTTP client: what every switch and then needs to run for real.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>

#include "rollback/switch.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::rollback::test {

using core::SwitchResult;
using sys::test::run_until;

struct RollbackTest : ::testing::Test {
    std::unique_ptr<sys::Loop> loop = sys::test::make_loop();
    std::unique_ptr<sys::HttpClient> http = std::move(*sys::HttpClient::create(*loop));
    sys::test::TempDir dir;
    Digest v1{"sha256:" + std::string(64, '1')};
    Digest v2{"sha256:" + std::string(64, '2')};
    std::string endpoint;
    std::map<std::string, sys::Command, std::less<>> commands;
    std::string podman_socket;
    std::function<std::string(std::string_view)> refuse_image;
    std::vector<std::string> environment;
    Usec timeout{std::chrono::seconds(10)};

    RollbackTest() {
        for (const Digest& version : {v1, v2})
            std::filesystem::create_directories(dir / "versions" / version.dir_name());
    }

    ServiceContext service() {
        return {.loop = *loop,
                .http = *http,
                .model = "digits",
                .server_model = "digits",
                .endpoint = endpoint,
                .model_dir = dir.path(),
                .run_command = [this](std::string_view name, std::vector<std::string> variables,
                                      sys::CommandDone done) -> Result<std::unique_ptr<sys::CommandRun>> {
                    const auto it = commands.find(name);
                    if (it == commands.end())
                        return fail(ErrorKind::not_found, "no command '" + std::string(name) + "' here");
                    return sys::run_as_child(*loop, it->second, std::move(variables), std::move(done));
                },
                .podman_socket = podman_socket,
                .refuse_image = refuse_image,
                .environment = environment,
                .timeout = timeout};
    }

    void link_to(const Digest& version) {
        ASSERT_TRUE(sys::replace_symlink(dir / "current", "versions/" + version.dir_name()).has_value());
    }
    std::string link() const {
        const auto target = sys::read_symlink(dir / "current");
        return target && *target ? **target : std::string();
    }

    /// Runs one then to its end; the callback must not come from within start().
    Outcome run_then(const ThenKind& kind, ParamMap params, ThenVerb verb) {
        std::optional<Outcome> outcome;
        std::unique_ptr<Running> running = kind.start(service(), params, verb, [&](Outcome o) {
            EXPECT_FALSE(outcome.has_value()) << "a second outcome";
            outcome = std::move(o);
            running.reset();  // as the runner does
        });
        EXPECT_FALSE(outcome.has_value()) << "the callback came from within start()";
        if (!run_until(*loop, [&] { return outcome.has_value(); })) {
            ADD_FAILURE() << "no outcome";
            return {};
        }
        return *outcome;
    }

    Outcome run_switch(const Digest& to, const ThenKind* then = nullptr, ParamMap then_params = {},
                       std::string_view kind = "files") {
        std::optional<Outcome> outcome;
        const SwitchRequest request{
            .service = service(), .from = {}, .to = to, .then = then, .then_params = std::move(then_params)};
        std::unique_ptr<Running> running = find_switch(kind)->start(request, [&](Outcome o) {
            EXPECT_FALSE(outcome.has_value()) << "a second outcome";
            outcome = std::move(o);
            running.reset();
        });
        EXPECT_FALSE(outcome.has_value()) << "the callback came from within start()";
        if (!run_until(*loop, [&] { return outcome.has_value(); })) {
            ADD_FAILURE() << "no outcome";
            return {};
        }
        return *outcome;
    }

    std::string slurp(const sys::Path& path) const {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

inline ParamMap text_params(std::initializer_list<std::pair<std::string, std::string>> values) {
    ParamMap params;
    for (const auto& [name, text] : values)
        params[name] = ParamValue{text, 1};
    return params;
}

}  // namespace modelguard::rollback::test
