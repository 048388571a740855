#include "supervisor/daemon/canary_tool.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "checks/canary.hpp"
#include "checks/canary_lint.hpp"
#include "checks/infer_params.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/daemon/config_files.hpp"

namespace modelguard::daemon {

namespace {

using nlohmann::ordered_json;

constexpr int kDone = 0, kNo = 1, kUsage = 2, kNotCarriedOut = 6;
constexpr Usec kInferTimeout = std::chrono::seconds(60);  // recording is done once, and a first inference may compile
constexpr std::size_t kMostNamed = 10;                    // of wrong items on the screen; --json has all

/// The manifest's accuracy check, and how it asks.
struct Asked {
    Manifest manifest;
    const ConfiguredCheck* check{nullptr};
    checks::InferShape shape;

    checks::Target target() const { return {manifest.endpoint, manifest.server_model, {}, manifest.protocol.get()}; }
};

Result<Asked> read_asked(const CanaryToolOptions& options) {
    if (options.manifest.empty())
        return fail(ErrorKind::invalid_config,
                    "which server, and how it is asked, a manifest says: --manifest FILE is missing");
    MG_TRY(const DeviceConfig device,
           read_device_config(sys::Path(options.root.empty() ? "/" : options.root) / "etc/modelguard"));
    MG_TRY(const std::string text, sys::read_file(options.manifest, 1u << 20));
    std::vector<Finding> findings;
    auto manifest = parse_manifest(text, options.manifest, device, findings);
    if (!manifest) {
        const auto error = std::ranges::find(findings, Finding::Severity::error, &Finding::severity);
        return fail(ErrorKind::invalid_config, error == findings.end() ? "refused" : describe(*error));
    }
    Asked asked{.manifest = std::move(*manifest), .check = nullptr, .shape = {}};
    std::string names;
    for (const ConfiguredCheck& check : asked.manifest.checks) {
        if (check.kind->name != "accuracy") continue;
        names += (names.empty() ? "" : ", ") + check.name;
        if (options.check.empty() ? asked.check == nullptr : check.name == options.check) asked.check = &check;
    }
    if (asked.check == nullptr)
        return fail(ErrorKind::invalid_config,
                    options.manifest + " has no accuracy check" +
                        (options.check.empty() ? ", which says how answers are graded; add one"
                                               : " '" + options.check + "'; there are: " + names));
    if (options.check.empty() && names.find(',') != std::string::npos)
        return fail(ErrorKind::invalid_config,
                    options.manifest + " has several accuracy checks (" + names + "); say which with --check");
    MG_TRY(const checks::InferParams params, checks::infer_params(asked.check->params));
    asked.shape = params.shape;
    return asked;
}

Result<std::string> read_set(const std::string& file) { return sys::read_file(file, checks::kMaxCanaryBytes); }

// ---- lint --------------------------------------------------------------------------------------------------------

/// An item that the protocol cannot ask about can be answered by no server.
void find_unanswerable(const Asked& asked, checks::CanaryLint& lint) {
    for (const checks::CanaryItem& item : lint.items)
        if (const auto request = asked.manifest.protocol->infer_request(asked.target(), item, asked.shape, 1); !request)
            lint.findings.push_back({true, item.line, "it cannot be asked: " + request.error().what});
}

Result<int> lint_set(const CanaryToolOptions& options) {
    MG_TRY(const std::string text, read_set(options.file));
    checks::CanaryLint lint = checks::lint_canary_set(text);
    if (!options.manifest.empty()) {
        MG_TRY(const Asked asked, read_asked(options));
        find_unanswerable(asked, lint);
    }
    if (options.json) {
        ordered_json document{{"schema", "modelguard.canary_lint/1"},
                              {"valid", !lint.has_error()},
                              {"items", lint.items.size()},
                              {"findings", ordered_json::array()}};
        for (const checks::CanaryFinding& finding : lint.findings)
            document["findings"].push_back(
                {{"severity", finding.is_error ? "error" : "warning"}, {"line", finding.line}, {"text", finding.text}});
        fmt::print("{}\n", document.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    } else {
        for (const checks::CanaryFinding& finding : lint.findings)
            fmt::print("{}:{} {}: {}\n", printable(options.file),
                       finding.line > 0 ? std::to_string(finding.line) + ":" : "",
                       finding.is_error ? "error" : "warning", printable(finding.text));
        fmt::print("{}: {} items, {}\n", printable(options.file), lint.items.size(),
                   lint.has_error() ? "not valid" : "valid");
    }
    return lint.has_error() ? kNo : kDone;
}

// ---- score -------------------------------------------------------------------------------------------------------

struct LabelScore {
    std::size_t items{0};
    double sum{0};
};

void print_score(const CanaryToolOptions& options, const Asked& asked, const checks::CheckOutcome& outcome,
                 const std::vector<checks::CanaryItem>& items) {
    const auto measured = ordered_json::parse(outcome.measurement.empty() ? "{}" : outcome.measurement, nullptr, false);
    const ordered_json scores =
        measured.is_object() ? measured.value("scores", ordered_json::object()) : ordered_json();
    std::map<std::string, LabelScore> labels;
    std::vector<std::string> wrong;
    for (const checks::CanaryItem& item : items) {
        if (!scores.contains(item.id)) continue;
        LabelScore& label = labels[item.label.empty() ? item.reference : item.label];
        const double score = scores[item.id].get<double>();
        ++label.items;
        label.sum += score;
        if (score < 1) wrong.push_back(item.id);
    }
    if (options.json) {
        ordered_json document{{"schema", "modelguard.canary_score/1"},
                              {"model", asked.manifest.model},
                              {"check", asked.check->name},
                              {"verdict", core::to_word(outcome.verdict)},
                              {"code", outcome.code},
                              {"text", outcome.text},
                              {"items", items.size()},
                              {"labels", ordered_json::array()},
                              {"wrong", wrong}};
        if (outcome.measured) document["score"] = *outcome.measured;
        for (const auto& [label, score] : labels)
            document["labels"].push_back({{"label", ordered_json::parse(label, nullptr, false)},
                                          {"items", score.items},
                                          {"score", score.sum / static_cast<double>(score.items)}});
        fmt::print("{}\n", document.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
        return;
    }
    fmt::print("{} of {} against {}: {}\n  {}\n", asked.check->name, asked.manifest.model, asked.manifest.endpoint,
               core::to_word(outcome.verdict), printable(outcome.text));
    constexpr std::size_t kMostLabels = 40;  // labels may be numbers that hardly repeat
    if (labels.size() > 1 && labels.size() <= kMostLabels) {
        fmt::print("  LABEL         ITEMS  SCORE\n");
        for (const auto& [label, score] : labels)
            fmt::print("  {:<12}  {:>5}  {:.3f}\n", printable(plain_line(label, 12)), score.items,
                       score.sum / static_cast<double>(score.items));
    }
    if (wrong.empty()) return;
    std::string named;
    for (std::size_t at = 0; at < std::min(wrong.size(), kMostNamed); ++at)
        named += (at == 0 ? "" : ", ") + printable(wrong[at]);
    fmt::print("  not right: {}{}\n", named,
               wrong.size() > kMostNamed ? fmt::format(" and {} more", wrong.size() - kMostNamed) : "");
}

Result<int> score_set(const CanaryToolOptions& options) {
    MG_TRY(const Asked asked, read_asked(options));
    MG_TRY(const std::string text, read_set(options.file));
    MG_TRY(const auto items, checks::parse_canary_set(text, options.file));
    std::error_code error;
    const sys::Path file = std::filesystem::absolute(options.file, error);
    // The check itself, with this file in place of the one in a version.
    ParamMap params = asked.check->params;
    params["canary"] = ParamValue{file.filename().string()};
    MG_TRY(const auto check, asked.check->kind->make(params));
    MG_TRY(const auto loop, sys::Loop::create());
    MG_TRY(const auto http, sys::HttpClient::create(*loop));
    checks::CheckContext context{.loop = *loop, .http = *http};
    context.target = asked.target();
    context.version_dir = file.parent_path();
    context.ready_within = asked.manifest.ready_within;
    checks::CheckOutcome outcome;
    const auto running = check->start(context, [&](checks::CheckOutcome ended) {
        outcome = std::move(ended);
        loop->exit(0);
    });
    MG_TRY(const int ended, loop->run());
    std::ignore = ended;  // it is our own exit above
    print_score(options, asked, outcome, items);
    switch (outcome.verdict) {
        case core::VerdictKind::pass: return kDone;
        case core::VerdictKind::fail: return kNo;
        case core::VerdictKind::inconclusive: return kNotCarriedOut;
    }
    return kNotCarriedOut;
}

// ---- record ------------------------------------------------------------------------------------------------------

/// Asks the server about each input in turn and writes what it answered; a label that is given stays.
class Recording {
  public:
    Recording(sys::Loop& loop, sys::HttpClient& http, const Asked& asked, std::vector<checks::CanaryItem> items)
        : loop_(loop), http_(http), asked_(asked), items_(std::move(items)), target_(asked.target()) {
        next();
    }

    Result<void> ended;
    std::string set;

  private:
    void next() {
        if (at_ == items_.size()) return loop_.exit(0);
        auto request = asked_.manifest.protocol->infer_request(target_, items_[at_], asked_.shape, at_ + 1);
        if (!request) return end(std::unexpected(request.error()));
        request->timeout = kInferTimeout;
        transfer_ = http_.send(std::move(*request), [this](const Result<sys::HttpReply>& reply) { take(reply); });
    }

    void take(const Result<sys::HttpReply>& reply) {
        const checks::InferAnswer answer = asked_.manifest.protocol->read_infer(target_, asked_.shape, reply);
        if (answer.outcome != checks::Outcome::ok || answer.not_finite)
            return end(fail(ErrorKind::unavailable,
                            answer.detail.empty() ? std::string(to_word(answer.outcome)) : answer.detail));
        const checks::CanaryItem& item = items_[at_];
        ordered_json line{{"id", item.id}, {"input", ordered_json::parse(item.input)}};
        if (!item.label.empty()) line["label"] = ordered_json::parse(item.label);
        line["reference"] = answered(answer);
        set += line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
        ++at_;
        turn_ = loop_.defer([this] { next(); });
    }

    /// As `score` grades it: of class probabilities the class.
    ordered_json answered(const checks::InferAnswer& answer) const {
        const ParamMap& params = asked_.check->params;
        const bool top1 = !has_param(params, "score") || text_param(params, "score") == "top1";
        if (!answer.texts.empty())
            return answer.texts.size() == 1 ? ordered_json(answer.texts.front()) : ordered_json(answer.texts);
        if (answer.numbers.size() == 1) return number(answer.numbers.front());
        if (top1) return std::distance(answer.numbers.begin(), std::ranges::max_element(answer.numbers));
        return answer.numbers;
    }
    static ordered_json number(double value) {
        constexpr double kExact = 9007199254740992;  // 2^53
        if (value == std::floor(value) && std::abs(value) < kExact) return static_cast<std::int64_t>(value);
        return value;
    }

    void end(Result<void> why) {
        ended = with_context(std::move(why), fmt::format("line {}", items_[at_].line));
        loop_.exit(0);
    }

    sys::Loop& loop_;
    sys::HttpClient& http_;
    const Asked& asked_;
    std::vector<checks::CanaryItem> items_;
    checks::Target target_;
    std::size_t at_{0};
    sys::Transfer transfer_;
    sys::Source turn_;
};

/// A line as in a set, without a label too, or the input alone; `number`: which input it is, for one without an id.
Result<checks::CanaryItem> read_input(std::string_view line, std::size_t number) {
    ordered_json value = ordered_json::parse(line, nullptr, false);
    if (value.is_discarded()) return fail(ErrorKind::invalid_config, "not JSON");
    if (!value.is_object() || !value.contains("input")) value = ordered_json{{"input", std::move(value)}};
    if (!value.contains("id")) value["id"] = std::to_string(number);
    const bool has_label = value.contains("label");
    if (!has_label) value["label"] = 0;  // so that it is read as an item; what the server answers takes its place
    MG_TRY(checks::CanaryItem item, checks::parse_canary_item(value.dump()));
    if (!has_label) item.label.clear();
    return item;
}

Result<std::vector<checks::CanaryItem>> read_inputs(const std::string& text, const std::string& file) {
    std::vector<checks::CanaryItem> items;
    std::set<std::string> ids;
    const auto take = [&](int number, std::string_view line) -> Result<void> {
        const std::string where = fmt::format("{}:{}", file, number);
        if (items.size() == checks::kMaxCanaryItems)
            return fail(ErrorKind::invalid_config,
                        fmt::format("{}: more than {} inputs", where, checks::kMaxCanaryItems));
        MG_TRY(checks::CanaryItem item, with_context(read_input(line, items.size() + 1), where));
        item.line = number;
        if (!ids.insert(item.id).second)
            return fail(ErrorKind::invalid_config, where + ": id " + item.id + " a second time");
        items.push_back(std::move(item));
        return {};
    };
    Result<void> taken;
    checks::for_each_line(text,
                          [&](int number, std::string_view line) { return (taken = take(number, line)).has_value(); });
    MG_CHECK(taken);
    if (items.empty()) return fail(ErrorKind::invalid_config, file + ": no input in it");
    return items;
}

Result<int> record_set(const CanaryToolOptions& options) {
    MG_TRY(const Asked asked, read_asked(options));
    MG_TRY(const std::string text, read_set(options.file));
    MG_TRY(auto items, read_inputs(text, options.file));
    std::error_code error;
    if (!options.output.empty() && std::filesystem::exists(options.output, error))
        return fail(ErrorKind::conflict, options.output + " is there already; name another file");
    const std::size_t count = items.size();
    const auto labelled =
        std::ranges::count_if(items, [](const checks::CanaryItem& item) { return !item.label.empty(); });
    MG_TRY(const auto loop, sys::Loop::create());
    MG_TRY(const auto http, sys::HttpClient::create(*loop));
    Recording recording(*loop, *http, asked, std::move(items));
    MG_TRY(const int ended, loop->run());
    std::ignore = ended;
    MG_CHECK(with_context(std::move(recording.ended), options.file));
    if (options.output.empty()) {
        fmt::print("{}", recording.set);
        return kDone;
    }
    MG_CHECK(sys::write_file_atomic(options.output, recording.set, 0644));
    if (options.json)
        fmt::print("{}\n", ordered_json{{"schema", "modelguard.canary_record/1"},
                                        {"file", options.output},
                                        {"items", count},
                                        {"labelled", labelled}}
                               .dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    else
        fmt::print("{}: {} items, {} with a label of yours; the others hold what {} answered\n",
                   printable(options.output), count, labelled, asked.manifest.endpoint);
    return kDone;
}

}  // namespace

int run_canary_tool(const CanaryToolOptions& options) {
    const Result<int> code = options.verb == "lint"    ? lint_set(options)
                             : options.verb == "score" ? score_set(options)
                                                       : record_set(options);
    if (code) return *code;
    fmt::print(stderr, "modelguard: {}\n", printable(code.error().what));
    const bool is_no = code.error().kind == ErrorKind::invalid_config || code.error().kind == ErrorKind::conflict;
    return is_no ? kNo : kNotCarriedOut;
}

int run_canary_tool(int argc, char** argv) {
    CanaryToolOptions options;
    CLI::App app("Canary sets", "modelguardd --canary-tool");
    app.add_option("VERB", options.verb)->required()->check(CLI::IsMember({"lint", "score", "record"}));
    app.add_option("FILE", options.file)->required();
    app.add_option("--manifest", options.manifest);
    app.add_option("--check", options.check);
    app.add_option("--output", options.output);
    app.add_option("--root", options.root);
    app.add_flag("--json", options.json);
    try {
        app.parse(argc - 1, argv + 1);  // without --canary-tool
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kDone : kUsage;
    }
    return run_canary_tool(options);
}

}  // namespace modelguard::daemon
