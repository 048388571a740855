#include "supervisor/store/rubbish.hpp"

#include <algorithm>
#include <utility>

#include "supervisor/store/child_exit.hpp"

namespace modelguard::store {

namespace {

// About 2 ms, beside a rollback whose target is 10 ms.
constexpr std::size_t kEntriesAtOnce = 500;
// 100,000 files of a card that frees 200 a second; after that it is begun again.
constexpr Usec kRemoveTimeout = std::chrono::minutes(10);
// What a descriptor or a flash card lacks for a moment, and what only a person mends.
constexpr Usec kFirstPause = std::chrono::seconds(1);
constexpr Usec kLongestPause = std::chrono::hours(1);

}  // namespace

void Rubbish::remove(const sys::Path& tree) {
    const auto gone = sys::remove_small_tree(tree, kEntriesAtOnce);
    if (gone && *gone) return;
    if (!gone) return put_off(tree, gone.error().what);
    trees_.push_front(tree);  // before one that failed, and may do so for long
    begin_next();
}

void Rubbish::begin_next() {
    if (trees_.empty() || process_) return;
    pause_timer_.reset();
    tree_ = std::move(trees_.front());
    trees_.pop_front();
    sys::ProcessSpec spec;
    spec.argv = {exe_.string(), "--child-remove", tree_.string()};
    spec.timeout = kRemoveTimeout;
    auto child = sys::spawn(loop_, std::move(spec), [this](const sys::ProcessEnd& end) { ended(end); });
    if (!child) return put_off(tree_, child.error().what);
    process_ = std::move(*child);
}

void Rubbish::ended(const sys::ProcessEnd& end) {
    process_ = {};
    if (end.ok()) {
        pause_ = Usec{0};
        begin_next();
    } else {
        put_off(tree_, error_of_child(end, "remove " + tree_.filename().string()).what);
    }
    while (!process_ && !waiting_.empty()) {
        const auto call = std::move(waiting_.begin()->second);
        waiting_.erase(waiting_.begin());
        call();
    }
}

void Rubbish::put_off(const sys::Path& tree, const std::string& why) {
    if (pause_ == Usec{0} && on_note)
        on_note("what is needed no longer could not be removed from staging/ and takes space; it is tried again: " +
                why);
    trees_.push_back(tree);
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    if (!process_) pause_timer_ = loop_.add_timer(pause_, [this] { begin_next(); });
}

}  // namespace modelguard::store
