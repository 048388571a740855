#include "checks/score.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace modelguard::checks {
namespace {

using nlohmann::json;

Result<void> add_scalar(const json& value, Label& label) {
    if (value.is_boolean())
        label.numbers.push_back(value.get<bool>() ? 1 : 0);
    else if (value.is_number())
        label.numbers.push_back(value.get<double>());
    else if (value.is_string())
        label.texts.push_back(value.get<std::string>());
    else
        return fail(ErrorKind::invalid_config, "a label is a number, a boolean, a text or a flat array of these");
    return {};
}

template <class T, class Equal>
double share_equal(const std::vector<T>& answers, const std::vector<T>& labels, Equal equal) {
    if (answers.size() != labels.size() || labels.empty()) return 0;
    std::size_t hits = 0;
    for (std::size_t i = 0; i < labels.size(); ++i)
        hits += equal(answers[i], labels[i]) ? 1 : 0;
    return static_cast<double>(hits) / static_cast<double>(labels.size());
}

}  // namespace

Result<Label> parse_label(std::string_view json_text) {
    const json value = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
    Label label;
    if (value.is_array()) {
        for (const json& element : value)
            MG_CHECK(add_scalar(element, label));
    } else {
        MG_CHECK(add_scalar(value, label));
    }
    if (label.numbers.empty() == label.texts.empty())
        return fail(ErrorKind::invalid_config, "a label holds numbers or texts, at least one and not both");
    return label;
}

double score_top1(const InferAnswer& answer, const Label& label) {
    if (!label.texts.empty()) return share_equal(answer.texts, label.texts, std::equal_to<>{});
    if (label.numbers.size() == 1 && answer.numbers.size() > 1) {
        const auto largest = std::ranges::max_element(answer.numbers);
        return static_cast<double>(largest - answer.numbers.begin()) == label.numbers[0] ? 1 : 0;
    }
    return share_equal(answer.numbers, label.numbers, std::equal_to<>{});
}

double score_exact(const InferAnswer& answer, const Label& label) {
    return answer.numbers == label.numbers && answer.texts == label.texts ? 1 : 0;
}

double score_tolerance(const InferAnswer& answer, const Label& label, double tolerance) {
    if (!label.texts.empty()) return answer.texts == label.texts ? 1 : 0;
    // A label of 1.1 and an answer of 1.2 are 0.09999999999999987 or 0.10000000000000009 apart: the bound has some
    // slack.
    const auto near = [&](double a, double b) {
        return std::abs(a - b) <= tolerance + 1e-12 * std::max(1.0, std::abs(b));
    };
    return share_equal(answer.numbers, label.numbers, near) == 1.0 ? 1 : 0;
}

const ScoreKind* find_score(std::string_view name) {
    static constexpr std::array kScores{
        ScoreKind{"top1", [](const InferAnswer& a, const Label& l, double) { return score_top1(a, l); }},
        ScoreKind{"exact", [](const InferAnswer& a, const Label& l, double) { return score_exact(a, l); }},
        ScoreKind{"tolerance", score_tolerance, true},
    };
    for (const ScoreKind& kind : kScores) {
        if (kind.name == name) return &kind;
    }
    return nullptr;
}

}  // namespace modelguard::checks
