// `accuracy`: one pass over the canary set, graded item by item, against an absolute minimum and against the LKG on the
// same items.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "checks/evidence/summary.hpp"
#include "checks/run.hpp"
#include "checks/score.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_accuracy;

namespace {

constexpr Usec kInferTimeout = std::chrono::seconds(10);
constexpr double kMaxErrorShare = 0.05;     // above it the mean over the answered items says little about the model
constexpr int kHangsInARow = 3;             // a hung model must not cost kInferTimeout times the set
constexpr std::size_t kConstantNeeds = 10;  // fewer items may well share one right answer

constexpr std::array kParams{
    kCanaryParam,
    ParamSpec{.name = "score",
              .default_text = "top1",
              .help = "How an answer is graded: top1 (class), exact, or tolerance (numbers within `tolerance`).",
              .choices = kScoreNames},
    ParamSpec{.name = "min",
              .type = ParamType::number,
              .unit = "share 0-1",
              .help = "The lowest mean score that passes.",
              .maximum = 1},
    ParamSpec{.name = "max_drop",
              .type = ParamType::number,
              .unit = "share 0-1",
              .help = "How far the mean may lie below the LKG's on the items both answered.",
              .maximum = 1},
    ParamSpec{.name = "tolerance",
              .type = ParamType::number,
              .help = "For score tolerance: the largest distance that counts as right.",
              .maximum = 1e300},
    kInputParam,
    kOutputParam,
};

struct AccuracyParams {
    InferParams infer;
    const ScoreKind* score{nullptr};
    double tolerance{0};
    std::optional<double> min;
    std::optional<double> max_drop;
};

/// The LKG's scores from its `measurement`; empty where there are none.
evidence::Scores read_scores(const std::string* measurement) {
    evidence::Scores scores;
    if (measurement == nullptr) return scores;
    const auto value = nlohmann::json::parse(*measurement, nullptr, /*allow_exceptions=*/false);
    if (!value.is_object() || !value.contains("scores") || !value["scores"].is_object()) return scores;
    for (const auto& [id, score] : value["scores"].items()) {
        if (score.is_number()) scores.emplace(id, score.get<double>());
    }
    return scores;
}

class AccuracyRun final : public InferRun {
  public:
    AccuracyRun(const CheckContext& context, Done done, const AccuracyParams& params)
        : InferRun(context, std::move(done), params.infer), params_(params) {
        load_items();
        if (finished()) return;
        if (read_labels()) next();
    }

  private:
    bool read_labels() {
        for (const CanaryItem& item : items()) {
            auto label = parse_label(item.label.empty() ? item.reference : item.label);
            if (!label) {
                finish(inconclusive("no_canary_set",
                                    fmt::format("{}:{}: {}", params_.infer.canary, item.line, label.error().what)));
                return false;
            }
            labels_.push_back(std::move(*label));
        }
        return true;
    }

    void next() {
        if (at_ == items().size()) return conclude();
        probe(items()[at_], kInferTimeout, [this](const Probe& probe) { on_answer(probe); });
    }

    void on_answer(const Probe& probe) {
        const CanaryItem& item = items()[at_];
        const InferAnswer& answer = probe.answer;
        if (answer.not_finite) return end(failed("not_finite", fmt::format("{}: {}", item_where(item), answer.detail)));
        if (answer.outcome == Outcome::wrong_version)
            return end(failed("wrong_version", fmt::format("{}: {}", item_where(item), answer.detail)));
        if (answer.outcome == Outcome::broken) {
            hangs_in_a_row_ = probe.timed_out ? hangs_in_a_row_ + 1 : 0;
            ++errors_;
            last_error_ = fmt::format("{}: {}", item_where(item), answer.detail);
            if (too_many_errors()) return end(failed("errors", errors_text()));
        } else {
            hangs_in_a_row_ = 0;
            grade(answer);
        }
        ++at_;
        next();
    }

    bool too_many_errors() const {
        return hangs_in_a_row_ >= kHangsInARow ||
               static_cast<double>(errors_) > kMaxErrorShare * static_cast<double>(items().size());
    }
    std::string errors_text() const {
        return fmt::format("{} of {} answers are errors (at most {:.0f}%), the last at {}", errors_, at_ + 1,
                           kMaxErrorShare * 100, last_error_);
    }

    void grade(const InferAnswer& answer) {
        scores_.emplace(items()[at_].id, params_.score->score(answer, labels_[at_], params_.tolerance));
        if (!first_) {
            first_ = answer;
            first_label_ = labels_[at_];
            return;
        }
        answers_differ_ = answers_differ_ || answer.numbers != first_->numbers || answer.texts != first_->texts;
        labels_differ_ = labels_differ_ || !(labels_[at_] == first_label_);
    }

