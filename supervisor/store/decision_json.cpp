// Decisions and check reports as JSON text: what the history rows hold.

#include <cmath>

#include "supervisor/store/json_fields.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::store {

using nlohmann::json;

namespace {

/// JSON has no NaN and no infinity, and a NaN is just what a report may have to show.
json number_to_json(const std::optional<double>& value) {
    if (!value) return nullptr;
    if (std::isnan(*value)) return "nan";
    if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
    return *value;
}

void take_number(Fields& fields, std::string_view key, std::optional<double>& into) {
    const json* value = fields.find(key);
    if (value == nullptr) return;
    if (!value->is_string()) {
        into = value->get<double>();
    } else if (*value == "inf" || *value == "-inf") {
        into = *value == "inf" ? HUGE_VAL : -HUGE_VAL;
    } else {
        into = std::nan("");
    }
}

json report_to_json(const core::CheckReport& report) {
    const auto& [check, kind, required, verdict, code, text, measured, limit, baseline, unit, probes, took] = report;
    return {{"check", check},
            {"kind", kind},
            {"required", required},
            {"verdict", core::to_word(verdict)},
            {"code", code},
            {"text", text},
            {"measured", number_to_json(measured)},
            {"limit", number_to_json(limit)},
            {"baseline", number_to_json(baseline)},
            {"unit", unit},
            {"probes", probes},
            {"took_usec", took.count()}};
}

}  // namespace

json reports_to_json(const std::vector<core::CheckReport>& reports) {
    json array = json::array();
    for (const core::CheckReport& report : reports)
        array.push_back(report_to_json(report));
    return array;
}

std::vector<core::CheckReport> reports_from_json(const json& array, const std::string& where,
                                                 std::vector<std::string>& notes) {
    std::vector<core::CheckReport> reports;
    for (const json& object : array) {
        core::CheckReport& report = reports.emplace_back();
        Fields fields(object, where + ": report", notes);
        fields.take("check", report.check);
        fields.take("kind", report.kind);
        fields.take("required", report.required);
        fields.take_word("verdict", report.verdict);  // unknown: stays inconclusive
        fields.take("code", report.code);
        fields.take("text", report.text);
        take_number(fields, "measured", report.measured);
        take_number(fields, "limit", report.limit);
        take_number(fields, "baseline", report.baseline);
        fields.take("unit", report.unit);
        fields.take("probes", report.probes);
        fields.take("took_usec", report.took);
        fields.note_unknown_keys();
    }
    return reports;
}

std::string decision_to_json(const core::Decision& decision) {
    const auto& [kind, model, version, serving, seq, blame, code, text, reports] = decision;
    return dump_json({{"kind", core::to_word(kind)},
                      {"model", model},
                      {"version", version.text},
                      {"serving", serving.text},
                      {"seq", seq},
                      {"blame", core::to_word(blame)},
                      {"code", code},
                      {"text", text},
                      {"reports", reports_to_json(reports)}});
}

Result<core::Decision> decision_from_json(std::string_view text) {
    std::vector<std::string> notes;
    core::Decision decision;
    try {
        const json object = json::parse(text);
        Fields fields(object, "decision", notes);
        // The history of a newer release is shown as far as it can be: `resumed` changes nothing, and the text says the
        // word.
        const bool known = fields.take_word("kind", decision.kind);
        fields.take("model", decision.model);
        fields.take("version", decision.version);
        fields.take("serving", decision.serving);
        fields.take("seq", decision.seq);
        fields.take_word("blame", decision.blame);
        fields.take("code", decision.code);
        fields.take("text", decision.text);
        if (const json* reports = fields.find("reports"))
            decision.reports = reports_from_json(*reports, "decision", notes);
        if (!known) {
            decision.kind = core::DecisionKind::resumed;
            decision.text = "'" + object.at("kind").get<std::string>() + "' of a newer release: " + decision.text;
        }
    } catch (const json::exception& error) {
        return fail(ErrorKind::malformed_reply, std::string("decision: ") + error.what());
    }
    return decision;
}

}  // namespace modelguard::store
