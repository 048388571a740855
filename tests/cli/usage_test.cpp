// The command line itself: help, mistakes, names that look like commands.

#include "supervisor/cli/text.hpp"
#include "tests/cli/cli_harness.hpp"

namespace modelguard::test {
namespace {

using UsageTest = CliTest;

const std::vector<std::string> kAll{"status",   "deploy",   "rollback", "check", "history", "explain",
                                    "versions", "validate", "kinds",    "pin",   "unpin",   "unreject"};

TEST_F(UsageTest, help_fits_80_columns_and_names_every_command) {
    const Ran help = run({"--help"});
    EXPECT_EQ(help.exit_code, 0);
    for (const auto& name : kAll) {
        EXPECT_NE(help.out.find("\n  " + name + " "), std::string::npos) << name;
        const Ran one = run({name, "--help"});
        EXPECT_EQ(one.exit_code, 0);
        EXPECT_NE(one.out.find("--json"), std::string::npos) << name;
        for (std::size_t begin = 0; begin < one.out.size();) {
            const std::size_t end = one.out.find('\n', begin);
            EXPECT_LE(cli::width_of(one.out.substr(begin, end - begin)), cli::kColumns) << name;
            begin = end + 1;
        }
    }
}

TEST_F(UsageTest, version_is_printed) {
    const Ran ran = run({"--version"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_EQ(ran.out, "modelguard " MODELGUARD_VERSION "\n");
}

TEST_F(UsageTest, a_mistyped_command_or_option_exits_2_with_the_nearest) {
    struct Case {
        std::vector<std::string> arguments;
        const char* told;
    };
    for (const Case& one : {Case{{"statsu"}, "no command 'statsu'\ndid you mean 'status'?"},
                            Case{{"roll-back", "digits"}, "did you mean 'rollback'?"},
                            Case{{"status", "--jsno"}, "no option '--jsno'\ndid you mean '--json'?"},
                            Case{{"deploy", "digits", "x", "--lable=5"}, "did you mean '--label'?"},
                            Case{{"frobnicate"}, "no command 'frobnicate'\nsee: "}}) {
        const Ran ran = run(one.arguments);
        EXPECT_EQ(ran.exit_code, 2);
        EXPECT_EQ(ran.out, "");
        EXPECT_NE(ran.err.find(one.told), std::string::npos) << ran.err;
    }
}

TEST_F(UsageTest, what_is_missing_or_wrong_exits_2) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                       {"deploy", "digits"},
                                                                       {"rollback"},
                                                                       {"versions"},
                                                                       {"validate"},
                                                                       {"unreject", "digits"},
                                                                       {"status", "a", "b"},
                                                                       {"status", "NoName"},
                                                                       {"status", "../x"},
                                                                       {"history", "--limit", "0"},
                                                                       {"history", "--limit", "x"},
                                                                       {"rollback", "digits", "--wait", "--no-wait"},
                                                                       {"deploy", "digits", "x", "--timeout", "10"},
                                                                       {"status", "--root"}}) {
        const Ran ran = run(arguments);
        EXPECT_EQ(ran.exit_code, 2) << (arguments.empty() ? "nothing" : arguments[0]) << ran.out;
        EXPECT_TRUE(ran.err.starts_with("modelguard: ")) << ran.err;
    }
}

TEST_F(UsageTest, a_model_may_be_called_like_a_command) {
    on["GET /v1/status"] = always(status_of({steady_model("history")}));
    start_daemon();
    const Ran ran = run({"status", "history"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.out.find("history: steady"), std::string::npos);
}

TEST_F(UsageTest, root_may_stand_behind_the_command) {
    start_daemon();
    TempDir elsewhere;
    EXPECT_EQ(run({"--root", elsewhere.path(), "status", "--root", root.path() + "///"}).exit_code, 0);
    EXPECT_EQ(run({"status", "--root", elsewhere.path()}).exit_code, 4) << "the last one counts";
}

TEST_F(UsageTest, standard_output_that_cannot_be_written_is_a_failure) {
    start_daemon();
    const std::string program = std::getenv("MODELGUARD_CLI");
    const int status = std::system((program + " --root " + root.path() + " status >/dev/full 2>/dev/null").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 6);
}

}  // namespace
}  // namespace modelguard::test