    std::string constant_text() const {
        std::string value =
            first_->texts.empty() ? std::string() : fmt::format("\"{}\"", plain_line(first_->texts.front(), 40));
        if (!first_->numbers.empty()) value = fmt::format("{:g}", first_->numbers.front());
        if (first_->numbers.size() + first_->texts.size() > 1) value += ", …";
        return fmt::format("one constant answer ({}) to {} items whose labels differ", value, scores_.size());
    }

    void conclude() {
        // Errors were counted as they came: here at least one item is answered.
        if (!answers_differ_ && labels_differ_ && scores_.size() >= kConstantNeeds)
            return end(failed("constant_answer", constant_text()));
        const double accuracy = evidence::mean_score(scores_);
        const evidence::Scores baseline = read_scores(context_.baseline);
        const evidence::PairedDrop paired = evidence::paired_drop(scores_, baseline);
        const bool below = params_.min && accuracy < *params_.min - evidence::kRounding;
        const bool dropped =
            params_.max_drop && paired.pairs > 0 && paired.drop() > *params_.max_drop + evidence::kRounding;

        CheckOutcome outcome{.verdict = below || dropped ? core::VerdictKind::fail : core::VerdictKind::pass,
                             .code = below     ? "below_min"
                                     : dropped ? "dropped"
                                               : "ok",
                             .text = text(accuracy, baseline, paired, below, dropped)};
        if (paired.pairs > 0) outcome.baseline = paired.baseline;
        end(std::move(outcome));
    }

    std::string text(double accuracy, const evidence::Scores& baseline, const evidence::PairedDrop& paired, bool below,
                     bool dropped) const {
        std::vector<std::string> notes;
        if (params_.min) notes.push_back(fmt::format("min {:.3f}{}", *params_.min, below ? " not reached" : ""));
        if (paired.pairs > 0) {
            const bool all = paired.pairs == static_cast<std::int64_t>(scores_.size());
            notes.push_back(all ? fmt::format("LKG {:.3f}", paired.baseline)
                                : fmt::format("LKG {:.3f} on {} items in common", paired.baseline, paired.pairs));
            if (params_.max_drop)
                notes.push_back(
                    fmt::format("drop {:.3f} {} {:.3f}", paired.drop(), dropped ? ">" : "<=", *params_.max_drop));
        } else if (!baseline.empty()) {
            notes.emplace_back("no item in common with the LKG's set, so no comparison");
        }
        if (errors_ > 0) notes.push_back(fmt::format("{} errors", errors_));
        return fmt::format("{} accuracy {:.3f} on {} items ({})", params_.score->name, accuracy, scores_.size(),
                           fmt::join(notes, ", "));
    }

    void end(CheckOutcome outcome) {
        if (!scores_.empty()) outcome.measured = evidence::mean_score(scores_);
        outcome.limit = params_.min;
        outcome.unit = "share";
        outcome.probes = probes();
        outcome.measurement = nlohmann::json{{"scores", scores_}}.dump();
        finish(std::move(outcome));
    }

    const AccuracyParams& params_;
    std::vector<Label> labels_;
    std::size_t at_{0};
    evidence::Scores scores_;
    std::int64_t errors_{0};
    int hangs_in_a_row_{0};
    std::string last_error_;
    std::optional<InferAnswer> first_;
    Label first_label_;
    bool answers_differ_{false};
    bool labels_differ_{false};
};

class Accuracy final : public Check {
  public:
    explicit Accuracy(AccuracyParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<AccuracyRun>(context, std::move(done), params_);
    }

  private:
    AccuracyParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    AccuracyParams compiled;
    MG_TRY(compiled.infer, infer_params(params));
    compiled.score = find_score(has_param(params, "score") ? text_param(params, "score") : "top1");
    MG_ASSERT(compiled.score != nullptr);  // the table's choices are the list that find_score searches
    if (has_param(params, "min")) compiled.min = number_param(params, "min");
    if (has_param(params, "max_drop")) compiled.max_drop = number_param(params, "max_drop");
    if (!compiled.min && !compiled.max_drop)
        return fail(ErrorKind::invalid_config, "accuracy needs min or max_drop: without either every model passes");
    if (compiled.score->needs_tolerance != has_param(params, "tolerance"))
        return fail(ErrorKind::invalid_config, compiled.score->needs_tolerance
                                                   ? "score tolerance needs tolerance, as in tolerance: 0.5"
                                                   : "tolerance belongs to score: tolerance");
    if (compiled.score->needs_tolerance) compiled.tolerance = number_param(params, "tolerance");
    return std::make_unique<Accuracy>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_accuracy{
    .name = "accuracy",
    .summary = "The model's answers to a canary set, against a minimum and against the LKG on the same items.",
    .params = kParams,
    .make = make,
    .compares = true,
    .metric = "modelguard_accuracy_ratio",
};

}  // namespace modelguard::checks
