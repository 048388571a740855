#pragma once
// systemd's manager in miniature: a unix socket that speaks D-Bus through sd-bus itself, as bus and as manager in one.
// It answers RestartUnit and its like with a job and ends the job with the result it is told, and GetAll of a unit with
// the states it is told.

#include <systemd/sd-bus.h>

#include <string>
#include <vector>

#include "supervisor/sys/fd.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::sys::test {

class FakeSystemd {
  public:
    /// Listens at `socket_path` on `loop`.
    FakeSystemd(Loop& loop, const std::string& socket_path);
    ~FakeSystemd();

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
    /// What each reading of a unit finds, the last one from then on; restarts of UINT32_MAX: it has no such property.
    std::vector<UnitState> unit_states;

    /// "RestartUnit digits.service replace"
    const std::vector<std::string>& calls() const { return calls_; }
    bool was_subscribed() const { return subscribed_; }
    /// The objects that were read, "/org/freedesktop/systemd1/unit/digits_2eservice".
    const std::vector<std::string>& read() const { return read_; }

  private:
    using Bus = CPtr<sd_bus, sd_bus_close_unref>;

    void accept_one();
    int answer(sd_bus_message* message);
    int answer_unit(sd_bus_message* message);
    int answer_job(sd_bus_message* message, const std::string& method);
    void end_job(sd_bus* bus, std::uint32_t id, const std::string& unit, const std::string& result);
    static int on_message(sd_bus_message* message, void* userdata, sd_bus_error*);

    Loop& loop_;
    Fd listener_;
    Source listening_;
    Source hang_up_;
    std::vector<Bus> connections_;
    std::vector<std::string> calls_, read_;
    bool subscribed_{false};
    std::uint32_t next_job_{100};
};

}  // namespace modelguard::sys::test
