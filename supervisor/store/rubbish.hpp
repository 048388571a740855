#pragma once
// Trees on their way out: what an import or a removal left in staging/. A small one goes at once; a large one, or one
// that could not be removed, by a child process, so that nobody waits for it. Not for what is still a version
// (place_tree retires those first). Internal to store.

#include <deque>
#include <functional>
#include <map>

#include "supervisor/sys/files.hpp"
#include "supervisor/sys/loop.hpp"
#include "supervisor/sys/process.hpp"

namespace modelguard::store {

class Rubbish {
  public:
    /// Children are `exe --child-remove TREE`.
    Rubbish(sys::Loop& loop, sys::Path exe) : loop_(loop), exe_(std::move(exe)) {}
    Rubbish(const Rubbish&) = delete;
    Rubbish& operator=(const Rubbish&) = delete;

    /// Removes the tree, now or later; blocks for some 500 unlinks at most. What fails is told once and tried again.
    void remove(const sys::Path& tree);
    /// A child is at it: there will be more space soon.
    bool is_at_work() const { return static_cast<bool>(process_); }
    /// Calls back once, from the loop, when no child is at work any more, whether or not something is left.
    void when_idle(const void* who, std::function<void()> call) { waiting_[who] = std::move(call); }
    void forget(const void* who) { waiting_.erase(who); }

    std::function<void(const std::string&)> on_note;  ///< something for the log

  private:
    void begin_next();
    void ended(const sys::ProcessEnd& end);
    void put_off(const sys::Path& tree, const std::string& why);

    sys::Loop& loop_;
    sys::Path exe_;
    std::deque<sys::Path> trees_;
    sys::Path tree_;  ///< the one that the child removes
    std::map<const void*, std::function<void()>> waiting_;
    sys::Process process_;
    Usec pause_{0};  ///< 0: the newest attempt did not fail
    sys::Source pause_timer_;
};

}  // namespace modelguard::store
