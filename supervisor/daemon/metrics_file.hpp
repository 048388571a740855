#pragma once
// The metrics as a file for a textfile collector, which reads it whenever it is scraped itself. Written only where it
// says something new, at most five times a second, and removed when the daemon ends, so that nobody takes old news for
// new.

#include <functional>
#include <string>

#include "supervisor/sys/files.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::daemon {

class MetricsFile {
  public:
    /// Writes the first page on the loop's next turn. `note` hears of a failure once, until it succeeds again.
    MetricsFile(sys::Loop& loop, sys::Path path, std::function<std::string()> page,
                std::function<void(const std::string&)> note);
    ~MetricsFile();
    MetricsFile(const MetricsFile&) = delete;
    MetricsFile& operator=(const MetricsFile&) = delete;

    /// Something was decided: the file says so in a moment.
    void write_soon();

  private:
    void write();

    sys::Loop& loop_;
    sys::Path path_;
    std::function<std::string()> page_;
    std::function<void(const std::string&)> note_;
    std::string written_;
    bool told_{false};
    bool soon_{false};
    sys::Source timer_;
};

}  // namespace modelguard::daemon
