#pragma once
// What is counted about this device since the daemon started, and the page of it with what is true now. Nothing here is
// kept over a restart: counters begin at zero again, as Prometheus expects. Not for the text's format: metrics_text.
// Series are bounded by what there is: models, the checks of their manifests, versions in the store, words of the code.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checks/check.hpp"
#include "supervisor/core/step.hpp"
#include "supervisor/daemon/metrics_text.hpp"

namespace modelguard::daemon {

/// What is true now, as words.
struct MetricFacts {
    struct Version {
        std::string digest;  ///< short form; empty: none
        std::string label;
    };
    struct Model {
        std::string name;
        std::string phase;
        bool available{false};
        std::string protocol;
        Version current, known_good;
        std::string known_good_os;          ///< empty where there is only one OS
        std::vector<std::string> versions;  ///< short forms of those in the store
    };
    std::vector<Model> models;
};

class Metrics {
  public:
    void probed(const std::string& model, const Digest& version, const std::string& check,
                const checks::ProbeTold& probe);
    /// A judging of a version has ended.
    void judged(const std::string& model, const Digest& version, core::Subject subject, core::VerdictKind verdict,
                const std::vector<core::CheckReport>& reports);
    /// A decision is durable. What began before the daemon did has no duration here.
    void decided(const core::Decision& decision, Instant now);

    /// Forgets what is counted of models and versions that are gone.
    void forget_absent(const MetricFacts& facts);
    /// The whole page, of what is there.
    std::string page(const MetricFacts& facts, MetricsFormat format);

  private:
    using Key = std::vector<std::string>;  ///< label values, the model first, then the version where there is one

    void write_facts(const MetricFacts& facts, MetricsText& text) const;
    void write_counts(MetricsText& text) const;

    std::map<Key, std::uint64_t> probes_;                         // model, version, check, outcome
    std::map<Key, Histogram> probe_durations_;                    // model, version
    std::map<Key, Histogram> first_tokens_, later_tokens_;        // model, version
    std::map<std::string_view, std::map<Key, double>> measured_;  // by the kind's metric: model, version, check
    std::map<Key, std::uint64_t> verdicts_;                       // model, subject, verdict, reason
    std::map<Key, std::uint64_t> rollbacks_;                      // model (empty: the OS), scope, reason
    std::map<Key, Histogram> trial_durations_;                    // model
    std::map<Key, Histogram> rollback_durations_;                 // model
    std::map<std::string, Instant> trials_began_;                 // by model
    std::map<std::string, Instant> rollbacks_began_;              // by model
};

}  // namespace modelguard::daemon
