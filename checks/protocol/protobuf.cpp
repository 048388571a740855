#include "checks/protocol/protobuf.hpp"

namespace modelguard::checks::protobuf {

namespace {
constexpr std::uint32_t kLargestField = (1u << 29) - 1;
}  // namespace

std::nullopt_t Reader::malformed() {
    malformed_ = true;
    rest_ = {};
    return std::nullopt;
}

std::optional<std::uint64_t> Reader::next_varint() {
    if (rest_.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    return malformed();
}

std::optional<std::uint64_t> Reader::next_fixed(std::size_t size) {
    if (rest_.empty()) return std::nullopt;
    if (rest_.size() < size) return malformed();
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    rest_.remove_prefix(size);
    return value;
}

std::optional<std::string_view> Reader::take(std::uint64_t size) {
    if (size > rest_.size()) return malformed();
    const std::string_view bytes = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(bytes.size());
    return bytes;
}

std::optional<Field> Reader::next() {
    const auto tag = next_varint();
    if (!tag) return std::nullopt;
    if ((*tag >> 3) == 0 || (*tag >> 3) > kLargestField) return malformed();
    Field field{.number = static_cast<std::uint32_t>(*tag >> 3), .wire = static_cast<Wire>(*tag & 7)};
    std::optional<std::uint64_t> value;
    switch (field.wire) {
        case Wire::varint: value = next_varint(); break;
        case Wire::fixed64: value = next_fixed(8); break;
        case Wire::fixed32: value = next_fixed(4); break;
        case Wire::bytes:
            // The two after it are groups, which nobody writes any more.
            value = next_varint();
            if (!value) return malformed();
            if (const auto bytes = take(*value))
                field.bytes = *bytes;
            else
                return std::nullopt;
            break;
    }
    if (!value) return malformed();
    field.value = *value;
    return field;
}

void put_varint(std::string& message, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        message += static_cast<char>((value & 0x7f) | 0x80);
    message += static_cast<char>(value);
}

void put_fixed(std::string& message, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        message += static_cast<char>(value >> (8 * i));
}

void put_bytes(std::string& message, std::uint32_t field, std::string_view bytes) {
    put_varint(message, (std::uint64_t{field} << 3) | static_cast<std::uint64_t>(Wire::bytes));
    put_varint(message, bytes.size());
    message += bytes;
}

void put_number(std::string& message, std::uint32_t field, std::uint64_t value) {
    put_varint(message, std::uint64_t{field} << 3);
    put_varint(message, value);
}

}  // namespace modelguard::checks::protobuf
