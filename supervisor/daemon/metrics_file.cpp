#include "supervisor/daemon/metrics_file.hpp"

#include <tuple>

namespace modelguard::daemon {

namespace {
constexpr Usec kPeriod = std::chrono::seconds(15);      // a usual scrape interval: more would be seen by nobody
constexpr Usec kSoon = std::chrono::milliseconds(200);  // a trial decides several things in a moment
constexpr unsigned kMode = 0644;                        // the collector is another user
}  // namespace

MetricsFile::MetricsFile(sys::Loop& loop, sys::Path path, std::function<std::string()> page,
                         std::function<void(const std::string&)> note)
    : loop_(loop), path_(std::move(path)), page_(std::move(page)), note_(std::move(note)) {
    timer_ = loop_.defer([this] { write(); });
}

MetricsFile::~MetricsFile() {
    std::error_code ignored;  // it may never have been written
    std::filesystem::remove(path_, ignored);
}

void MetricsFile::write_soon() {
    if (soon_) return;
    soon_ = true;
    timer_ = loop_.add_timer(kSoon, [this] { write(); });
}

void MetricsFile::write() {
    soon_ = false;
    timer_ = loop_.add_timer(kPeriod, [this] { write(); });
    std::string page = page_();
    if (page == written_) return;
    const auto done = sys::replace_file(path_, page, kMode);
    if (done)
        written_ = std::move(page);
    else if (!told_)
        note_("the metrics could not be written to metrics.textfile, again every " + format_duration(kPeriod) + ": " +
              done.error().what);
    told_ = !done;
}

}  // namespace modelguard::daemon
