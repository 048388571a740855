// `canary lint | score | record`: carried out by modelguardd's program, which has the checks and the manifest's parser.
// No daemon is asked.

#include <unistd.h>

#include <cerrno>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/program.hpp"

namespace modelguard::cli {

int run_canary(const Session& session, const Arguments& arguments) {
    const auto program = find_program("modelguardd", {"../daemon", MODELGUARD_LIBEXEC_RELATIVE});
    if (!program) return session.report(failure_of(program.error()));
    std::vector<std::string> words{*program, "--canary-tool", arguments.verb, arguments.file};
    const auto add = [&](const char* option, const std::string& value) {
        if (!value.empty()) words.insert(words.end(), {option, value});
    };
    add("--manifest", arguments.manifest);
    add("--check", arguments.check);
    add("--output", arguments.output);
    add("--root", session.view().root);
    if (session.json()) words.emplace_back("--json");
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv.front(), argv.data());
    return session.report(failure_of(Error{ErrorKind::io, *program + " cannot be run", errno}));
}

}  // namespace modelguard::cli
