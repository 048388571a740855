#include <algorithm>
#include <map>
#include <regex>

#include "tests/rollback/fixture.hpp"
#include "tests/sys/tiny_server.hpp"

namespace modelguard::rollback::test {
namespace {

using namespace std::chrono_literals;

std::string reply(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
}

/// podman's storage in miniature: images by id, names that move, and what was asked. An archive's text is the id of the
/// image in it.
struct Podman {
    struct Image {
        std::string digest;
        std::vector<std::string> tags;
    };
    std::map<std::string, Image> images;
    std::vector<std::string> asked;
    int failing_lists{0};  // so many lists fail, since an image goes meanwhile
    std::string error;     // not empty: the answer to whatever is asked next but reading

    sys::test::TinyServer::Answer answer(const std::string& request) {
        const std::string line = request.substr(0, request.find(" HTTP/1.1"));
        const std::string body = request.substr(request.find("\r\n\r\n") + 4);
        const auto prefix = line.find("/v4.0.0/libpod");
        EXPECT_NE(prefix, std::string::npos) << line;
        const std::string verb = line.substr(0, prefix), path = line.substr(prefix + 14);
        asked.push_back(verb + path);
        if (!error.empty() && verb != "GET ") return {.bytes = reply(500, R"({"message": ")" + error + "\"}")};
        std::smatch part;
        if (path == "/images/json" && failing_lists-- > 0) return {.bytes = reply(500, R"({"message": "not known"})")};
        if (path == "/images/json") return {.bytes = reply(200, listed())};
        if (std::regex_match(path, part, std::regex("/images/(.+)/json"))) return named(part[1]);
        if (std::regex_match(path, part, std::regex("/images/(.+)/tag\\?repo=(.+)&tag=(.+)")))
            return tag(part[1], part[2], part[3]);
        if (std::regex_match(path, part, std::regex("/images/(.+)/untag\\?repo=.*"))) return untag(part[1]);
        if (path == "/images/load") {
            images[body].digest = "sha256:" + body;
            return {.bytes = reply(200, R"({"Names": []})")};
        }
        if (verb == "DELETE ") return untag(path.substr(8));
        return {.bytes = reply(404, "{}")};
    }
    std::string described(const std::string& id) const {
        std::string tags;
        for (const std::string& tag : images.at(id).tags)
            tags += (tags.empty() ? "\"" : ", \"") + tag + "\"";
        return R"({"Id": ")" + id + R"(", "Digest": ")" + images.at(id).digest + R"(", "RepoTags": [)" + tags + "]}";
    }
    std::string listed() const {
        std::string all;
        for (const auto& [id, unused] : images)
            all += (all.empty() ? "" : ", ") + described(id);
        return "[" + all + "]";
    }
    std::string find(const std::string& name) const {
        for (const auto& [id, image] : images)
            if (id == name || std::ranges::find(image.tags, name) != image.tags.end()) return id;
        return {};
    }
    sys::test::TinyServer::Answer named(const std::string& name) const {
        const std::string id = find(name);
        return {.bytes = id.empty() ? reply(404, R"({"message": "image not known"})") : reply(200, described(id))};
    }
    sys::test::TinyServer::Answer tag(const std::string& name, const std::string& repository, const std::string& tag) {
        const std::string id = find(name);
        if (id.empty()) return named(name);
        const std::string whole = std::regex_replace(repository, std::regex("%2F"), "/") + ":" + tag;
        for (auto& [unused, image] : images)
            std::erase(image.tags, whole);
        images[id].tags.push_back(whole);
        return {.bytes = reply(201, "")};
    }
    sys::test::TinyServer::Answer untag(const std::string& name) {
        const std::string id = find(name);
        if (id.empty()) return named(name);
        std::erase(images[id].tags, name);
        if (images[id].tags.empty()) images.erase(id);
        return {.bytes = reply(201, "")};
    }
};

constexpr const char* kCurrent = "localhost/modelguard/digits:current";

struct ContainerSwitchTest : RollbackTest {
    Podman podman;
    std::string first = std::string(64, 'a'), second = std::string(64, 'b');
    std::string socket = (dir / "podman.sock").string();
    sys::test::TinyServer server{*loop, socket, [this](const std::string& request) { return podman.answer(request); }};

