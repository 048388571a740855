#pragma once
// How one answer is graded against one label: a score in [0,1]. Pure. Not for summing up (evidence).

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "checks/protocol/protocol.hpp"
#include "supervisor/base/result.hpp"

namespace modelguard::checks {

/// A label of a canary set as values: numbers (true is 1) or texts, flat.
struct Label {
    std::vector<double> numbers;
    std::vector<std::string> texts;

    bool operator==(const Label&) const = default;
};

/// From the label's JSON text: a number, a boolean, a text or an array of one kind. invalid_config otherwise.
Result<Label> parse_label(std::string_view json_text);

/// The share of positions at which the answer names the label's class. One label against several numbers: the index of
/// the largest is the answer (class probabilities that nobody reduced). Another count of answers than of labels scores
/// 0.
double score_top1(const InferAnswer& answer, const Label& label);
/// 1 where every value equals the label's.
double score_exact(const InferAnswer& answer, const Label& label);
/// 1 where every number is within `tolerance` of the label's; texts must be equal.
double score_tolerance(const InferAnswer& answer, const Label& label, double tolerance);

struct ScoreKind {
    std::string_view name;
    double (*score)(const InferAnswer&, const Label&, double tolerance);
    bool needs_tolerance{false};
};
/// The choices of `accuracy.score`.
inline constexpr std::array<std::string_view, 3> kScoreNames{"top1", "exact", "tolerance"};
const ScoreKind* find_score(std::string_view name);

}  // namespace modelguard::checks
