// The exhaustive explorer: explores each configuration and prints states, edges, invariants and seconds, or
// counterexamples.
//   explorer [--all] [--first] [--only NAME] [--states N]
// MODELGUARD_ALL=1 in the environment is the same as --all.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/model/configurations.hpp"
#include "tests/model/explorer.hpp"
#include "tests/model/invariants.hpp"

int main(int argc, char** argv) {
    using namespace modelguard::model;
    Options options;
    std::string only;
    const char* all_wanted = std::getenv("MODELGUARD_ALL");
    bool all = all_wanted && std::strcmp(all_wanted, "1") == 0;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--all")
            all = true;
        else if (argument == "--first")
            options.first_only = true;
        else if (argument == "--only" && i + 1 < argc)
            only = argv[++i];
        else if (argument == "--states" && i + 1 < argc)
            options.max_states = std::strtoull(argv[++i], nullptr, 10);
        else {
            std::fprintf(stderr, "usage: explorer [--all] [--first] [--only NAME] [--states N]\n");
            return 2;
        }
    }
    if (!all) options.stale_every = 5;

    constexpr std::size_t kGraphQuestions = 3;  // stale_answer_obeyed, rest_unreachable, runs_in_circles
    std::size_t states = 0;
    std::size_t edges = 0;
    std::size_t broken = 0;
    bool explored = false;
    const auto begin = std::chrono::steady_clock::now();
    const auto seconds_since = [](auto then) {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
    };
    for (const Bounds& bounds : configurations(all)) {
        if (!only.empty() && only != bounds.name) continue;
        explored = true;
        const auto then = std::chrono::steady_clock::now();
        const Report report = explore(bounds, options);
        std::printf("%-28s %9zu states %10zu edges  rest within %zu moves  %6.1f s%s\n", bounds.name.c_str(),
                    report.states, report.edges, report.longest_to_rest, seconds_since(then),
                    report.complete ? "" : "  NOT COMPLETE");
        for (const std::string& trace : report.traces)
            std::printf("%s\n", trace.c_str());
        std::fflush(stdout);
        states += report.states;
        edges += report.edges;
        broken += report.broken.size();
        if (options.first_only && broken != 0) break;
    }
    if (!explored) {
        std::fprintf(stderr, "explorer: no configuration is named '%s'\n", only.c_str());
        return 2;
    }
    std::printf("%zu states, %zu edges, %zu invariants, %zu broken, %.1f s%s\n", states, edges,
                invariants().size() + kGraphQuestions, broken, seconds_since(begin),
                all ? "" : " (the default bounds; --all for the full ones)");
    return broken == 0 ? 0 : 1;
}
