// The command line of `modelguard`: one row per command, CLI11 for the rest, and the nearest word where one was
// mistyped.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>

#include "supervisor/base/params.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {
namespace {

struct Command {
    const char* name;
    const char* summary;
    void (*configure)(CLI::App& app, Arguments& arguments);
    int (*run)(const Session& session, const Arguments& arguments);
};

std::string check_model_name(const std::string& name) {
    return is_valid_name(name) ? std::string()
                               : "'" + name + "' is no model name: a-z 0-9 _ . - and at most 63 of them";
}

// type_name(""): CLI11 would print TEXT behind each name of an argument.
void add_model(CLI::App& app, Arguments& arguments, bool required) {
    auto* option = app.add_option("MODEL", arguments.model, required ? "the model" : "one model; all where left out");
    option->check(check_model_name)->required(required)->type_name("");
}

void add_version(CLI::App& app, Arguments& arguments, bool required) {
    const char* help = required ? "a digest, 6 or more digits of it, or a label"
                                : "a digest, 6 digits of it, or a label; else current";
    app.add_option("VERSION", arguments.version, help)->required(required)->type_name("");
}

void add_timeout(CLI::App& app, Arguments& arguments) {
    const auto take = [&arguments](const std::string& text) { arguments.timeout = *parse_duration(text); };
    const auto check = [](const std::string& text) {
        const auto duration = parse_duration(text);
        return duration ? std::string() : duration.error().what;
    };
    app.add_option_function<std::string>("--timeout", take, "wait so long at most (90s, 10m)")
        ->check(check)
        ->type_name("DURATION");
}

void configure_model(CLI::App& app, Arguments& arguments) { add_model(app, arguments, true); }
void configure_any_model(CLI::App& app, Arguments& arguments) { add_model(app, arguments, false); }

void configure_deploy(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, true);
    app.add_option("BUNDLE", arguments.bundle, "a directory, a tar archive, or - for stdin")->required()->type_name("");
    app.add_flag("--wait", arguments.wait, "tell the trial to its end; exit 1 if not accepted");
    app.add_option("--label", arguments.label, "the version's name for people")->type_name("NAME");
    app.add_option("--served-version", arguments.served_version, "what the server must say it serves")
        ->type_name("NAME");
    add_timeout(app, arguments);
}

void configure_rollback(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, false);
    auto* model = app.get_option("MODEL");
    model->description("the model");
    auto* os = app.add_flag("--os", arguments.os, "the OS instead, to the deployment that status names");
    os->excludes(model);
    app.add_option("--to", arguments.to, "a digest, 6 or more digits of it, or a label")
        ->type_name("VERSION")
        ->excludes(os);
    auto* wait = app.add_flag("--wait", arguments.wait, "wait for the end (the default)");
    app.add_flag("--no-wait", arguments.no_wait, "return at once")->excludes(wait);
    add_timeout(app, arguments);
}

void configure_history(CLI::App& app, Arguments& arguments) {
    constexpr int kMostItems = 10'000;  // what the daemon keeps fits in one answer
    add_model(app, arguments, false);
    app.add_option("--limit", arguments.limit, "how many (default 20)")
        ->check(CLI::Range(1, kMostItems))
        ->type_name("N");
}

void configure_validate(CLI::App& app, Arguments& arguments) {
    app.add_option("FILE", arguments.file, "the manifest, or - for stdin")->required()->type_name("");
}

void configure_kinds(CLI::App&, Arguments&) {}

void configure_status(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, false);
    app.add_flag("--watch", arguments.watch, "show it again whenever it changes, until interrupted");
}

void configure_explain(CLI::App& app, Arguments& arguments) {
    constexpr int kMostDecisions = 1'000'000'000;
    add_model(app, arguments, false);
    app.add_option("--decision", arguments.decision, "the story of this one, by its number in history")
        ->check(CLI::Range(1, kMostDecisions))
        ->type_name("N");
}

void configure_apply(CLI::App& app, Arguments& arguments) {
    configure_validate(app, arguments);
    app.add_flag("--wait", arguments.wait, "wait until it is in force or refused; exit 1 if not in force");
    add_timeout(app, arguments);
}

void configure_canary(CLI::App& app, Arguments& arguments) {
    app.add_option("VERB", arguments.verb, "what is wrong with a set; try it; make one")
        ->required()
        ->check(CLI::IsMember({"lint", "score", "record"}))
        ->type_name("");
    app.add_option("FILE", arguments.file, "the set, or for record the inputs, one a line")->required()->type_name("");
    app.add_option("--manifest", arguments.manifest, "says which server, and how it is asked and graded")
        ->type_name("FILE");
    app.add_option("--check", arguments.check, "which of its accuracy checks")->type_name("NAME");
    app.add_option("--output", arguments.output, "where to record; else standard output")->type_name("FILE");
}

void configure_remove(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, true);
    app.add_flag("--yes", arguments.yes, "do it; without, say what would go");
}

void configure_logs(CLI::App& app, Arguments& arguments) {
    constexpr int kMostLines = 1'000'000;
    add_model(app, arguments, true);
    app.add_flag("--follow", arguments.follow, "go on with what comes, until interrupted");
    app.add_option("--lines", arguments.lines, "how many of the newest (default 100)")
        ->check(CLI::Range(1, kMostLines))
        ->type_name("N");
}

