#pragma once
// Which history entries there are, by model and size: in memory, since an index in the file would cost a page of flash
// per decision. 16 bytes an entry. Internal to store.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace modelguard::store {

class HistoryIndex {
  public:
    /// Numbers grow from call to call.
    void add(std::int64_t number, const std::string& model, std::size_t bytes);
    void drop_up_to(std::int64_t number);
    std::size_t count() const { return entries_.size(); }
    std::uint64_t bytes() const { return bytes_; }
    std::int64_t next_number() const { return last_number_ + 1; }
    /// A number that is taken although its entry is gone.
    void skip(std::int64_t number) { last_number_ = number > last_number_ ? number : last_number_; }
    /// The number of the `nth` oldest entry.
    std::int64_t number_at(std::size_t nth) const { return entries_[nth].number; }
    /// Newest first, those > after and <= up_to; `model` empty: of all.
    std::vector<std::int64_t> numbers(const std::string& model, std::int64_t after, std::int64_t up_to,
                                      std::size_t limit) const;

  private:
    struct Entry {
        std::int64_t number;
        std::uint32_t bytes;
        std::uint32_t model;  // index into models_
    };
    std::deque<Entry> entries_;
    std::vector<std::string> models_;
    std::uint64_t bytes_{0};
    std::int64_t last_number_{0};
};

}  // namespace modelguard::store
