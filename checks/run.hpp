#pragma once
// What every run of a check needs: one way to end, one exchange or pause at a time, and for inferring checks the probe
// with its retries. Not for judging: that is each kind's.

#include <functional>
#include <string>
#include <vector>

#include "checks/canary.hpp"
#include "checks/check.hpp"
#include "checks/infer_params.hpp"

namespace modelguard::checks {

/// One way to say that a check could not be carried out.
CheckOutcome inconclusive(std::string code, std::string text);
CheckOutcome failed(std::string code, std::string text);

class Run : public Running {
  public:
    using Done = std::function<void(CheckOutcome)>;

  protected:
    Run(const CheckContext& context, Done done);

    /// Ends the run: cancels what is under way and calls `done` on the loop's next turn. Later calls change nothing.
    void finish(CheckOutcome outcome);
    bool finished() const { return static_cast<bool>(ending_); }
    /// Calls `next` after `delay`; replaces an earlier one.
    void after(Usec delay, std::function<void()> next);
    /// Sends and hands over the reply. An error that says nothing about the server (a wrong URL, no memory) ends the
    /// run as inconclusive, code not_asked, instead.
    void exchange(sys::HttpRequest request, std::function<void(const Result<sys::HttpReply>&)> next);
    /// The same for a request to the model server, which gets the device's key where there is one; a key that cannot be
    /// read ends the run as inconclusive, code no_key.
    void ask_model(sys::HttpRequest request, std::function<void(const Result<sys::HttpReply>&)> next);
    /// For the metrics: what a probe came to; of an inference with its times.
    void tell_probe(const ProbeTold& probe) const;
    void tell_inference(const InferAnswer& answer, const Result<sys::HttpReply>& reply) const;
    /// Differs between any two requests of this device, restarts included.
    static std::uint64_t next_unique();

    const CheckContext& context_;

  private:
    Done done_;
    std::string authorization_;  // as read from the key's file at the first request
    CheckOutcome outcome_;
    sys::Transfer transfer_;
    sys::Source pause_;
    sys::Source ending_;
};

/// One inference with what it took.
struct Probe {
    InferAnswer answer;
    Usec took{0};
    bool timed_out{false};
};

/// A run that infers item by item. Loading, missing and unreachable are nobody's fault yet: such a probe is repeated,
/// and after kAttempts in a row the run ends as inconclusive with that word, since ready passed just before.
class InferRun : public Run {
  protected:
    static constexpr int kAttempts = 3;

    InferRun(const CheckContext& context, Done done, const InferParams& params);

    /// The set; empty (and the run ended, code no_canary_set) where it cannot be loaded.
    const std::vector<CanaryItem>& items() const { return items_; }
    void load_items();
    /// Infers on one item; `next` gets an answer that is ok, broken or wrong_version.
    void probe(const CanaryItem& item, Usec timeout, std::function<void(const Probe&)> next);
    std::int64_t probes() const { return probes_; }
    std::string item_where(const CanaryItem& item) const;

    const InferParams& params_;

  private:
    void attempt();
    void on_reply(const Result<sys::HttpReply>& reply);

    std::vector<CanaryItem> items_;
    std::int64_t probes_{0};
    const CanaryItem* item_{nullptr};
    Usec timeout_{0};
    std::function<void(const Probe&)> next_;
    int attempts_{0};
};

}  // namespace modelguard::checks