void configure_gate(CLI::App& app, Arguments& arguments) {
    add_timeout(app, arguments);
    app.add_option("--motd", arguments.motd, "write one line for those who log in")->type_name("FILE");
    app.add_flag("--boot-complete", arguments.boot_complete, "tell the daemon that the boot is complete");
}

void configure_pin(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, true);
    add_version(app, arguments, false);
}

void configure_unreject(CLI::App& app, Arguments& arguments) {
    add_model(app, arguments, true);
    add_version(app, arguments, true);
}

constexpr std::array kCommands{
    Command{"status", "what serves, whether it is well, and if not, why", configure_status, run_status},
    Command{"deploy", "send a new version, to be tried and judged here", configure_deploy, run_deploy},
    Command{"rollback", "go back to the newest other known-good version", configure_rollback, run_rollback},
    Command{"check", "run the checks now", configure_any_model, run_check},
    Command{"history", "what was decided, the newest first", configure_history, run_history},
    Command{"explain", "why: what was measured, and what followed", configure_explain, run_explain},
    Command{"versions", "the versions kept on this device", configure_model, run_versions},
    Command{"logs", "the journal of a model and of its units", configure_logs, run_logs},
    Command{"validate", "what is wrong with a manifest", configure_validate, run_validate},
    Command{"canary", "make a canary set, try it, find what is wrong with it", configure_canary, run_canary},
    Command{"gate", "whether this boot is good, for greenboot: exit 0 or 1", configure_gate, run_gate},
    Command{"kinds", "what a manifest may name: checks, protocols, switches", configure_kinds, run_kinds},
    Command{"pin", "keep a version: nothing automatic moves it", configure_pin, run_pin},
    Command{"unpin", "let automation move it again", configure_model, run_unpin},
    Command{"unreject", "allow a rejected version to be tried again", configure_unreject, run_unreject},
    Command{"apply", "put a manifest into force, on trial where a version serves", configure_apply, run_apply},
    Command{"remove", "forget a model and delete its versions", configure_remove, run_remove},
};

/// What may have been meant by the first word that is not known: a command, or an option of `parsed`.
std::string suggestion(const CLI::App* parsed, int argc, char** argv) {
    std::vector<std::string> known;
    std::string word;
    if (parsed == nullptr) {
        for (const Command& command : kCommands)
            known.emplace_back(command.name);
    } else {
        known = {"--root", "--json", "--help"};
        for (const auto* option : parsed->get_options())
            if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
    }
    for (int i = 1; i < argc && word.empty(); ++i) {
        const std::string argument(argv[i]);
        const std::string name = argument.substr(0, argument.find('='));
        const bool is_candidate = parsed == nullptr ? !argument.starts_with('-') : argument.starts_with("--");
        if (is_candidate && std::ranges::find(known, name) == known.end()) word = name;
        if (argument == "--root") ++i;
    }
    if (word.empty()) return "";
    const std::vector<std::string_view> views(known.begin(), known.end());
    const auto nearest = nearest_word(word, views);
    const std::string what = parsed == nullptr ? "command" : "option";
    const std::string text = "modelguard: no " + what + " '" + printable(word) + "'\n";
    return nearest ? text + "did you mean '" + *nearest + "'?\n" : text;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
    const auto subcommands = app.get_subcommands();
    const CLI::App* parsed = subcommands.empty() ? nullptr : subcommands.front();
    std::string text = suggestion(parsed, argc, argv);
    if (text.empty()) text = "modelguard: " + printable(error.what()) + "\n";
    text += "see: modelguard " + (parsed == nullptr ? std::string() : parsed->get_name() + " ") + "--help\n";
    std::fwrite(text.data(), 1, text.size(), stderr);
    return kUsage;
}

int run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app("Tries a new AI model on this device; keeps it if it is good, else goes back.", "modelguard");
    app.set_version_flag("--version", "modelguard " MODELGUARD_VERSION);
    app.add_option("--root", arguments.root, "everything is under DIR, as with modelguardd --root")
        ->type_name("DIR")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // so that an alias with --root can be overridden
    app.require_subcommand(1, 1);
    app.fallthrough();  // `modelguard status --root DIR` as well as `modelguard --root DIR status`
    app.get_formatter()->column_width(26);
    app.footer(
        "Exit codes: 0 healthy or done, 1 unhealthy or the answer is no, 2 usage,\n"
        "3 no such model or version, 4 no daemon, 5 denied, 6 could not be carried out.");
    const Command* chosen = nullptr;
    for (const Command& command : kCommands) {
        CLI::App* sub = app.add_subcommand(command.name, command.summary);
        sub->footer("");
        command.configure(*sub, arguments);
        sub->add_flag("--json", arguments.json, "print the daemon's document");
        sub->callback([&chosen, &command] { chosen = &command; });
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help, --version
        app.exit(success);
        return kDone;
    } catch (const CLI::ParseError& error) {
        return usage_error(app, error, argc, argv);
    }
    const Session session(arguments.root, arguments.json);
    const int code = chosen->run(session, arguments);
    if (std::fflush(stdout) != 0) {
        std::fprintf(stderr, "modelguard: standard output cannot be written\n");
        return kFailed;
    }
    return code;
}

}  // namespace
}  // namespace modelguard::cli

int main(int argc, char** argv) {
    try {
        return modelguard::cli::run(argc, argv);
    } catch (const std::exception& error) {  // std::bad_alloc and the like
        std::fprintf(stderr, "modelguard: %s\n", error.what());
        return modelguard::cli::kFailed;
    }
}
