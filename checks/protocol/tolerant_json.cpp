#include "checks/protocol/tolerant_json.hpp"

#include <array>

namespace modelguard::checks {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
        if (c != lower[i]) return false;
    }
    return true;
}

/// Length of the not-finite token at the front of `text`, with its sign; 0 if there is none.
std::size_t not_finite_length(std::string_view text) {
    const std::size_t sign = text[0] == '-' || text[0] == '+' ? 1 : 0;
    std::size_t end = sign;
    while (end < text.size() && is_letter(text[end]))
        ++end;
    const std::string_view word = text.substr(sign, end - sign);
    static constexpr std::array<std::string_view, 3> kWords{"nan", "infinity", "inf"};
    for (const std::string_view known : kWords) {
        if (equals_ignoring_case(word, known)) return end;
    }
    return 0;
}

/// Index just after the string that opens at `open`; the end of `text` where it never closes.
std::size_t after_string(std::string_view text, std::size_t open) {
    for (std::size_t i = open + 1; i < text.size(); ++i) {
        if (text[i] == '\\')
            ++i;
        else if (text[i] == '"')
            return i + 1;
    }
    return text.size();
}

}  // namespace

Result<std::string_view> tolerant_json(std::string_view body, std::string& storage, bool& not_finite) {
    storage.clear();
    not_finite = false;
    int depth = 0;
    std::size_t values = 0;
    std::size_t copied = 0;  // up to here `storage` holds the text
    for (std::size_t i = 0; i < body.size();) {
        const char c = body[i];
        if (c == '"') {
            i = after_string(body, i);
            continue;
        }
        if (c == '[' || c == '{') {
            if (++depth > kMaxJsonDepth) return fail(ErrorKind::malformed_reply, "JSON nested deeper than 64 levels");
            ++values;
        } else if (c == ']' || c == '}') {
            --depth;
        } else if (c == ',') {
            ++values;
        } else if (is_letter(c) || c == '-' || c == '+') {
            if (const std::size_t length = not_finite_length(body.substr(i)); length != 0) {
                storage.append(body, copied, i - copied).append("null");
                i += length;
                copied = i;
                not_finite = true;
                continue;
            }
            // Steps over the word, so that the "nan" of an unknown word is not taken for a number.
            for (++i; i < body.size() && is_letter(body[i]);)
                ++i;
            continue;
        }
        if (values > kMaxJsonValues) return fail(ErrorKind::malformed_reply, "JSON with more than 2 million values");
        ++i;
    }
    if (!not_finite) return body;
    storage.append(body, copied);
    return std::string_view(storage);
}

}  // namespace modelguard::checks
