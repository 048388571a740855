#pragma once
// systemd's manager in miniature: a unix socket that speaks D-Bus through sd-bus itself, as bus and as manager in one.
// It answers RestartUnit and its like with a job and ends the job with the result it is told.

#include <systemd/sd-bus.h>

#include <string>
#include <vector>

#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/loop.hpp"

namespace modelguard::rollback::test {

class FakeManager {
  public:
    /// Listens at `socket_path` on `loop`.
    FakeManager(sys::Loop& loop, const std::string& socket_path);
    ~FakeManager();

    /// What happens to each job.
    std::string job_result{"done"};
    /// Not empty: the method call is answered with this D-Bus error.
    std::string error_name;
    /// The job never ends.
    bool hangs{false};
    /// The connection is closed instead of the job's end.
    bool hangs_up{false};
    /// Another job ends first, with another result.
    bool other_jobs_end_too{false};

    /// "RestartUnit digits.service replace"
    const std::vector<std::string>& calls() const { return calls_; }
    bool was_subscribed() const { return subscribed_; }

  private:
    using Bus = sys::CPtr<sd_bus, sd_bus_close_unref>;

    void accept_one();
    int answer(sd_bus_message* message);
    int answer_job(sd_bus_message* message, const std::string& method);
    void end_job(sd_bus* bus, std::uint32_t id, const std::string& unit, const std::string& result);
    static int on_message(sd_bus_message* message, void* userdata, sd_bus_error*);

    sys::Loop& loop_;
    sys::Fd listener_;
    sys::Source listening_;
    sys::Source hang_up_;
    std::vector<Bus> connections_;
    std::vector<std::string> calls_;
    bool subscribed_{false};
    std::uint32_t next_job_{100};
};

}  // namespace modelguard::rollback::test
