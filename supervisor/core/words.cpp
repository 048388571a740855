// The words of every closed enum, in one table each: JSON, ledger, metrics and documents use these and nothing else.

#include <algorithm>
#include <array>

#include "supervisor/core/step.hpp"

namespace modelguard::core {

namespace {

template <class Enum>
struct WordTable;  // specialised below: `words` in the order of the enumerators

template <>
struct WordTable<Phase> {
    static constexpr std::array<std::string_view, 12> words{"empty",     "kept",      "baselining", "preflight",
                                                            "switching", "trial",     "soaking",    "steady",
                                                            "reverting", "verifying", "degraded",   "held"};
};
template <>
struct WordTable<VerdictKind> {
    static constexpr std::array<std::string_view, 3> words{"pass", "fail", "inconclusive"};
};
template <>
struct WordTable<Subject> {
    static constexpr std::array<std::string_view, 3> words{"candidate", "lkg", "current"};
};
template <>
struct WordTable<Where> {
    static constexpr std::array<std::string_view, 2> words{"preflight", "in_place"};
};
template <>
struct WordTable<OnInconclusive> {
    static constexpr std::array<std::string_view, 3> words{"keep_known_good", "hold", "accept"};
};
template <>
struct WordTable<Origin> {
    static constexpr std::array<std::string_view, 4> words{"file", "applied", "git", "command"};
};
template <>
struct WordTable<TrialKind> {
    static constexpr std::array<std::string_view, 2> words{"version", "manifest"};
};
template <>
struct WordTable<Cause> {
    static constexpr std::array<std::string_view, 8> words{
        "candidate_failed", "superseded", "undecided", "manual", "pin", "decay", "restore", "give_up"};
};
template <>
struct WordTable<WorkKind> {
    static constexpr std::array<std::string_view, 7> words{
        "none", "verify", "judge", "start_preflight", "switch_version", "restart_service", "watch"};
};
template <>
struct WordTable<Timer> {
    static constexpr std::array<std::string_view, 6> words{"deadline", "soak",      "retry",
                                                           "calm",     "os_window", "os_retry"};
};
template <>
struct WordTable<OsStep> {
    static constexpr std::array<std::string_view, 3> words{"dropping", "ordering", "rebooting"};
};
template <>
struct WordTable<OsVerb> {
    static constexpr std::array<std::string_view, 4> words{"drop_staged", "order_os", "confirm_os_default", "reboot"};
};
template <>
struct WordTable<DecisionKind> {
    static constexpr std::array<std::string_view, 34> words{"kept",
                                                            "trial_started",
                                                            "baseline_measured",
                                                            "preflight_passed",
                                                            "switched",
                                                            "trial_passed",
                                                            "accepted",
                                                            "rejected",
                                                            "undecided",
                                                            "superseded",
                                                            "refused",
                                                            "rolling_back",
                                                            "rolled_back",
                                                            "degraded",
                                                            "recovered",
                                                            "restarted",
                                                            "held",
                                                            "cleared",
                                                            "corrupt",
                                                            "pinned",
                                                            "unpinned",
                                                            "unrejected",
                                                            "removed",
                                                            "unmanaged",
                                                            "manifest_accepted",
                                                            "manifest_rejected",
                                                            "manifest_undecided",
                                                            "resumed",
                                                            "staged_dropped",
                                                            "os_rollback_ordered",
                                                            "os_rolled_back",
                                                            "os_rollback_failed",
                                                            "os_default_confirmed",
                                                            "rebuilt"};
};
template <>
struct WordTable<Blame> {
    static constexpr std::array<std::string_view, 6> words{"none",        "model",          "os",
                                                           "environment", "infrastructure", "operator"};
};
template <>
struct WordTable<JudgePurpose> {
    static constexpr std::array<std::string_view, 6> words{"baseline", "trial",   "preflight",
                                                           "way_back", "recheck", "ladder"};
};

template <class Enum>
std::string_view word_of(Enum value) {
    const auto index = static_cast<std::size_t>(value);
    MG_ASSERT(index < WordTable<Enum>::words.size());
    return WordTable<Enum>::words[index];
}

}  // namespace

template <class Enum>
std::optional<Enum> from_word(std::string_view word) {
    const auto& words = WordTable<Enum>::words;
    const auto found = std::ranges::find(words, word);
    if (found == words.end()) return std::nullopt;
    return static_cast<Enum>(found - words.begin());
}

#define MG_WORDS(Enum)                                              \
    std::string_view to_word(Enum value) { return word_of(value); } \
    template std::optional<Enum> from_word<Enum>(std::string_view);

MG_WORDS(Phase)
MG_WORDS(VerdictKind)
MG_WORDS(Subject)
MG_WORDS(Where)
MG_WORDS(OnInconclusive)
MG_WORDS(Origin)
MG_WORDS(TrialKind)
MG_WORDS(Cause)
MG_WORDS(WorkKind)
MG_WORDS(Timer)
MG_WORDS(OsStep)
MG_WORDS(OsVerb)
MG_WORDS(DecisionKind)
MG_WORDS(Blame)
MG_WORDS(JudgePurpose)
#undef MG_WORDS

}  // namespace modelguard::core