    ContainerSwitchTest() {
        podman_socket = socket;
        podman.images[first] = {"sha256:" + std::string(64, '7'), {"registry.example/digits:1"}};
        podman.images[second] = {"sha256:" + std::string(64, '8'), {"registry.example/digits:2"}};
        write(v1, "image.json", image_json(podman.images[first].digest));
        write(v2, "image.json", image_json(podman.images[second].digest));
    }
    static std::string image_json(const std::string& digest) {
        return R"({"reference": "registry.example/digits:1", "digest": ")" + digest + "\"}";
    }
    void write(const Digest& version, const std::string& name, const std::string& text) {
        std::ofstream(dir / "versions" / version.dir_name() / name) << text;
    }
    static std::string kept(const Digest& version) { return "localhost/modelguard/digits:" + version.dir_name(); }
    Outcome go(const Digest& to, const ThenKind* then = nullptr, const ParamMap& params = {}) {
        podman.asked.clear();
        return run_switch(to, then, params, "container");
    }
    Outcome tidy(const sys::Path& model_dir) {
        std::optional<Outcome> outcome;
        ServiceContext context = service();
        context.model_dir = model_dir;
        const auto running = find_switch("container")->tidy(context, [&](Outcome o) { outcome = std::move(o); });
        EXPECT_TRUE(run_until(*loop, [&] { return outcome.has_value(); }));
        return outcome.value_or(Outcome{});
    }
};

TEST_F(ContainerSwitchTest, the_tag_and_the_link_name_the_version_and_its_image_is_kept) {
    const Outcome outcome = go(v1);

    EXPECT_EQ(outcome.result, SwitchResult::done) << outcome.why;
    EXPECT_TRUE(outcome.link_moved);
    EXPECT_EQ(podman.find(kCurrent), first);
    EXPECT_EQ(podman.find(kept(v1)), first);
    EXPECT_EQ(link(), "versions/" + v1.dir_name());
    EXPECT_EQ(*find_switch("container")->current(dir.path()), v1);
}

TEST_F(ContainerSwitchTest, the_way_back_asks_for_the_kept_image_and_the_tag_only) {
    go(v1);
    go(v2);
    ASSERT_EQ(podman.find(kCurrent), second);
    podman.images[first].tags = {kept(v1)};  // its registry's name is gone, pruning left it

    const Outcome back = go(v1);

    EXPECT_EQ(back.result, SwitchResult::done) << back.why;
    EXPECT_EQ(podman.find(kCurrent), first);
    EXPECT_EQ(podman.find(kept(v2)), second) << "the other one stays, too";
    EXPECT_EQ(podman.asked, (std::vector<std::string>{
                                "GET /images/" + kept(v1) + "/json",
                                "POST /images/" + first + "/tag?repo=localhost%2Fmodelguard%2Fdigits&tag=current"}));
}

TEST_F(ContainerSwitchTest, service_is_told_after_tag_and_link) {
    commands["look"] = {
        .argv = {"/bin/sh", "-c", "readlink " + (dir / "current").string() + " >" + (dir / "seen").string()},
        .user = {},
        .timeout = 10s};
    EXPECT_EQ(go(v1, find_then("exec"), text_params({{"run", "look"}})).result, SwitchResult::done);
    EXPECT_EQ(slurp(dir / "seen"), "versions/" + v1.dir_name() + "\n");
    EXPECT_EQ(podman.find(kCurrent), first);

    commands["look"].argv = {"/bin/false"};
    const Outcome failed = go(v2, find_then("exec"), text_params({{"run", "look"}}));
    EXPECT_EQ(failed.result, SwitchResult::failed);
    EXPECT_TRUE(failed.link_moved);
}

