#include "supervisor/daemon/man_page.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "checks/check.hpp"
#include "rollback/os_backend.hpp"
#include "rollback/switch.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/daemon/manifest_keys.hpp"
#include "supervisor/daemon/params_from_yaml.hpp"

namespace modelguard::daemon {

namespace {

/// Text that roff shows as it stands, in the middle of a line.
std::string roff(std::string_view text) {
    std::string escaped;
    while (!text.empty()) {
        const CodePoint point = next_code_point(text);
        const std::string_view bytes = text.substr(0, point.length);
        text.remove_prefix(bytes.size());
        if (bytes == "\\")
            escaped += "\\e";
        else if (bytes == "-")
            escaped += "\\-";
        else if (point.value >= 0x80) {
            std::array<char, 16> name{};
            std::snprintf(name.data(), name.size(), "\\[u%04X]", static_cast<unsigned>(point.value));
            escaped += name.data();
        } else
            escaped += bytes;
    }
    return escaped;
}

/// The same as a line of its own: a dot or quote at its beginning would be a request.
std::string line(std::string_view text) { return "\\&" + roff(text) + "\n"; }

std::string keys(std::span<const ParamSpec> table) {
    std::string page;
    for (const ParamSpec& spec : table) {
        page += ".TP\n\\fB" + roff(spec.name) + "\\fR: " + roff(expectation(spec));
        if (spec.required) page += "; required";
        page += "\n" + line(spec.help);
        if (!spec.default_text.empty()) page += "Default: \\fB" + roff(spec.default_text) + "\\fR.\n";
        if (!spec.fields.empty()) page += ".RS\n" + keys(spec.fields) + ".RE\n";
    }
    return page;
}

std::string kind(std::string_view name, std::string_view summary, std::span<const ParamSpec> params) {
    return ".SS " + roff(name) + "\n" + line(summary) + keys(params);
}

template <class Kind>
std::string kinds_of(std::span<const Kind* const> list) {
    std::string page;
    for (const Kind* each : list)
        page += kind(each->name, each->summary, each->params);
    return page;
}

std::string os_backends() {
    std::string page;
    for (const rollback::OsBackendKind* each : rollback::os_backends())
        page += kind(each->name, each->summary, {});
    return page;
}

struct Filling {
    std::string_view line;
    std::string (*make)();
};
constexpr std::array kFillings{
    Filling{"@keys top", [] { return keys(kTopKeys); }},
    Filling{"@keys version", [] { return keys(kVersionKeys); }},
    Filling{"@keys serve", [] { return keys(kServeKeys); }},
    Filling{"@keys check", [] { return keys(kCommonKeys); }},
    Filling{"@keys must_detect", [] { return keys(kMustDetectFields); }},
    Filling{"@keys canary", [] { return keys(kDeviceCanaryFields); }},
    Filling{"@keys trial", [] { return keys(kTrialKeys); }},
    Filling{"@keys rollout", [] { return keys(kRolloutKeys); }},
    Filling{"@kinds checks", [] { return kinds_of(checks::kinds()); }},
    Filling{"@kinds protocols", [] { return kinds_of(checks::protocols()); }},
    Filling{"@kinds switches", [] { return kinds_of(rollback::switches()); }},
    Filling{"@kinds thens", [] { return kinds_of(rollback::thens()); }},
    Filling{"@kinds os_backends", [] { return os_backends(); }},
};
}  // namespace

Result<std::string> fill_man_page(std::string_view page) {
    std::string filled;
    while (!page.empty()) {
        const auto end = std::min(page.find('\n'), page.size());
        const std::string_view text = page.substr(0, end);
        page.remove_prefix(std::min(end + 1, page.size()));
        if (!text.starts_with('@')) {
            filled += std::string(text) + "\n";
            continue;
        }
        const auto filling = std::ranges::find(kFillings, text, &Filling::line);
        if (filling == kFillings.end())
            return fail(ErrorKind::invalid_config,
                        "the line '" + printable_name(text) + "' stands for nothing; expected as in @kinds checks");
        filled += filling->make();
    }
    return filled;
}

}  // namespace modelguard::daemon
