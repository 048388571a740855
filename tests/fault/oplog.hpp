#pragma once
// The record of what an operation did to the files below a directory, for the power-loss states: a JSON object a line,
// with inode numbers instead of paths, since a path means another file after a rename. power.py reads it.
//   create dir name ino mode · mkdir dir name ino mode · symlink dir name ino target · link dir name ino
//   write ino offset data(hex) · resize ino size · mode ino mode · rename dir name dir2 name2 exchange · remove dir
//   name sync ino · sync_all · mark number
// Only calls that succeeded are in it, in the order in which they ended.

#include <cstdio>
#include <string>

#include "tests/fault/calls.hpp"

namespace modelguard::fault {

class OpLog {
  public:
    /// Empty: nothing is recorded.
    explicit OpLog(const std::string& file);
    ~OpLog();
    OpLog(const OpLog&) = delete;
    OpLog& operator=(const OpLog&) = delete;

    explicit operator bool() const { return file_ != nullptr; }
    /// What must be known before the call runs.
    struct Before {
        bool existed{false};
        std::uint64_t size{0};
    };
    Before before(const Call& call) const;
    void after(pid_t pid, const Call& call, const Before& before, std::int64_t result);
    void mark();

  private:
    void line(const std::string& text);
    void opened(const Call& call, const Before& before);
    void wrote(pid_t pid, const Call& call, std::uint64_t count);

    std::FILE* file_{nullptr};
    int marks_{0};
};

}  // namespace modelguard::fault
