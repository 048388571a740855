#pragma once
// What each command prints, from the documents of the API to text: pure, so that every screen has a test.
// Not for fetching the documents.

#include <cstdint>
#include <string>

#include "supervisor/api/values.hpp"

namespace modelguard::cli {

struct View {
    bool colour{false};
    std::int64_t now_wall_usec{0};
    std::string root;  ///< of --root; shown in commands to type next
};

/// One line per model, then the reasons of those that are not at rest and well.
std::string status_screen(const api::Status& status, const View& view);
/// Everything about one model.
std::string model_screen(const api::ModelStatus& model, const View& view);
std::string history_screen(const api::History& history, const View& view);
std::string explain_screen(const api::Explanation& explanation, const View& view);
std::string versions_screen(const api::Versions& versions, const View& view);
std::string validation_screen(const api::Validation& validation, const std::string& file, const View& view);
std::string kinds_screen(const api::Kinds& kinds, const View& view);
/// How an operation ended: `deploy`, `rollback`, `check`, …
std::string outcome_screen(const api::OperationDoc& operation, const View& view);
/// One line of progress: "12:03:04 trial started: 5 (9f86d0818884): …".
std::string progress_line(const api::HistoryItem& item);

/// "4 (9f86d0818884)", or "none".
std::string version_name(const std::string& label, const std::string& digest);
/// "modelguard [--root DIR] <rest>".
std::string command_line(const std::string& rest, const View& view);

}  // namespace modelguard::cli