TEST_F(ContainerSwitchTest, an_image_in_the_bundle_is_loaded) {
    podman.images.erase(second);
    const std::string id(64, 'e');
    write(v2, "image.json", image_json("sha256:" + id));
    write(v2, "image.tar", id);

    const Outcome outcome = go(v2);

    EXPECT_EQ(outcome.result, SwitchResult::done) << outcome.why;
    EXPECT_EQ(podman.find(kCurrent), id);
    EXPECT_EQ(podman.find(kept(v2)), id);
}

TEST_F(ContainerSwitchTest, an_archive_with_another_image_is_the_versions_own_fault) {
    go(v1);
    write(v2, "image.json", image_json("sha256:" + std::string(64, 'd')));
    write(v2, "image.tar", std::string(64, 'e'));

    const Outcome outcome = go(v2);

    EXPECT_EQ(outcome.result, SwitchResult::refused);
    EXPECT_FALSE(outcome.link_moved);
    EXPECT_NE(outcome.why.find(std::string(64, 'd')), std::string::npos) << outcome.why;
    EXPECT_EQ(podman.find(kCurrent), first);
}

TEST_F(ContainerSwitchTest, an_image_that_is_nowhere_changes_nothing_and_says_what_to_do) {
    go(v1);
    podman.images.erase(second);

    const Outcome outcome = go(v2);

    EXPECT_EQ(outcome.result, SwitchResult::failed) << "the version is not to blame for what this device lacks";
    EXPECT_FALSE(outcome.link_moved);
    EXPECT_NE(outcome.why.find("podman pull registry.example/digits:1"), std::string::npos) << outcome.why;
    EXPECT_NE(outcome.why.find("image.tar"), std::string::npos) << outcome.why;
    EXPECT_EQ(podman.find(kCurrent), first);
    EXPECT_EQ(link(), "versions/" + v1.dir_name());
}

TEST_F(ContainerSwitchTest, tidying_takes_the_tags_that_versions_left_and_images_without_any_other) {
    go(v1);
    go(v2);
    const std::string gone = "localhost/modelguard/digits:sha256-";
    const std::string foreign = "localhost/modelguard/digits2:sha256-" + std::string(64, '9');
    podman.images[std::string(64, 'f')] = {"sha256:0", {gone + std::string(64, '9')}};
    podman.images[std::string(64, '0')] = {"sha256:1", {foreign}};
    podman.images[second].tags.push_back(gone + std::string(64, '6'));

    EXPECT_EQ(tidy(dir.path()).result, SwitchResult::done);

    EXPECT_FALSE(podman.images.contains(std::string(64, 'f')));
    EXPECT_EQ(podman.find(foreign), std::string(64, '0')) << "another model's";
    EXPECT_EQ(podman.find(kept(v1)), first);
    EXPECT_EQ(podman.images[second].tags, (std::vector<std::string>{"registry.example/digits:2", kept(v2), kCurrent}));
    podman_socket = (dir / "nobody.sock").string();
    EXPECT_EQ(tidy(dir.path()).result, SwitchResult::failed);
}

TEST_F(ContainerSwitchTest, tidying_after_a_model_that_was_removed_leaves_none_of_its_tags) {
    go(v1);
    go(v2);

    EXPECT_EQ(tidy(dir / "gone").result, SwitchResult::done);

    EXPECT_EQ(podman.images[first].tags, std::vector<std::string>{"registry.example/digits:1"});
    EXPECT_EQ(podman.images[second].tags, std::vector<std::string>{"registry.example/digits:2"});
}

