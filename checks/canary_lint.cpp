#include "checks/canary_lint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "checks/canary.hpp"
#include "checks/score.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {
namespace {

constexpr std::size_t kMostFindings = 50;
/// Below it one wrong answer moves the mean score by more than 3 %, which is more than most drops worth catching.
constexpr std::size_t kFewItems = 30;
constexpr double kNearlyOneClass = 0.9;

std::string label_of(const CanaryItem& item) { return item.label.empty() ? item.reference : item.label; }

class Linter {
  public:
    CanaryLint lint(std::string_view text) {
        read(text);
        if (found_.items.empty()) {
            error(0, "no item that can be used");
        } else {
            look_at_inputs();
            look_at_labels();
            if (found_.items.size() < kFewItems)
                warning(0, fmt::format(
                               "{} items: one wrong answer moves the score by {:.3f}; {} or more let a smaller drop "
                               "be seen",
                               found_.items.size(), 1.0 / static_cast<double>(found_.items.size()), kFewItems));
        }
        if (left_out_ > 0) found_.findings.push_back({has_left_out_error_, 0, fmt::format("{} more", left_out_)});
        return std::move(found_);
    }

  private:
    void add(bool is_error, int line, std::string text) {
        if (found_.findings.size() < kMostFindings) {
            found_.findings.push_back({is_error, line, std::move(text)});
        } else {
            ++left_out_;
            has_left_out_error_ = has_left_out_error_ || is_error;
        }
    }
    void error(int line, std::string text) { add(true, line, std::move(text)); }
    void warning(int line, std::string text) { add(false, line, std::move(text)); }

    void read(std::string_view text) {
        std::map<std::string, int, std::less<>> ids;
        for_each_line(text, [&](int number, std::string_view line) {
            if (found_.items.size() == kMaxCanaryItems) {
                error(number, fmt::format("more than {} items: the rest was not looked at", kMaxCanaryItems));
                return false;
            }
            take(number, line, ids);
            return true;
        });
    }

    void take(int number, std::string_view line, std::map<std::string, int, std::less<>>& ids) {
        auto item = parse_canary_item(line);
        if (!item) return error(number, item.error().what);
        item->line = number;
        const auto [at, is_new] = ids.emplace(item->id, number);
        if (!is_new) return error(number, fmt::format("id {} a second time, first in line {}", item->id, at->second));
        const auto label = parse_label(label_of(*item));
        if (!label) return error(number, label.error().what);
        kinds_of_label_.insert(label->texts.empty());
        found_.items.push_back(std::move(*item));
    }

    void look_at_inputs() {
        std::map<std::string_view, const CanaryItem*> seen;
        std::size_t twice = 0;
        for (const CanaryItem& item : found_.items) {
            const auto [at, is_new] = seen.emplace(item.input, &item);
            if (is_new) continue;
            ++twice;
            if (label_of(*at->second) != label_of(item))
                error(item.line, fmt::format("the same input as in line {}, with another label", at->second->line));
        }
        if (twice > 0)
            warning(0, fmt::format("{} of {} items repeat an input: they add time and show nothing new", twice,
                                   found_.items.size()));
    }

    void look_at_labels() {
        std::map<std::string, std::size_t> count;
        for (const CanaryItem& item : found_.items)
            ++count[label_of(item)];
        if (kinds_of_label_.size() > 1)
            warning(0, "some labels are numbers and some are texts; a score takes one kind");
        const auto most = std::ranges::max_element(count, {}, [](const auto& entry) { return entry.second; });
        const double share = static_cast<double>(most->second) / static_cast<double>(found_.items.size());
        const std::string label = plain_line(most->first, 40);
        if (count.size() == 1)
            warning(0, fmt::format("every label is {}: a model that always answers it scores 1", label));
        else if (share > kNearlyOneClass)
            warning(0, fmt::format("{:.0f} % of the labels are {}: a model that always answers it scores {:.3f}",
                                   share * 100, label, share));
    }

    CanaryLint found_;
    std::set<bool> kinds_of_label_;  // numbers, texts
    std::size_t left_out_{0};
    bool has_left_out_error_{false};
};

}  // namespace

bool CanaryLint::has_error() const { return std::ranges::any_of(findings, &CanaryFinding::is_error); }

CanaryLint lint_canary_set(std::string_view text) { return Linter().lint(text); }

}  // namespace modelguard::checks
