// modelguardd: the supervisor. With --validate, --kinds, --schema, --man or --digest it answers one question without a
// daemon.

#include <fmt/core.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <set>

#include "supervisor/daemon/canary_tool.hpp"
#include "supervisor/daemon/commands.hpp"
#include "supervisor/daemon/config_files.hpp"
#include "supervisor/daemon/daemon.hpp"
#include "supervisor/daemon/man_page.hpp"
#include "supervisor/daemon/manifest_schema.hpp"
#include "supervisor/daemon/status.hpp"

namespace {

using namespace modelguard;

constexpr int kAnswerIsNo = 1;
constexpr int kUsage = 2;
constexpr int kNotCarriedOut = 6;

int answer_validate(const std::string& file, const std::string& root) {
    const auto device = daemon::read_device_config(sys::Path(root) / "etc/modelguard");
    if (!device) {
        fmt::print(stderr, "modelguardd: {}\n", device.error().what);
        return kAnswerIsNo;
    }
    const auto text = sys::read_file(file, 1u << 20);
    if (!text) {
        fmt::print(stderr, "modelguardd: {}\n", text.error().what);
        return kNotCarriedOut;
    }
    std::vector<daemon::Finding> findings;
    const bool valid = daemon::parse_manifest(*text, file, *device, findings).has_value();
    for (const daemon::Finding& finding : findings)
        fmt::print("{}\n", daemon::describe(finding));
    fmt::print("{}: {}\n", file, valid ? "valid" : "not valid");
    return valid ? 0 : kAnswerIsNo;
}

/// The units that modelguardd may manage on this device, one a line: what root has written, not what a manifest that
/// was sent says. Read by the polkit rule (units/50-modelguard.rules.in).
int answer_units(const std::string& root) {
    const sys::Path config = sys::Path(root) / "etc/modelguard";
    const auto device = daemon::read_device_config(config);
    if (!device) {
        fmt::print(stderr, "modelguardd: {}\n", device.error().what);
        return kAnswerIsNo;
    }
    std::set<std::string> units(device->units.begin(), device->units.end());
    for (const daemon::Manifest& manifest : daemon::read_manifests(config, *device).manifests)
        units.insert(manifest.model + ".service");
    for (const std::string& unit : units)
        fmt::print("{}\n", unit);
    return 0;
}

int answer_digest(const std::string& tree) {
    const auto digest = store::digest_tree(tree);
    if (!digest) {
        fmt::print(stderr, "modelguardd: {}\n", digest.error().what);
        return digest.error().kind == ErrorKind::invalid_config ? kAnswerIsNo : kNotCarriedOut;
    }
    fmt::print("{}\n", digest->text);
    return 0;
}

int answer_man(const std::string& file) {
    const auto text = sys::read_file(file, 1u << 20);
    const auto page = text ? daemon::fill_man_page(*text) : Result<std::string>(std::unexpected(text.error()));
    if (!page) {
        fmt::print(stderr, "modelguardd: {}\n", page.error().what);
        return text ? kAnswerIsNo : kNotCarriedOut;
    }
    fmt::print("{}", *page);
    return 0;
}

void log_to_stderr() {
    auto logger = std::make_shared<spdlog::logger>("modelguardd", std::make_shared<spdlog::sinks::stderr_sink_st>());
    // Under the service manager the journal adds the time; on a terminal a person wants it.
    logger->set_pattern(std::getenv("JOURNAL_STREAM") ? "%v" : "%Y-%m-%dT%H:%M:%S %l %v");
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(logger);
}

int run(int argc, char** argv) {
    CLI::App app{"modelguardd: health-check and rollback supervisor for AI models"};
    daemon::DaemonOptions options;
    std::string validate, digest, man;
    bool kinds = false, schema = false, units = false;
    app.add_option("--root", options.root, "put every path under DIR; needs no root, no systemd, no ostree")
        ->type_name("DIR");
    app.add_option("--os-backend", options.os_backend, "OS backend to use instead of the first one present")
        ->type_name("NAME");
    app.add_option("--validate", validate, "check a manifest and end")->type_name("FILE");
    app.add_option("--digest", digest, "print the version digest of a directory and end")->type_name("PATH");
    app.add_flag("--kinds", kinds, "print the check kinds, protocols, switches and OS backends as JSON and end");
    app.add_flag("--units", units, "print the units that modelguardd may manage on this device and end");
    app.add_flag("--schema", schema, "print the JSON schema of a manifest, for editors, and end");
    app.add_option("--man", man, "print a man page's template with what this program knows filled in, and end")
        ->type_name("TEMPLATE");
    app.set_version_flag("--version", "modelguardd " MODELGUARD_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    if (!validate.empty()) return answer_validate(validate, options.root.empty() ? "/" : options.root);
    if (!digest.empty()) return answer_digest(digest);
    if (kinds) {
        fmt::print("{}\n", api::to_json(daemon::make_kinds()));
        return 0;
    }
    if (units) return answer_units(options.root.empty() ? "/" : options.root);
    if (schema) {
        fmt::print("{}", daemon::manifest_schema());
        return 0;
    }
    if (!man.empty()) return answer_man(man);
    log_to_stderr();
    std::error_code error;
    options.self_exe = std::filesystem::read_symlink("/proc/self/exe", error).string();
    const auto ended = daemon::run_daemon(options);
    if (ended) return *ended;
    spdlog::error("{}", ended.error().what);
    return kNotCarriedOut;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "--child-import") return store::run_import_child(argc, argv);
    if (argc > 1 && std::string_view(argv[1]) == "--child-hash") return store::run_hash_child(argc, argv);
    if (argc > 1 && std::string_view(argv[1]) == "--child-remove") return store::run_remove_child(argc, argv);
    try {
        if (argc == 3 && std::string_view(argv[1]) == "--run-command") return daemon::run_command_unit(argv[2]);
        if (argc > 1 && std::string_view(argv[1]) == "--canary-tool") return daemon::run_canary_tool(argc, argv);
        return run(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "modelguardd: {}\n", error.what());
        return kNotCarriedOut;
    }
}
