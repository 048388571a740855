#pragma once
// What the fuzz targets share. A target is one file that defines LLVMFuzzerTestOneInput(); MG_ASSERT states what must
// hold besides "no crash". Not a test framework: libFuzzer is.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace modelguard::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Takes small decisions off the front of an input; what is left is the input proper.
class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(text_of(data, size)) {}
    unsigned take_byte() {
        if (rest_.empty()) return 0;
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return byte;
    }
    /// Up to `mark`, which goes too; all of it where there is none.
    std::string_view take_until(std::string_view mark) {
        const std::size_t at = rest_.find(mark);
        const std::string_view piece = rest_.substr(0, at);
        rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + mark.size());
        return piece;
    }
    std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
};

/// True for text that is fit for one line of a terminal or a report: valid UTF-8 without control characters.
bool is_one_line(std::string_view text);

/// A directory of this process alone, in memory where the machine has such a place; made on first use.
const std::filesystem::path& scratch();

}  // namespace modelguard::fuzz
