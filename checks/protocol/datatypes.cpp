#include "checks/protocol/datatypes.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace modelguard::checks::oip {
namespace {

template <class T>
double read_whole(std::uint64_t bits) {
    return static_cast<double>(static_cast<T>(bits));
}
double read_bool(std::uint64_t bits) { return (bits & 0xff) != 0 ? 1 : 0; }
double read_fp32(std::uint64_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits)); }
double read_fp64(std::uint64_t bits) { return std::bit_cast<double>(bits); }
double read_bf16(std::uint64_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
double read_fp16(std::uint64_t bits) {
    const int exponent = static_cast<int>((bits >> 10) & 31);
    const auto fraction = static_cast<double>(bits & 1023);
    double number = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        number = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    return (bits & 0x8000) != 0 ? -number : number;
}

std::uint64_t write_fp32(double number) { return std::bit_cast<std::uint32_t>(static_cast<float>(number)); }
std::uint64_t write_fp64(double number) { return std::bit_cast<std::uint64_t>(number); }

std::uint64_t write_fp16(double number) {
    const std::uint64_t sign = std::signbit(number) ? 0x8000 : 0;
    const double size = std::abs(number);
    constexpr double kSmallestNormal = 0x1p-14;
    if (size < kSmallestNormal) return sign | static_cast<std::uint64_t>(std::nearbyint(std::ldexp(size, 24)));
    if (size >= 65520) return sign | 0x7c00;  // rounds to more than the largest, 65504
    int exponent = 0;
    const double fraction = std::frexp(size, &exponent);  // in [0.5, 1)
    // A fraction that rounds up to 2048 carries into the exponent, as it should.
    const auto rounded = static_cast<std::uint64_t>(std::nearbyint(std::ldexp(fraction, 11)));
    return sign | ((static_cast<std::uint64_t>(exponent + 14) << 10) + rounded - 1024);
}

constexpr std::array kDatatypes{
    Datatype{"BOOL", 1, true, read_bool},
    Datatype{"UINT8", 1, true, read_whole<std::uint8_t>},
    Datatype{"UINT16", 2, true, read_whole<std::uint16_t>},
    Datatype{"UINT32", 4, true, read_whole<std::uint32_t>},
    Datatype{"UINT64", 8, true, read_whole<std::uint64_t>},
    Datatype{"INT8", 1, true, read_whole<std::int8_t>},
    Datatype{"INT16", 2, true, read_whole<std::int16_t>},
    Datatype{"INT32", 4, true, read_whole<std::int32_t>},
    Datatype{"INT64", 8, true, read_whole<std::int64_t>},
    Datatype{"FP16", 2, false, read_fp16, write_fp16},
    Datatype{"BF16", 2, false, read_bf16, [](double number) { return write_fp32(number) >> 16; }},
    Datatype{"FP32", 4, false, read_fp32, write_fp32},
    Datatype{"FP64", 8, false, read_fp64, write_fp64},
};

}  // namespace

const Datatype* find_datatype(std::string_view name) {
    for (const Datatype& type : kDatatypes)
        if (type.name == name) return &type;
    return nullptr;
}

}  // namespace modelguard::checks::oip
