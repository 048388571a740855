#include "supervisor/cli/screens.hpp"

#include <algorithm>

#include "supervisor/cli/text.hpp"

namespace modelguard::cli {

namespace {

constexpr std::size_t kShortHex = 6;  // a prefix that VERSION arguments take

Style style_of(core::VerdictKind verdict) {
    switch (verdict) {
        case core::VerdictKind::pass: return Style::good;
        case core::VerdictKind::fail: return Style::bad;
        case core::VerdictKind::inconclusive: return Style::busy;
    }
    return Style::plain;
}

/// For table cells: the label where there is one, and enough of the digest to type it.
std::string short_name(const api::VersionRef& version) {
    if (version.digest.empty()) return "-";
    const std::string hex = Digest{version.digest}.short_form();
    if (version.label.empty()) return printable(hex);
    constexpr std::size_t kLabelColumns = 8;
    return cut_to(printable(version.label), kLabelColumns) + " " + printable(hex.substr(0, kShortHex));
}

bool is_at_rest(const api::ModelStatus& model) { return model.phase == "steady" || model.phase == "empty"; }

Cell mark_of(const api::ModelStatus& model) {
    if (!model.healthy) return {"!!", Style::bad};
    if (!is_at_rest(model)) return {"..", Style::busy};
    return {"ok", Style::good};
}

bool needs_words(const api::ModelStatus& model) {
    return !model.healthy || !is_at_rest(model) || !model.code.empty() || !model.managed;
}

/// "61 ms (limit 50, known-good 20), 100 probes"
std::string measured_text(const core::CheckReport& check) {
    std::string text;
    if (check.measured) text = number_text(*check.measured) + (check.unit.empty() ? "" : " " + printable(check.unit));
    std::string against;
    if (check.limit) against = "limit " + number_text(*check.limit);
    if (check.baseline) against += (against.empty() ? "known-good " : ", known-good ") + number_text(*check.baseline);
    if (!against.empty()) text += (text.empty() ? "(" : " (") + against + ")";
    if (check.probes > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(check.probes) + (check.probes == 1 ? " probe" : " probes");
    return text;
}

/// What each check measured against what, one after the other.
std::string checks_text(const std::vector<core::CheckReport>& checks, const View& view) {
    constexpr std::size_t kNameColumns = 20, kVerdictColumns = 12;
    std::size_t name_width = 0, verdict_width = 0;
    for (const auto& check : checks) {
        name_width = std::max(name_width, std::min(width_of(printable(check.check)), kNameColumns));
        verdict_width = std::max(verdict_width, std::min(core::to_word(check.verdict).size(), kVerdictColumns));
    }
    std::string out;
    for (const auto& check : checks) {
        const std::string verdict(core::to_word(check.verdict));
        const std::string name = cut_to(printable(check.check), kNameColumns);
        const std::size_t indent = 2 + verdict_width + 2 + name_width + 2;
        // A check says itself what it measured against what; the bare numbers are for one that has no words.
        std::string numbers = check.text.empty() ? measured_text(check) : printable(check.text);
        if (!check.required) numbers = numbers.empty() ? "wanted only" : numbers + " (wanted only)";
        const std::string body = wrapped(numbers, indent);
        out += "  " + styled(verdict, style_of(check.verdict), view.colour) +
               std::string(verdict_width - verdict.size() + 2, ' ') + name;
        out += body.empty() ? "\n" : std::string(name_width - width_of(name) + 2, ' ') + body.substr(indent);
    }
    return out;
}

std::string heading(const api::ModelStatus& model, const View& view) {
    std::string text = printable(model.phase);
    if (model.phase_left_usec >= 0) text += ", " + format_age(Usec(model.phase_left_usec)) + " left";
    text += model.healthy ? ", healthy" : ", unhealthy";
    if (!model.managed) text += ", unmanaged (its manifest is gone)";
    const std::string name = printable(model.model);
    const std::string shown = styled(name, Style::strong, view.colour) + ":";
    if (width_of(name) + 2 + width_of(text) > kColumns) return shown + "\n" + wrapped(text, 2);
    const Style style = !model.healthy ? Style::bad : is_at_rest(model) ? Style::good : Style::busy;
    return shown + " " + styled(text, style, view.colour) + "\n";
}

std::string reasons(const api::ModelStatus& model, const View& view) {
    std::string out;
    if (!model.why.empty() || !model.code.empty()) {
        std::string why = printable(model.why.empty() ? model.code : model.why);
        if (!model.why.empty() && !model.code.empty()) why += " (" + printable(model.code) + ")";
        out += wrapped("why: " + why, 2);
    }
    out += checks_text(model.checks, view);
    if (!model.next_command.empty()) out += wrapped("next: " + printable(model.next_command), 2);
    return out;
}

std::string field(const char* name, const std::string& value) {
    constexpr std::size_t kFieldColumns = 12;
    std::string line = "  " + std::string(name);
    line.resize(2 + kFieldColumns, ' ');
    return line + value + "\n";
}

/// "fedora-iot-5b77120a3c4d.0": enough of the checksum to tell it from the others.
std::string deployment_name(const std::string& id) {
    constexpr std::size_t kHexDigits = 64, kShown = 12;
    const std::size_t dot = id.rfind('.');
    const std::size_t dash = id.rfind('-', dot);
    if (dot == std::string::npos || dash == std::string::npos || dot - dash - 1 != kHexDigits)
        return printable_name(id);
    return printable_name(id.substr(0, dash + 1 + kShown) + id.substr(dot));
}

std::string os_text(const api::OsStatus& os, const View& view) {
    std::string out = styled("OS", Style::strong, view.colour) + ":\n";
    out += field("booted", deployment_name(os.booted) +
                               (os.boot_trial.empty() ? "" : " (on trial, " + printable(os.boot_trial) + " watches)"));
    if (os.default_deployment != os.booted) out += field("default", deployment_name(os.default_deployment));
    if (!os.staged.empty()) out += field("staged", deployment_name(os.staged));
    if (os.pending_target.empty()) {
        out += wrapped("rollback to " + (os.rollback_target.empty() ? "none: " + printable(os.why_no_target)
                                                                    : deployment_name(os.rollback_target)),
                       2);
    } else {
        out += wrapped("rolling back to " + deployment_name(os.pending_target) + ", " + printable(os.pending_step) +
                           (os.reboot_wall_usec == 0 ? ""
                                                     : "; the reboot waits for this device's window, until " +
                                                           utc_time(os.reboot_wall_usec)),
                       2);
    }
    for (const std::string& rejected : os.rejected)
        out += field("rejected", deployment_name(rejected));
    return out;
}

}  // namespace

std::string version_name(const std::string& label, const std::string& digest) {
    if (digest.empty()) return "none";
    const std::string hex = printable(Digest{digest}.short_form());
    return label.empty() ? hex : printable(label) + " (" + hex + ")";
}

std::string command_line(const std::string& rest, const View& view) {
    return view.root.empty() ? "modelguard " + rest : "modelguard --root " + shell_word(view.root) + " " + rest;
}

std::string status_screen(const api::Status& status, const View& view) {
    std::string out;
    if (status.models.empty()) {
        const std::string folder = (view.root.empty() ? "" : view.root) + "/etc/modelguard/models.d/";
        out += "No models yet. Put a manifest into " + printable(folder) + "\n";
    } else {
        Table table({{"", 2, 1},
                     {"MODEL", 17, 1},
                     {"PHASE", 10, 1},
                     {"CURRENT", 16, 1},
                     {"CANDIDATE", 15, 1},
                     {"KNOWN-GOOD", 15}});
        for (const auto& model : status.models)
            table.add({mark_of(model),
                       {printable(model.model), Style::strong},
                       {printable(model.phase)},
                       {short_name(model.current) + (model.pinned.digest.empty() ? "" : "*")},
                       {short_name(model.candidate)},
                       {short_name(model.known_good)}});
        out += table.text(view.colour);
        const bool pins =
            std::ranges::any_of(status.models, [](const auto& model) { return !model.pinned.digest.empty(); });
        if (pins) out += "* pinned: nothing automatic moves it\n";
    }
    for (const auto& model : status.models)
        if (needs_words(model)) out += "\n" + heading(model, view) + reasons(model, view);
    if (status.os) out += "\n" + os_text(*status.os, view);
    if (!status.notes.empty()) out += "\n";
    for (const auto& note : status.notes)
        out += wrapped("note: " + printable(note), 0);
    return out;
}

std::string model_screen(const api::ModelStatus& model, const View& view) {
    std::string out = heading(model, view);
    out += field("current", version_name(model.current.label, model.current.digest));
    out += field("known-good", version_name(model.known_good.label, model.known_good.digest));
    if (!model.candidate.digest.empty())
        out += field("candidate", version_name(model.candidate.label, model.candidate.digest));
    if (!model.pinned.digest.empty()) out += field("pinned", version_name(model.pinned.label, model.pinned.digest));
    if (model.rejected_count > 0)
        out += field("rejected", std::to_string(model.rejected_count) + " (modelguard versions shows which)");
    out += field("required", model.required ? "yes" : "no");
    out += field("checked", model.checked_wall_usec == 0 ? "not yet"
                                                         : age(model.checked_wall_usec, view.now_wall_usec) + ", " +
                                                               utc_time(model.checked_wall_usec));
    return out + reasons(model, view);
}

std::string history_screen(const api::History& history, const View& view) {
    if (history.items.empty()) return "Nothing has happened yet.\n";
    std::string out;
    for (const auto& item : history.items) {
        const auto& decision = item.decision;
        const std::string when = utc_time(item.wall_usec);
        std::string line = styled(when, Style::faint, view.colour) + "  ";
        std::string what = age(item.wall_usec, view.now_wall_usec);
        what.resize(std::max<std::size_t>(what.size(), 12), ' ');
        what += "  #" + std::to_string(item.number) + " " +
                (decision.model.empty() ? std::string("device") : printable(decision.model)) + "  " +
                spaced(printable(item.kind_word));
        if (!decision.version.empty()) what += "  " + version_name(item.label, decision.version.text);
        out += line + cut_to(what, kColumns - width_of(when) - 2) + "\n";
        if (!decision.text.empty()) out += wrapped(printable(decision.text), width_of(when) + 2);
    }
    return out;
}

std::string explain_screen(const api::Explanation& explanation, const View& view) {
    const std::string about = explanation.model.empty() ? "device" : printable(explanation.model);
    std::string out = styled(about, Style::strong, view.colour) + "\n";
    if (explanation.lines.empty()) out += "  nothing has been decided yet\n";
    for (const auto& line : explanation.lines) {
        // The daemon indents what belongs together; a line that is wrapped keeps its place.
        const std::size_t indent = std::min<std::size_t>(std::min(line.find_first_not_of(' '), line.size()), 20);
        const std::string text = wrapped(printable(std::string_view(line).substr(indent)), indent);
        out += text.empty() ? "\n" : text;
    }
    return out;
}

std::string versions_screen(const api::Versions& versions, const View& view) {
    if (versions.items.empty()) return printable(versions.model) + " has no versions yet.\n";
    Table table({{"LABEL", 16}, {"DIGEST", 12}, {"SIZE", 10}, {"KEPT", 12}, {"", 40}});
    for (const auto& item : versions.items) {
        std::string state;
        const auto add = [&](bool is_so, const std::string& word) {
            if (is_so) state += (state.empty() ? "" : ", ") + word;
        };
        add(item.current, "current");
        add(item.lkg, "LKG");
        add(item.known_good && !item.lkg, "known-good");
        add(item.pinned, "pinned");
        add(!item.damage.empty(), "damaged");
        add(!item.rejected.empty(), "rejected: " + printable(item.rejected));
        const Style style = !item.rejected.empty() ? Style::bad : item.current ? Style::good : Style::plain;
        table.add({{item.label.empty() ? "-" : printable(item.label)},
                   {printable(Digest{item.digest}.short_form())},
                   {size_text(item.bytes)},
                   {item.imported_wall_usec == 0 ? "-" : age(item.imported_wall_usec, view.now_wall_usec)},
                   {state, style}});
    }
    return table.text(view.colour);
}

std::string validation_screen(const api::Validation& validation, const std::string& file, const View& view) {
    std::string out;
    int errors = 0, warnings = 0;
    for (const auto& finding : validation.findings) {
        errors += finding.severity == "error";
        warnings += finding.severity == "warning";
        const Style style = finding.severity == "error"     ? Style::bad
                            : finding.severity == "warning" ? Style::busy
                                                            : Style::faint;
        // file:line: first, as compilers and editors have it; not wrapped, for grep.
        out += printable(finding.file.empty() ? file : finding.file) + ":";
        if (finding.line > 0) out += std::to_string(finding.line) + ":";
        out += " " + styled(printable(finding.severity), style, view.colour) + ": ";
        if (!finding.key.empty()) out += printable(finding.key) + ": ";
        out += printable(finding.text) + "\n";
    }
    const auto counted = [](int count, const char* what) {
        return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    };
    out += printable(file) + ": ";
    if (!validation.valid)
        return out + styled("not valid", Style::bad, view.colour) + ", " + counted(errors, "error") + "\n";
    out += styled("valid", Style::good, view.colour);
    if (!validation.model.empty()) out += ", model " + printable(validation.model);
    if (warnings > 0) out += ", " + counted(warnings, "warning");
    return out + "\n";
}

namespace {
/// "max (number, share 0-1, 0 to 1, required): help"; a text with its choices.
std::string key_text(const api::KindField& key, const std::string& prefix) {
    std::string line = prefix + printable(key.name) + " (" + printable(spaced(key.type));
    if (!key.unit.empty()) line += ", " + printable(key.unit);
    if (key.minimum && key.maximum) {
        const std::string unit = key.type == "duration" ? "s" : "";
        line += ", " + number_text(*key.minimum) + unit + " to " + number_text(*key.maximum) + unit;
    }
    for (std::size_t i = 0; i < key.choices.size(); ++i)
        line += (i == 0 ? ": " : " | ") + printable(key.choices[i]);
    if (key.required) line += ", required";
    if (!key.default_text.empty()) line += ", default " + printable(key.default_text);
    return wrapped(line + "): " + printable(key.help), 6);
}
}  // namespace

std::string kinds_screen(const api::Kinds& kinds, const View& view) {
    std::string out, category;
    for (const auto& kind : kinds.kinds) {
        if (kind.category != category) {
            if (!category.empty()) out += "\n";
            category = kind.category;
            out += styled(printable(category), Style::faint, view.colour) + "\n";
        }
        out += "  " + styled(printable(kind.name), Style::strong, view.colour) + "\n" +
               wrapped(printable(kind.summary), 6);
        for (const auto& param : kind.params) {
            out += key_text(param, "");
            for (const auto& field : param.fields)
                out += key_text(field, printable(param.name) + ".");
        }
    }
    return out;
}

std::string outcome_screen(const api::OperationDoc& operation, const View& view) {
    Style style = Style::busy;
    if (operation.status == "done") style = Style::good;
    if (operation.status == "no" || operation.status == "failed") style = Style::bad;
    std::string head = printable(operation.model) + ": " + printable(operation.kind);
    if (!operation.digest.empty()) head += " of " + version_name(operation.label, operation.digest);
    std::string status = spaced(printable(operation.status));
    if (!operation.code.empty() && operation.code != "ok") status += " (" + printable(operation.code) + ")";
    std::string out = head + ": " + styled(status, style, view.colour) + "\n";
    if (!operation.text.empty()) out += wrapped(printable(operation.text), 2);
    return out + checks_text(operation.checks, view);
}

std::string progress_line(const api::HistoryItem& item) {
    std::string line = utc_clock(item.wall_usec) + " " + spaced(printable(item.kind_word));
    if (!item.decision.version.empty()) line += ": " + version_name(item.label, item.decision.version.text);
    if (!item.decision.text.empty()) line += ": " + printable(item.decision.text);
    return line + "\n";
}

}  // namespace modelguard::cli
