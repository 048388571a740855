#include "checks/protocol/event_stream.hpp"

#include <algorithm>

namespace modelguard::checks {

namespace {
constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kField = "data:";
}  // namespace

std::optional<StreamEvent> EventStream::next() {
    while (at_ < body_.size()) {
        const std::size_t newline = body_.find('\n', at_);
        if (newline == std::string_view::npos) break;
        std::string_view line = body_.substr(at_, newline - at_);
        at_ = newline + 1;
        if (!line.starts_with(kField)) continue;  // comments keep a connection alive; other fields say nothing here
        line.remove_prefix(kField.size());
        const std::size_t first = line.find_first_not_of(kBlanks);
        if (first == std::string_view::npos) continue;
        return StreamEvent{line.substr(first, line.find_last_not_of(kBlanks) + 1 - first), at_};
    }
    return std::nullopt;
}

Usec arrival_of(const sys::HttpReply& reply, std::size_t end) {
    const auto found =
        std::ranges::find_if(reply.arrivals, [&](const sys::Arrival& arrival) { return arrival.end >= end; });
    return found == reply.arrivals.end() ? reply.total : found->at;
}

}  // namespace modelguard::checks
