// deploy: what is sent, what is told on the way, how it ends.

#include <archive.h>
#include <archive_entry.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/cli/cli_harness.hpp"

namespace modelguard::test {
namespace {

using Json = nlohmann::json;

const char* const kDeploy = "POST /v1/models/digits/deploy";

/// path → (mode, content) of a tar.
std::map<std::string, std::pair<unsigned, std::string>> entries_of(const std::string& tar) {
    std::map<std::string, std::pair<unsigned, std::string>> entries;
    const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
    archive_read_support_format_tar(reader.get());
    EXPECT_EQ(archive_read_open_memory(reader.get(), tar.data(), tar.size()), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
        std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
        EXPECT_EQ(archive_read_data(reader.get(), content.data(), content.size()),
                  static_cast<la_ssize_t>(content.size()));
        EXPECT_EQ(archive_entry_mtime(entry), 0);
        entries[archive_entry_pathname(entry)] = {archive_entry_perm(entry), content};
    }
    return entries;
}

class DeployTest : public CliTest {
  protected:
    DeployTest() { on[kDeploy] = always(Reply{202, api::to_json(operation("deploy", "running"))}); }

    void operations(const std::vector<api::OperationDoc>& documents) {
        std::vector<Reply> replies;
        for (const auto& document : documents)
            replies.push_back({200, api::to_json(document)});
        on["GET /v1/operations/12"] = in_turn(replies);
    }
    /// The daemon's history: items newer than `after`, at once.
    void history(std::vector<api::HistoryItem> newest_first) {
        on["GET /v1/history"] = [items = std::move(newest_first)](const Asked& asked) {
            const std::int64_t after = asked.query.contains("after") ? std::stoll(asked.query.at("after")) : 0;
            api::History some;
            for (const auto& item : items)
                if (item.number > after) some.items.push_back(item);
            if (!asked.query.contains("after")) some.items = {decision(5, "accepted", "of long ago")};
            return Reply{200, api::to_json(some)};
        };
    }
};

TEST_F(DeployTest, a_file_is_sent_as_it_is_with_label_and_key) {
    start_daemon();
    const std::string bytes = std::string(300'000, 'z') + std::string("\0\r\n\r\n", 5);
    write_text(root / "v5.tar.zst", bytes);
    const Ran ran =
        run({"deploy", "digits", root / "v5.tar.zst", "--label", "five & a half", "--served-version", "5.0"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.out.find("digits: deploy of 5 (55555555bbbb): running\n"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("next: modelguard --root " + root.path() + " status digits\n"), std::string::npos);
    EXPECT_EQ(ran.err, "");

    ASSERT_EQ(changes().size(), 1u);
    const Asked asked = changes()[0];
    EXPECT_TRUE(asked.complete);
    EXPECT_EQ(asked.body, bytes);
    EXPECT_EQ(asked.query.at("label"), "five & a half");
    EXPECT_EQ(asked.query.at("served_version"), "5.0");
    EXPECT_EQ(asked.headers.at("transfer-encoding"), "chunked");
    EXPECT_GE(asked.headers.at("idempotency-key").size(), 32u);
}

TEST_F(DeployTest, standard_input_is_sent) {
    start_daemon();
    EXPECT_EQ(run({"deploy", "digits", "-"}, "a tar from a pipe").exit_code, 0);
    EXPECT_EQ(changes().at(0).body, "a tar from a pipe");
    EXPECT_EQ(run({"deploy", "digits", "-"}, "again").exit_code, 0);
    EXPECT_NE(changes().at(0).headers.at("idempotency-key"), changes().at(1).headers.at("idempotency-key"));
}

TEST_F(DeployTest, a_directory_is_sent_as_a_tar_that_depends_on_nothing_but_its_content) {
    start_daemon();
    write_text(root / "v5/model.bin", std::string(200'000, 'w'));
    write_text(root /
                   "v5/canary/gr\xc3\xbc\xc3\x9f"
                   "e.jsonl",
               "{}\n");
    write_text(root / "v5/run", "#!/bin/sh\n");
    write_text(root / ("v5/" + std::string(150, 'n') + "/" + std::string(120, 'f')), "long name");
    ASSERT_EQ(::chmod((root / "v5/run").c_str(), 0700), 0);
    ASSERT_EQ(run({"deploy", "digits", root / "v5"}).exit_code, 0);
    std::filesystem::last_write_time(root / "v5/model.bin", std::filesystem::file_time_type::clock::now());
    ASSERT_EQ(::chmod((root / "v5/model.bin").c_str(), 0400), 0);
    ASSERT_EQ(run({"deploy", "digits", root / "v5/"}).exit_code, 0);

    const std::string tar = changes().at(0).body;
    EXPECT_EQ(tar, changes().at(1).body);
    auto entries = entries_of(tar);
    EXPECT_EQ(entries.size(), 6u);
    EXPECT_EQ(entries["model.bin"].second, std::string(200'000, 'w'));
    EXPECT_EQ(entries["model.bin"].first, 0644u);
    EXPECT_EQ(entries["run"].first, 0755u);
    EXPECT_EQ(entries["canary/gr\xc3\xbc\xc3\x9f"
                      "e.jsonl"]
                  .second,
              "{}\n");
    EXPECT_EQ(entries[std::string(150, 'n') + "/" + std::string(120, 'f')].second, "long name");
    EXPECT_TRUE(entries.contains("canary/"));
}

TEST_F(DeployTest, a_link_in_the_directory_is_refused_by_name_before_anything_is_sent) {
    start_daemon();
    write_text(root / "v5/model.bin", "w");
    std::filesystem::create_symlink("/etc/passwd", root / "v5/secrets");
    const Ran ran = run({"deploy", "digits", root / "v5"});
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find("secrets is a symbolic link"), std::string::npos) << ran.err;
    EXPECT_EQ(changes().size(), 0u);
}

TEST_F(DeployTest, a_bundle_that_cannot_be_read_is_a_failure_before_anything_is_sent) {
    start_daemon();
    EXPECT_EQ(run({"deploy", "digits", root / "none"}).exit_code, 6);
    EXPECT_EQ(changes().size(), 0u);
}

TEST_F(DeployTest, an_unknown_model_is_found_out_before_anything_is_sent) {
    start_daemon();
    write_text(root / "v5.tar", "x");
    const Ran ran = run({"deploy", "digitz", root / "v5.tar"});
    EXPECT_EQ(ran.exit_code, 3);
    EXPECT_NE(ran.err.find("did you mean 'digits'?"), std::string::npos) << ran.err;
    EXPECT_EQ(changes().size(), 0u);
}

TEST_F(DeployTest, wait_tells_the_story_in_order_and_ends_with_the_outcome) {
    auto done = operation("deploy", "done");
    done.text = "5 is known-good";
    operations({operation("deploy", "running"), operation("deploy", "running"), done});
    history({decision(8, "accepted", "all checks passed"), decision(7, "switched", ""),
             decision(6, "trial_started", "beside 4"), decision(5, "accepted", "of long ago")});
    start_daemon();
    const Ran ran = run({"deploy", "digits", "-", "--wait"}, "tar");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.err,
              "23:06:35 trial started: 5 (55555555bbbb): beside 4\n"
              "23:06:36 switched: 5 (55555555bbbb)\n"
              "23:06:37 accepted: 5 (55555555bbbb): all checks passed\n");
    EXPECT_EQ(ran.out,
              "digits: deploy of 5 (55555555bbbb): done\n"
              "  5 is known-good\n"
              "now serving: 4 (44444444aaaa)\n");
}

TEST_F(DeployTest, a_rejected_version_exits_1_with_reason_numbers_and_the_next_command) {
    auto no = operation("deploy", "no");
    no.code = "dropped";
    no.text = "accuracy fell";
    core::CheckReport check;
    check.check = "accuracy";
    check.verdict = core::VerdictKind::fail;
    check.measured = 0.52;
    check.limit = 0.9;
    check.text = "0.52 of 360";
    no.checks = {check};
    operations({no});
    start_daemon();
    const Ran ran = run({"deploy", "digits", "-", "--wait"}, "tar");
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_EQ(ran.out,
              "digits: deploy of 5 (55555555bbbb): no (dropped)\n"
              "  accuracy fell\n"
              "  fail  accuracy  0.52 of 360\n"
              "now serving: 4 (44444444aaaa)\n"
              "next: modelguard --root " +
                  root.path() + " explain digits\n");

    const Ran json = run({"deploy", "digits", "-", "--wait", "--json"}, "tar");
    EXPECT_EQ(json.exit_code, 1);
    EXPECT_EQ(Json::parse(json.out)["status"], "no");
    EXPECT_EQ(json.err, "");
}

TEST_F(DeployTest, an_operation_that_failed_exits_6) {
    operations({operation("deploy", "failed")});
    start_daemon();
    EXPECT_EQ(run({"deploy", "digits", "-", "--wait"}, "tar").exit_code, 6);
}

TEST_F(DeployTest, a_refusal_is_shown_with_its_exit_code) {
    struct Case {
        int status;
        const char* kind;
        int exit_code;
    };
    for (const Case& one :
         {Case{400, "invalid_config", 1}, Case{409, "conflict", 1}, Case{403, "denied", 5}, Case{500, "io", 6},
          Case{503, "unavailable", 6}, Case{500, "internal", 6}, Case{501, "unsupported", 6}}) {
        SCOPED_TRACE(one.kind);
        on[kDeploy] = always(problem(one.status, one.kind, "the reason\x1b[31m"));
        start_daemon();
        const Ran ran = run({"deploy", "digits", "-"}, "tar");
        EXPECT_EQ(ran.exit_code, one.exit_code);
        EXPECT_TRUE(ran.err.starts_with("modelguard: the reason\\x1b[31m\n")) << ran.err;
        const Ran json = run({"deploy", "digits", "-", "--json"}, "tar");
        EXPECT_EQ(Json::parse(json.out)["kind"], one.kind);
        EXPECT_EQ(json.exit_code, one.exit_code);
        stop_daemon();
    }
}

TEST_F(DeployTest, a_refusal_in_the_middle_of_the_bundle_is_read_and_shown) {
    start_daemon();
    control.reset();
    control = std::make_unique<ScriptedServer>(root / "run/modelguard/control.sock", [](int fd) {
        char some[1000];
        ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
        send_text(fd, reply_text(problem(400, "invalid_config", "absolute path in the bundle")));
    });
    write_text(root / "v5/model.bin", std::string(30'000'000, 'w'));
    for (const char* bundle : {"v5", "v5/model.bin"}) {
        const Ran ran = run({"deploy", "digits", root / bundle});
        EXPECT_EQ(ran.exit_code, 1) << ran.err;
        EXPECT_EQ(ran.err, "modelguard: absolute path in the bundle\n");
    }
}

TEST_F(DeployTest, a_daemon_that_dies_under_the_upload_exits_4) {
    start_daemon();
    control.reset();
    control = std::make_unique<ScriptedServer>(root / "run/modelguard/control.sock", [](int fd) {
        char some[1000];
        ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
    });
    write_text(root / "v5.tar", std::string(30'000'000, 'w'));
    EXPECT_EQ(run({"deploy", "digits", root / "v5.tar"}).exit_code, 4);
}

TEST_F(DeployTest, a_daemon_that_restarts_during_the_wait_is_waited_for) {
    on["GET /v1/operations/12"] = in_turn({{200, api::to_json(operation("deploy", "running"))},
                                           {0, ""},
                                           {0, ""},
                                           {200, api::to_json(operation("deploy", "done"))}});
    start_daemon();
    const Ran ran = run({"deploy", "digits", "-", "--wait"}, "tar");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.err, "modelguardd is away; waiting for it to come back\n");
}

TEST_F(DeployTest, an_interrupted_wait_says_that_the_deploy_goes_on) {
    operations({operation("deploy", "running")});
    on["GET /v1/history"] = [this](const Asked& asked) {
        if (asked.query.contains("after")) ::kill(pid(), SIGINT);
        return Reply{200, api::to_json(api::History{})};
    };
    start_daemon();
    const Ran ran = run({"deploy", "digits", "-", "--wait"}, "tar");
    EXPECT_EQ(ran.exit_code, 130);
    EXPECT_NE(ran.err.find("the deploy of digits goes on in modelguardd (operation 12)"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("modelguard --root " + root.path() + " status digits"), std::string::npos) << ran.err;
}

TEST_F(DeployTest, an_interrupted_upload_says_so) {
    start_daemon();
    control.reset();
    control = std::make_unique<ScriptedServer>(root / "run/modelguard/control.sock", [this](int fd) {
        char some[1000];
        ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
        ::kill(pid(), SIGINT);
        wait_for_close(fd);
    });
    write_text(root / "v5/model.bin", std::string(30'000'000, 'w'));
    const Ran ran = run({"deploy", "digits", root / "v5"});
    EXPECT_EQ(ran.exit_code, 130);
    EXPECT_NE(ran.err.find("interrupted while sending"), std::string::npos) << ran.err;
}

TEST_F(DeployTest, a_wait_has_a_timeout_and_the_deploy_goes_on) {
    operations({operation("deploy", "running")});
    start_daemon();
    const Ran ran = run({"deploy", "digits", "-", "--wait", "--timeout", "50ms"}, "tar");
    EXPECT_EQ(ran.exit_code, 6);
    EXPECT_NE(ran.err.find("not decided within 50ms: the deploy of digits goes on"), std::string::npos) << ran.err;
}

TEST_F(DeployTest, bytes_are_counted_on_a_terminal_only) {
    start_daemon();
    write_text(root / "v5.tar", std::string(3'000'000, 'w'));
    const Ran terminal = run_on_terminal({"deploy", "digits", root / "v5.tar"});
    EXPECT_EQ(terminal.exit_code, 0);
    EXPECT_NE(terminal.out.find("sending 128.0 KiB of 2.9 MiB"), std::string::npos) << terminal.out;
    EXPECT_EQ(run({"deploy", "digits", root / "v5.tar"}).err, "");
}

}  // namespace
}  // namespace modelguard::test
