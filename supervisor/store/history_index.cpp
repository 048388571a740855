#include "supervisor/store/history_index.hpp"

#include <algorithm>

namespace modelguard::store {

void HistoryIndex::add(std::int64_t number, const std::string& model, std::size_t bytes) {
    auto at = std::ranges::find(models_, model);
    if (at == models_.end()) at = models_.insert(models_.end(), model);
    entries_.push_back({.number = number,
                        .bytes = static_cast<std::uint32_t>(bytes),
                        .model = static_cast<std::uint32_t>(at - models_.begin())});
    bytes_ += bytes;
    skip(number);
}

void HistoryIndex::drop_up_to(std::int64_t number) {
    while (!entries_.empty() && entries_.front().number <= number) {
        bytes_ -= entries_.front().bytes;
        entries_.pop_front();
    }
}

std::vector<std::int64_t> HistoryIndex::numbers(const std::string& model, std::int64_t after, std::int64_t up_to,
                                                std::size_t limit) const {
    std::vector<std::int64_t> found;
    const auto at = std::ranges::find(models_, model);
    if (!model.empty() && at == models_.end()) return found;
    const auto wanted = static_cast<std::uint32_t>(at - models_.begin());
    const auto behind = std::ranges::upper_bound(entries_, up_to, {}, &Entry::number);
    for (auto entry = std::make_reverse_iterator(behind);
         entry != entries_.rend() && entry->number > after && found.size() < limit; ++entry)
        if (model.empty() || entry->model == wanted) found.push_back(entry->number);
    return found;
}

}  // namespace modelguard::store
