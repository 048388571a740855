#include "supervisor/cli/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

namespace modelguard::cli {

namespace {

std::size_t columns_of(std::uint32_t c) {
    constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 8> kWide{{{0x1100, 0x115F},
                                                                            {0x2E80, 0xA4CF},
                                                                            {0xAC00, 0xD7A3},
                                                                            {0xF900, 0xFAFF},
                                                                            {0xFE30, 0xFE6F},
                                                                            {0xFF00, 0xFF60},
                                                                            {0x1F300, 0x1FAFF},
                                                                            {0x20000, 0x3FFFD}}};
    return std::ranges::any_of(kWide, [c](const auto& range) { return c >= range.first && c <= range.second; }) ? 2 : 1;
}

std::string formatted(const char* format, auto... values) {
    std::array<char, 64> buffer;
    const int length = std::snprintf(buffer.data(), buffer.size(), format, values...);
    return {buffer.data(), std::min(static_cast<std::size_t>(std::max(length, 0)), buffer.size() - 1)};
}

std::string utc(std::int64_t wall_usec, const char* format) {
    const std::time_t seconds = wall_usec / 1'000'000;
    std::tm fields{};
    if (::gmtime_r(&seconds, &fields) == nullptr) return "?";
    std::array<char, 64> buffer;
    return {buffer.data(), std::strftime(buffer.data(), buffer.size(), format, &fields)};
}

}  // namespace

std::string styled(std::string_view text, Style style, bool colour) {
    if (!colour || style == Style::plain) return std::string(text);
    const char* code = "";
    switch (style) {
        case Style::plain: break;
        case Style::good: code = "32"; break;
        case Style::bad: code = "1;31"; break;
        case Style::busy: code = "33"; break;
        case Style::strong: code = "1"; break;
        case Style::faint: code = "2"; break;
    }
    return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}

std::string printable_json(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    while (!json.empty()) {
        const CodePoint c = next_code_point(json);
        // Below 0x20 stands only white space between the tokens of valid JSON.
        if (c.valid && c.value >= 0x20 && (is_control(c.value) || hidden_kind(c.value) != nullptr))
            out += formatted("\\u%04x", c.value);
        else
            out += json.substr(0, c.length);
        json.remove_prefix(c.length);
    }
    return out;
}

std::size_t width_of(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const CodePoint c = next_code_point(text);
        width += c.valid ? columns_of(c.value) : 1;
        text.remove_prefix(c.length);
    }
    return width;
}

std::string cut_to(std::string_view text, std::size_t width) {
    if (width_of(text) <= width) return std::string(text);
    constexpr std::string_view kMark = "..";
    std::string out;
    std::size_t used = 0;
    while (!text.empty()) {
        const CodePoint c = next_code_point(text);
        const std::size_t columns = c.valid ? columns_of(c.value) : 1;
        if (used + columns + kMark.size() > width) break;
        used += columns;
        out += text.substr(0, c.length);
        text.remove_prefix(c.length);
    }
    return out.append(kMark.substr(0, width));
}

std::string wrapped(std::string_view text, std::size_t indent) {
    const std::string margin(indent, ' ');
    std::string out, line;
    const auto flush = [&] {
        out += margin + line + "\n";
        line.clear();
    };
    while (!text.empty()) {
        std::size_t end = std::min(text.find(' '), text.size());
        std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t room = kColumns - indent;
        if (!line.empty() && width_of(line) + 1 + width_of(word) > room) flush();
        if (!line.empty()) line += ' ';
        while (width_of(word) > room) {  // a path or a digest that no line holds
            std::size_t taken = 0;
            while (width_of(line) < room - 1) {
                const std::size_t length = next_code_point(word.substr(taken)).length;
                line += word.substr(taken, length);
                taken += length;
            }
            word.remove_prefix(taken);
            flush();
        }
        line += word;
    }
    if (!line.empty()) flush();
    return out;
}

std::string Table::text(bool colour) const {
    std::vector<std::size_t> widths;
    std::size_t total = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = width_of(columns_[i].title);
        for (const auto& row : rows_)
            width = std::max(width, width_of(row[i].text));
        widths.push_back(width);
        total += width + (i + 1 < columns_.size() ? columns_[i].gap : 0);
    }
    for (std::size_t i = 0; i < columns_.size() && total > kColumns; ++i) {
        const std::size_t spare = widths[i] - std::min(widths[i], columns_[i].cut_width);
        const std::size_t cut = std::min(spare, total - kColumns);
        widths[i] -= cut;
        total -= cut;
    }
    std::string out;
    const auto add_row = [&](const std::vector<Cell>& row) {
        std::string line;
        std::size_t used = 0, pending = 0;  // spaces wait for the next cell, so that no line ends in them
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string cell = cut_to(row[i].text, std::min(widths[i], kColumns - std::min(used, kColumns)));
            if (!cell.empty()) line += std::string(std::exchange(pending, 0), ' ') + styled(cell, row[i].style, colour);
            pending += widths[i] - width_of(cell) + columns_[i].gap;
            used += widths[i] + columns_[i].gap;
        }
        out += line + "\n";
    };
    std::vector<Cell> titles;
    for (const Column& column : columns_)
        titles.push_back({std::string(column.title), Style::faint});
    add_row(titles);
    for (const auto& row : rows_)
        add_row(row);
    return out;
}

std::string utc_time(std::int64_t wall_usec) { return utc(wall_usec, "%Y-%m-%d %H:%M:%SZ"); }
std::string utc_clock(std::int64_t wall_usec) { return utc(wall_usec, "%H:%M:%S"); }

std::string age(std::int64_t wall_usec, std::int64_t now_wall_usec) {
    const std::int64_t passed = now_wall_usec - wall_usec;
    if (passed < -1'000'000) return "in the future";  // a device without a clock battery starts in 1970
    if (passed < 1'000'000) return "just now";
    return format_age(Usec(passed)) + " ago";
}

std::string size_text(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes) + " B";
    constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return formatted("%.1f %s", value, kUnits[unit]);
}

std::string number_text(double number) { return formatted("%.4g", number); }

std::string spaced(std::string_view word) {
    std::string text(word);
    std::ranges::replace(text, '_', ' ');
    return text;
}

std::string shell_word(std::string_view text) {
    constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@";
    if (!text.empty() && text.find_first_not_of(kSafe) == std::string_view::npos) return std::string(text);
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

}  // namespace modelguard::cli
