#pragma once
// Text for terminals: harmless, measured in columns, in tables of 80. Pure; not for writing it anywhere.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/base/text.hpp"
#include "supervisor/base/time.hpp"

namespace modelguard::cli {

constexpr std::size_t kColumns = 80;

enum class Style { plain, good, bad, busy, strong, faint };

/// Wraps `text` in the escape codes of a style; as it is where `colour` is false.
std::string styled(std::string_view text, Style style, bool colour);

/// JSON text with what printable() escapes and valid JSON can hold raw (DEL, C1, hidden characters) as \u escapes, so
/// that it stays the same JSON.
std::string printable_json(std::string_view json);

/// Columns that printable text takes.
std::size_t width_of(std::string_view text);
/// At most `width` columns; what is cut is shown as "..".
std::string cut_to(std::string_view text, std::size_t width);
/// Lines of at most kColumns, each beginning with `indent` spaces; breaks at spaces, inside a word only where it is too
/// long.
std::string wrapped(std::string_view text, std::size_t indent);

struct Cell {
    std::string text;  ///< printable
    Style style{Style::plain};
};

/// Left-aligned columns, as wide as their content. Where that is too much, columns are cut down to the width given, the
/// first ones first, as far as needed; the last one is cut at the edge.
class Table {
  public:
    struct Column {
        std::string_view title;
        std::size_t cut_width;
        std::size_t gap{2};  ///< spaces after it
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    std::string text(bool colour) const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

/// "2026-11-21 23:06:29Z".
std::string utc_time(std::int64_t wall_usec);
/// "23:06:29".
std::string utc_clock(std::int64_t wall_usec);
/// "3m ago"; "just now" below a second; "in the future" where the clock was set back.
std::string age(std::int64_t wall_usec, std::int64_t now_wall_usec);
/// "1.5 MiB".
std::string size_text(std::uint64_t bytes);
/// Four significant digits: "0.9324", "61".
std::string number_text(double number);
/// A word of the API for people: "trial_started" is "trial started".
std::string spaced(std::string_view word);
/// As a shell takes it: quoted only where needed.
std::string shell_word(std::string_view text);

}  // namespace modelguard::cli
