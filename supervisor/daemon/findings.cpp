#include "supervisor/daemon/findings.hpp"

namespace modelguard::daemon {

std::string describe(const Finding& finding) {
    std::string text = finding.file;
    if (finding.line > 0) text += ":" + std::to_string(finding.line);
    text += ": ";
    switch (finding.severity) {
        case Finding::Severity::error: break;
        case Finding::Severity::warning: text += "warning: "; break;
        case Finding::Severity::note: text += "note: "; break;
    }
    if (!finding.key.empty()) text += finding.key + ": ";
    return text + finding.text;
}

void FindingSink::error(int line, std::string key, std::string text) {
    add(Finding::Severity::error, line, std::move(key), std::move(text));
}
void FindingSink::warning(int line, std::string key, std::string text) {
    add(Finding::Severity::warning, line, std::move(key), std::move(text));
}
void FindingSink::note(int line, std::string key, std::string text) {
    add(Finding::Severity::note, line, std::move(key), std::move(text));
}

void FindingSink::add(Finding::Severity severity, int line, std::string key, std::string text) {
    const bool is_first_error = severity == Finding::Severity::error && errors_ == 0;
    if (severity == Finding::Severity::error) ++errors_;
    if (out_.size() - begin_ >= kMostFindings) {
        if (!is_first_error) return;
        out_.pop_back();  // a file that is refused must say why
    }
    out_.push_back({severity, file_, line, std::move(key), std::move(text)});
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t kLongest = 40;
    if (text.size() <= kLongest) return "'" + std::string(text) + "'";
    std::size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return "'" + std::string(text.substr(0, end)) + "...'";
}

std::string listed(std::span<const std::string_view> words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += words[i];
    }
    return text;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
    const auto nearest = nearest_word(word, known);
    return nearest ? "; did you mean '" + *nearest + "'?" : std::string();
}

std::string join_key(std::string_view prefix, std::string_view name) {
    if (prefix.empty()) return std::string(name);
    return std::string(prefix) + "." + std::string(name);
}

}  // namespace modelguard::daemon
