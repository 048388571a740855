#pragma once
// One function per command. Each prints what it has to say and returns the exit code.

#include <cstdint>
#include <string>

#include "supervisor/cli/session.hpp"

namespace modelguard::cli {

/// What the command line said, for whatever command it was.
struct Arguments {
    std::string root;
    bool json{false};
    std::string model, version, to, bundle, label, served_version, file, verb, manifest, check, output, motd;
    bool wait{false};
    bool no_wait{false};
    bool yes{false};
    bool watch{false};
    bool follow{false};
    bool boot_complete{false};
    bool os{false};
    Usec timeout{0};
    int limit{20};
    int lines{100};
    std::int64_t decision{0};
};

int run_status(const Session& session, const Arguments& arguments);
int run_history(const Session& session, const Arguments& arguments);
int run_explain(const Session& session, const Arguments& arguments);
int run_versions(const Session& session, const Arguments& arguments);
int run_validate(const Session& session, const Arguments& arguments);
int run_kinds(const Session& session, const Arguments& arguments);
int run_gate(const Session& session, const Arguments& arguments);
int run_logs(const Session& session, const Arguments& arguments);

int run_canary(const Session& session, const Arguments& arguments);

int run_apply(const Session& session, const Arguments& arguments);
int run_remove(const Session& session, const Arguments& arguments);

int run_deploy(const Session& session, const Arguments& arguments);
int run_rollback(const Session& session, const Arguments& arguments);
int run_check(const Session& session, const Arguments& arguments);
int run_pin(const Session& session, const Arguments& arguments);
int run_unpin(const Session& session, const Arguments& arguments);
int run_unreject(const Session& session, const Arguments& arguments);

}  // namespace modelguard::cli
