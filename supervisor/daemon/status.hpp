#pragma once
// The documents of the API made from what the runner holds. Reading only.

#include <string>
#include <vector>

#include "supervisor/api/values.hpp"
#include "supervisor/daemon/metrics.hpp"
#include "supervisor/daemon/runner.hpp"

namespace modelguard::daemon {

struct DeviceFacts {
    std::string os_backend;
    std::string cli;                 ///< how a person calls the CLI here: "modelguard" or "modelguard --root DIR"
    std::vector<std::string> notes;  ///< what the operator should know; grows while the daemon runs
};

api::Status make_status(const Runner& runner, const DeviceFacts& device);
api::Versions make_versions(const Runner& runner, const std::string& model);
api::OperationDoc make_operation(const Runner& runner, const store::Operation& operation);
api::HistoryItem make_history_item(const Runner& runner, const store::HistoryEntry& entry);
/// The story around the newest decision of the model, or around `number`: from the beginning of that trial or way back.
/// `newest_first` is the model's history from the ledger.
api::Explanation make_explanation(const Runner& runner, const std::string& model,
                                  const std::vector<store::HistoryEntry>& newest_first, std::int64_t number);
api::Validation make_validation(std::string_view text, const std::string& file, const DeviceConfig& device);
api::Kinds make_kinds();
MetricFacts make_metric_facts(const Runner& runner, const DeviceFacts& device);

}  // namespace modelguard::daemon
