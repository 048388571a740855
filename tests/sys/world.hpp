#pragma once
// What the tests of sys share: a loop that runs until something is true, and a directory that goes away.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/files.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::sys::test {

inline std::unique_ptr<Loop> make_loop() {
    auto loop = Loop::create();
    EXPECT_TRUE(loop.has_value());
    return std::move(*loop);
}

/// Turns the loop until `holds`, at most `limit`; what `holds` says in the end.
inline bool run_until(Loop& loop, const std::function<bool()>& holds, Usec limit = std::chrono::seconds(20)) {
    const Instant deadline = boottime_now() + limit;
    while (!holds()) {
        const Usec left = deadline - boottime_now();
        if (left.count() <= 0 || !loop.run_once(left)) return holds();
    }
    return true;
}

/// The same for what no event tells of (a file of a foreign process, say): looks again each millisecond.
inline bool poll_until(Loop& loop, const std::function<bool()>& holds, Usec limit = std::chrono::seconds(20)) {
    const Instant deadline = boottime_now() + limit;
    while (!holds()) {
        if (boottime_now() >= deadline || !loop.run_once(std::chrono::milliseconds(1))) return holds();
    }
    return true;
}

/// Turns the loop as long as there is something to do at once.
inline void run_pending(Loop& loop) {
    while (loop.run_once(Usec{0}).value_or(false)) {
    }
}

class TempDir {
  public:
    TempDir() {
        std::string pattern = (std::filesystem::temp_directory_path() / "modelguard-test-XXXXXX").native();
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        path_ = pattern;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() { EXPECT_TRUE(remove_tree(path_).has_value()); }

    const Path& path() const { return path_; }
    Path operator/(const std::string& name) const { return path_ / name; }

  private:
    Path path_;
};

}  // namespace modelguard::sys::test
