#include "rollback/outcome.hpp"

namespace modelguard::rollback {

Outcome done_outcome() { return {.result = core::SwitchResult::done, .link_moved = false, .why = {}}; }
Outcome failed_outcome(std::string why) {
    return {.result = core::SwitchResult::failed, .link_moved = false, .why = std::move(why)};
}
Outcome refused_outcome(std::string why) {
    return {.result = core::SwitchResult::refused, .link_moved = false, .why = std::move(why)};
}

std::string one_line(std::string_view text, std::size_t limit) {
    constexpr std::string_view kCut = "...";
    std::string line;
    bool blank = false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7f) {
            blank = true;
            continue;
        }
        if (blank && !line.empty()) line += ' ';
        blank = false;
        line += c;
        if (line.size() > limit) break;
    }
    if (line.size() <= limit) return line;
    line.resize(limit > kCut.size() ? limit - kCut.size() : 0);
    // Drop the beginning of a character whose rest was cut: continuation bytes, then its lead byte.
    std::size_t end = line.size();
    while (end > 0 && (static_cast<unsigned char>(line[end - 1]) & 0xc0) == 0x80)
        --end;
    if (end > 0 && (static_cast<unsigned char>(line[end - 1]) & 0xc0) == 0xc0) line.resize(end - 1);
    return line + std::string(kCut);
}

bool has_no_current(const ServiceContext& service) {
    const auto link = sys::read_symlink(service.model_dir / "current");
    return link.has_value() && !link->has_value();
}

void Delivery::deliver(Outcome outcome) {
    if (delivered_) return;
    delivered_ = true;
    source_ = loop_.defer([this, outcome = std::move(outcome)]() mutable {
        // Both leave this object before the call: `done` may drop it.
        auto done = std::move(done_);
        auto kept = std::move(outcome);
        done(std::move(kept));
    });
}

}  // namespace modelguard::rollback