TEST_F(ContainerSwitchTest, what_versions_left_goes_before_an_image_is_loaded) {
    podman.images[std::string(64, 'f')] = {"sha256:0", {"localhost/modelguard/digits:sha256-" + std::string(64, '9')}};
    podman.images.erase(second);
    const std::string id(64, 'e');
    write(v2, "image.json", image_json("sha256:" + id));
    write(v2, "image.tar", id);

    EXPECT_EQ(go(v2).result, SwitchResult::done);

    EXPECT_FALSE(podman.images.contains(std::string(64, 'f')));
    const auto removed =
        std::ranges::find_if(podman.asked, [](const auto& line) { return line.starts_with("DELETE"); });
    const auto loaded = std::ranges::find(podman.asked, "POST /images/load");
    EXPECT_LT(removed, loaded);
}

TEST_F(ContainerSwitchTest, no_version_takes_the_tag_and_the_link_away) {
    go(v1);

    const Outcome outcome = go(Digest{});

    EXPECT_EQ(outcome.result, SwitchResult::done) << outcome.why;
    EXPECT_EQ(podman.find(kCurrent), "");
    EXPECT_EQ(podman.find(kept(v1)), first);
    EXPECT_EQ(link(), "");
    EXPECT_EQ(go(Digest{}).result, SwitchResult::done) << "removing what is gone";
}

TEST_F(ContainerSwitchTest, a_version_without_a_right_image_file_is_refused) {
    for (const char* text : {"", "{}", "[]", R"({"reference": "a", "digest": "latest"})", R"({"digest": 7})"}) {
        write(v1, "image.json", text);
        EXPECT_EQ(go(v1).result, SwitchResult::refused) << text;
    }
    std::filesystem::remove(dir / "versions" / v1.dir_name() / "image.json");
    const Outcome outcome = go(v1);
    EXPECT_EQ(outcome.result, SwitchResult::refused);
    EXPECT_NE(outcome.why.find("image.json"), std::string::npos) << outcome.why;
    EXPECT_TRUE(podman.asked.empty());
}

TEST_F(ContainerSwitchTest, an_image_that_the_device_does_not_allow_is_not_even_looked_for) {
    refuse_image = [](std::string_view reference) { return "not here: " + std::string(reference); };
    const Outcome outcome = go(v1);
    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_EQ(outcome.why, "image.json: not here: registry.example/digits:1");
    EXPECT_TRUE(podman.asked.empty());
}

TEST_F(ContainerSwitchTest, a_podman_that_fails_or_is_not_there_is_not_the_versions_fault) {
    podman.error = "no space left on device";
    const Outcome sick = go(v1);
    EXPECT_EQ(sick.result, SwitchResult::failed);
    EXPECT_NE(sick.why.find("no space left on device"), std::string::npos) << sick.why;
    EXPECT_EQ(go(Digest{}).result, SwitchResult::failed);

    podman_socket = (dir / "nobody.sock").string();
    const Outcome gone = go(v1);
    EXPECT_EQ(gone.result, SwitchResult::failed);
    EXPECT_FALSE(gone.link_moved);
    EXPECT_NE(gone.why.find("systemctl status podman.socket"), std::string::npos) << gone.why;
}

TEST_F(ContainerSwitchTest, a_list_that_fails_while_an_image_goes_is_asked_for_again) {
    podman.failing_lists = 2;
    EXPECT_EQ(go(v1).result, SwitchResult::done);
    podman.failing_lists = 100;
    const Outcome outcome = go(v2);
    EXPECT_EQ(outcome.result, SwitchResult::failed);
    EXPECT_EQ(outcome.why, "podman images: HTTP 500: not known");
}

TEST_F(ContainerSwitchTest, dropping_it_calls_nobody) {
    bool called = false;
    {
        const SwitchRequest request{.service = service(), .from = {}, .to = v1, .then = nullptr, .then_params = {}};
        const auto running = find_switch("container")->start(request, [&](const Outcome&) { called = true; });
        ASSERT_TRUE(run_until(*loop, [&] { return !podman.asked.empty(); }));
    }
    sys::test::run_pending(*loop);
    EXPECT_FALSE(called);
}

}  // namespace
}  // namespace modelguard::rollback::test
