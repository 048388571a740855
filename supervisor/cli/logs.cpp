// `logs`: the journal of a model and of the units that its manifest names, by journalctl(1), which pages, filters by
// right and knows every storage. Source of the match syntax: journalctl(1), "+" is a logical OR;
// systemd.journal-fields(7).

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

int run_logs(const Session& session, const Arguments& arguments) {
    const auto status = session.model_status(arguments.model);
    if (!status && status.error().exit_code != kUnreachable) return session.report(status.error(), arguments.model);
    if (!session.view().root.empty())
        return session.report(refuse(kFailed, ErrorKind::unsupported,
                                     "with --root nothing is written to the journal: modelguardd says it on its "
                                     "standard error; what was decided is in: " +
                                         command_line("history " + arguments.model, session.view()))
                                  .error());
    std::vector<std::string> words{"journalctl", "--lines=" + std::to_string(arguments.lines)};
    if (arguments.follow) words.emplace_back("--follow");
    if (session.json()) words.emplace_back("--output=json");
    words.push_back("MODELGUARD_MODEL=" + arguments.model);
    if (status)  // a daemon that is dead cannot say which units they are; its own decisions are there all the same
        for (const std::string& unit : status->units)
            for (const char* field : {"_SYSTEMD_UNIT=", "UNIT="}) {
                words.emplace_back("+");
                words.push_back(field + unit);
            }
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv.front(), argv.data());
    return session.report(
        refuse(kFailed, ErrorKind::io, std::string("journalctl cannot be run: ") + std::strerror(errno)).error());
}

}  // namespace modelguard::cli
