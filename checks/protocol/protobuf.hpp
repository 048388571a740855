#pragma once
// The little of Protocol Buffers that the Open Inference Protocol's messages need: fields written in order, and read
// one by one from outside bytes. Not for schemas: who reads knows the numbers. Source:
// protobuf.dev/programming-guides/encoding.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace modelguard::checks::protobuf {

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
    std::uint32_t number{0};
    Wire wire{Wire::varint};
    std::uint64_t value{0};  ///< of the numeric wire types, as it stands
    std::string_view bytes;  ///< of `bytes`; borrows from the message
};

class Reader {
  public:
    explicit Reader(std::string_view message) : rest_(message) {}
    /// nullopt at the end, or where the bytes are no message: then is_malformed().
    std::optional<Field> next();
    /// A number of a packed field.
    std::optional<std::uint64_t> next_varint();
    std::optional<std::uint64_t> next_fixed(std::size_t size);
    /// The next `size` bytes as they are.
    std::optional<std::string_view> take(std::uint64_t size);
    bool is_malformed() const { return malformed_; }

  private:
    std::nullopt_t malformed();

    std::string_view rest_;
    bool malformed_{false};
};

void put_varint(std::string& message, std::uint64_t value);
/// `size` bytes, the lowest first.
void put_fixed(std::string& message, std::uint64_t value, std::size_t size);
void put_bytes(std::string& message, std::uint32_t field, std::string_view bytes);
void put_number(std::string& message, std::uint32_t field, std::uint64_t value);

}  // namespace modelguard::checks::protobuf
