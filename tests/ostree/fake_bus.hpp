#pragma once
// A system bus with rpm-ostreed, logind and systemd on it, for programs that ask them: one connection at a time,
// answered by a thread.

#include <systemd/sd-bus.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/sys/fd.hpp"

namespace modelguard::ostree_test {

struct Inhibitor {
    std::string what, who, why, mode;
};

class FakeBus {
  public:
    /// Listens at /run/bus and sets DBUS_SYSTEM_BUS_ADDRESS.
    FakeBus();
    ~FakeBus();
    FakeBus(const FakeBus&) = delete;
    FakeBus& operator=(const FakeBus&) = delete;

    // Set before a program is run.
    std::vector<std::string> running;  ///< names that have an owner
    std::vector<Inhibitor> inhibitors;
    std::string refused;  ///< this method is answered with an error

    /// "org.freedesktop.login1 Reboot" for each call since the last take(), those to the bus itself aside.
    std::vector<std::string> take();

  private:
    void serve();
    void serve_one(int fd);
    static int on_message(sd_bus_message* message, void* userdata, sd_bus_error*);

    sys::Fd listener_;
    std::atomic<bool> ended_{false};
    std::mutex mutex_;
    std::vector<std::string> calls_;
    std::thread thread_;
};

}  // namespace modelguard::ostree_test
