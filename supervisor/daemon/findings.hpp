#pragma once
// Collecting what is wrong with a file, with a limit, and quoting what was found. Not for showing it: daemon and cli do
// that.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/daemon/manifest.hpp"

namespace modelguard::daemon {

/// Takes the findings of one file. Borrows `out`, which must outlive it.
class FindingSink {
  public:
    /// More tell nobody more, and a hostile file could make as many as it has letters.
    static constexpr std::size_t kMostFindings = 50;

    FindingSink(std::string file, std::vector<Finding>& out) : file_(std::move(file)), out_(out), begin_(out.size()) {}

    /// Beyond the limit findings are dropped; the first error never is.
    void error(int line, std::string key, std::string text);
    void warning(int line, std::string key, std::string text);
    void note(int line, std::string key, std::string text);
    std::size_t errors() const { return errors_; }
    bool has_error() const { return errors_ > 0; }

  private:
    void add(Finding::Severity severity, int line, std::string key, std::string text);

    std::string file_;
    std::vector<Finding>& out_;
    std::size_t begin_;
    std::size_t errors_{0};
};

/// 'text' in quotes, cut after 40 bytes at a character's end.
std::string in_quotes(std::string_view text);
/// "a, b or c".
std::string listed(std::span<const std::string_view> words);
/// "; did you mean 'x'?" where one of `known` is near to `word`, else "".
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);
/// "serve" + "then" = "serve.then"; an empty prefix adds nothing.
std::string join_key(std::string_view prefix, std::string_view name);

}  // namespace modelguard::daemon
