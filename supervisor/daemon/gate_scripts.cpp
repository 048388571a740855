#include "supervisor/daemon/gate_scripts.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "supervisor/base/text.hpp"

namespace modelguard::daemon {

namespace {
constexpr std::size_t kMostAtOnce = 32;
constexpr std::string_view kShell = "/bin/bash";
constexpr std::string_view kRequired = "required", kWanted = "wanted";
constexpr std::array<std::string_view, 6> kLeftBehind{"~", ".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-new", ".dpkg-old"};

sys::Path directory_of(const sys::Path& config, std::string_view which) {
    return config / "checks" / (std::string(which) + ".d");
}

/// As with both greenboots, executable or not.
bool is_bash(const std::string& name) { return name.ends_with(".sh"); }

bool is_script(const sys::Path& file) {
    const std::string name = file.filename();
    struct stat found{};
    if (name.starts_with('.') || ::stat(file.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return false;
    if (std::ranges::any_of(kLeftBehind, [&](std::string_view suffix) { return name.ends_with(suffix); })) return false;
    return is_bash(name) || (found.st_mode & 0111) != 0;
}

void find_in(const sys::Path& config, bool is_required, std::vector<core::GateScript>& scripts) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(directory_of(config, is_required ? kRequired : kWanted), error), end;
         !error && at != end; at.increment(error))
        if (is_script(at->path())) names.push_back(at->path().filename());
    std::ranges::sort(names);
    for (std::string& name : names)
        scripts.push_back({.name = std::move(name), .is_required = is_required});
}

std::string command_name(const core::GateScript& script) {
    return std::string(script.is_required ? kRequired : kWanted) + ":" + script.name;
}
}  // namespace

std::vector<core::GateScript> find_scripts(const sys::Path& config) {
    std::vector<core::GateScript> scripts;
    find_in(config, true, scripts);
    find_in(config, false, scripts);
    return scripts;
}

Result<sys::Command> script_command(const sys::Path& config, std::string_view name, Usec timeout) {
    const std::size_t colon = name.find(':');
    const std::string_view which = name.substr(0, colon);
    const std::string file(colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1));
    if ((which != kRequired && which != kWanted) || file.empty() || file.find('/') != std::string::npos)
        return fail(ErrorKind::not_found, "no drop-in script is called " + std::string(name));
    const sys::Path path = directory_of(config, which) / file;
    struct stat found{};
    if (!is_script(path) || ::stat(path.c_str(), &found) != 0)
        return fail(ErrorKind::not_found, path.string() + ": no such executable, nor a script that ends in .sh");
    if ((found.st_uid != 0 && found.st_uid != ::geteuid()) || (found.st_mode & 022) != 0)
        return fail(ErrorKind::denied, path.string() +
                                           ": others than its owner may write it, so that it is not run; "
                                           "next: chown root it, chmod go-w it");
    sys::Command command{.argv = {path}, .user = {}, .timeout = timeout};
    if (is_bash(file)) command.argv.insert(command.argv.begin(), std::string(kShell));
    return command;
}

void GateScripts::start(const sys::RunCommand& run, std::function<void(const core::GateScript&)> ended) {
    run_ = run;
    ended_ = std::move(ended);
    fill();
}

void GateScripts::fill() {
    while (next_ < scripts_.size() && running_.size() < kMostAtOnce) {
        const std::size_t index = next_++;
        auto run = run_(command_name(scripts_[index]), {}, [this, index](const Result<sys::ProcessEnd>& how) {
            end(index, how);
            fill();
        });
        if (run)
            running_[index] = std::move(*run);
        else
            end(index, std::unexpected(run.error()));
    }
}

void GateScripts::end(std::size_t index, const Result<sys::ProcessEnd>& how) {
    core::GateScript& script = scripts_[index];
    script.has_ended = true;
    script.passed = how && how->ok();
    if (!how)
        script.text = "could not be run: " + one_line(how.error().what);
    else if (!script.passed)
        script.text = how->why();
    ended_(script);
    running_.erase(index);
}

}  // namespace modelguard::daemon
