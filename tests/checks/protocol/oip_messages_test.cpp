// The bytes of the gRPC messages, against bytes that protobuf's own library wrote.

#include "checks/protocol/oip_messages.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "checks/protocol/datatypes.hpp"
#include "checks/protocol/protobuf.hpp"

namespace modelguard::checks::oip {
namespace {

const Target kTarget{.endpoint = "http://127.0.0.1:8081", .server_model = "digits"};

std::string bytes_of(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return bytes;
}
std::string hex_of(std::string_view bytes) {
    std::string hex;
    for (const char c : bytes)
        hex += std::string{"0123456789abcdef"[static_cast<unsigned char>(c) >> 4], "0123456789abcdef"[c & 15]};
    return hex;
}

TEST(OipMessages, requests_are_what_protobuf_would_write) {
    EXPECT_EQ(hex_of(model_ready_message("digits")), "0a06646967697473");
    const auto infer = model_infer_message(
        kTarget, "mg-7",
        R"([{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"content_type":"np","n":-1,"b":true},"data":[1.5,-2]},
            {"name":"t","datatype":"BYTES","shape":[2],"data":["ab",""]}])",
        "probs");
    ASSERT_TRUE(infer) << infer.error().what;
    EXPECT_EQ(hex_of(*infer),
              "0a066469676974731a046d672d372a3e0a01781204465033321a02010222070a01621202080122140a0c636f6e74656e745f7479"
              "706512041a026e7022100a016e120b10ffffffffffffffffff012a0d0a0174120542595445531a010232070a0570726f62733a08"
              "0000c03f000000c03a0a02000000616200000000");
}

TEST(OipMessages, every_datatype_has_its_bytes) {
    const struct {
        const char* datatype;
        const char* data;
        const char* raw;
    } cases[] = {
        {"BOOL", "[true,0]", "0100"},
        {"UINT8", "[255]", "ff"},
        {"INT8", "[-1]", "ff"},
        {"UINT16", "[258]", "0201"},
        {"INT16", "[-2]", "feff"},
        {"UINT32", "[4294967295]", "ffffffff"},
        {"INT32", "[7.0]", "07000000"},
        {"INT64", "[[-1]]", "ffffffffffffffff"},
        {"UINT64", "[18446744073709551615]", "ffffffffffffffff"},
        {"FP16", "[1,-2,65504,0.000000059604645,1e9,0.333251953125,2047.5]", "003c00c0ff7b0100007c55350068"},
        {"BF16", "[1,-2]", "803f00c0"},
        {"FP64", "[0.5]", "000000000000e03f"},
        {"BYTES", R"(["ü"])", "02000000c3bc"},
    };
    for (const auto& each : cases) {
        const auto message = model_infer_message(
            kTarget, "",
            std::string(R"([{"name":"x","datatype":")") + each.datatype + R"(","shape":[1],"data":)" + each.data + "}]",
            "");
        ASSERT_TRUE(message) << each.datatype << ": " << message.error().what;
        EXPECT_TRUE(hex_of(*message).ends_with(each.raw)) << each.datatype << ": " << hex_of(*message);
    }
}

TEST(OipMessages, what_a_datatype_does_not_hold_is_refused) {
    for (const char* tensor :
         {R"({"name":"x","datatype":"UINT8","shape":[1],"data":[256]})",
          R"({"name":"x","datatype":"UINT32","shape":[1],"data":[-1]})",
          R"({"name":"x","datatype":"INT32","shape":[1],"data":[1.5]})",
          R"({"name":"x","datatype":"INT64","shape":[1],"data":[1e300]})",
          R"({"name":"x","datatype":"FP32","shape":[1],"data":["1"]})",
          R"({"name":"x","datatype":"BYTES","shape":[1],"data":[1]})",
          R"({"name":"x","datatype":"FP8","shape":[1],"data":[1]})", R"({"name":"x","datatype":"FP32","data":[1]})",
          R"({"name":"x","datatype":"FP32","shape":[1],"data":[]})", R"({"datatype":"FP32","shape":[1],"data":[1]})",
          "7"}) {
        const auto message = model_infer_message(kTarget, "", std::string("[") + tensor + "]", "");
        ASSERT_FALSE(message) << tensor;
        EXPECT_EQ(message.error().kind, ErrorKind::invalid_config) << tensor;
    }
}

TEST(OipMessages, answers_are_read_in_typed_and_in_raw_form) {
    for (const char* hex :
         {"0a066469676974731201321a046d672d372a1d0a0570726f62731204465033321a0201022a0a32080000803e0000403f2a1d0a016e12"
          "05494e5433321a01022a0e120cffffffffffffffffff01ac022a1a0a056c6162656c120542595445531a01022a0742036361744200",
          "0a066469676974731201321a046d672d372a110a0570726f62731204465036341a0201022a0d0a016e1205494e5433321a01022a110a"
          "056c6162656c120542595445531a01023210000000000000d03f000000000000e83f3208ffffffff2c010000320b0300000063617400"
          "000000"}) {
        const auto reply = read_model_infer(bytes_of(hex));
        ASSERT_TRUE(reply) << reply.error().what;
        EXPECT_EQ(reply->model_version, "2");
        ASSERT_EQ(reply->outputs.size(), 3U);
        EXPECT_EQ(reply->outputs[0].name, "probs");
        EXPECT_EQ(reply->outputs[0].shape, (std::vector<std::int64_t>{1, 2}));
        EXPECT_EQ(reply->outputs[0].values.numbers, (std::vector<double>{0.25, 0.75}));
        EXPECT_EQ(reply->outputs[1].values.numbers, (std::vector<double>{-1, 300}));
        EXPECT_EQ(reply->outputs[2].values.texts, (std::vector<std::string>{"cat", ""}));
    }
    EXPECT_EQ(*read_model_ready(bytes_of("0801")), true);
    EXPECT_EQ(*read_model_ready(""), false);
    EXPECT_TRUE(read_model_infer(bytes_of("0a066469676974731201321a046d672d372a1d0a0570726f62731204465033321a0201022a0a"
                                          "32080000c07f0000403f2a1d0a016e1205494e5433321a01022a0e120cffffffffffffffffff"
                                          "01ac022a1a0a056c6162656c120542595445531a01022a0742036361744200"))
                    ->outputs[0]
                    .values.not_finite);
}

TEST(OipMessages, halves_are_read_as_they_are_written) {
    const Datatype& half = *find_datatype("FP16");
    for (std::uint64_t bits = 0; bits <= 0xffff; ++bits) {
        const double number = half.read(bits);
        if (std::isnan(number)) continue;
        ASSERT_EQ(half.write(number), bits) << number;
    }
}

TEST(OipMessages, what_is_cut_off_anywhere_is_malformed_or_less_and_never_more) {
    const std::string whole = bytes_of(
        "0a066469676974731201321a046d672d372a110a0570726f62731204465036341a0201022a0d0a016e1205494e5433321a01022a110a05"
        "6c6162656c120542595445531a01023210000000000000d03f000000000000e83f3208ffffffff2c010000320b03000000636174000000"
        "00");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto reply = read_model_infer(whole.substr(0, size));
        EXPECT_TRUE(!reply || reply->outputs.size() <= 3U) << size;
    }
    for (const char* hex :
         {"0b", "08", "0affffffffffffffffff01", "2a0213", "ffffffffffffffffffffffff", "00", "2a070a0178", "32020102"})
        EXPECT_FALSE(read_model_infer(bytes_of(hex))) << hex;
    EXPECT_FALSE(read_model_ready(bytes_of("0b")));
}

TEST(OipMessages, a_frame_is_one_whole_message) {
    EXPECT_EQ(hex_of(grpc_frame("abc")), "0000000003616263");
    EXPECT_EQ(*open_grpc_frame(grpc_frame("abc")), "abc");
    EXPECT_EQ(*open_grpc_frame(grpc_frame("")), "");
    for (const char* hex : {"", "00000000", "000000000461", "0000000001616263", "010000000161"})
        EXPECT_FALSE(open_grpc_frame(bytes_of(hex))) << hex;
}

}  // namespace
}  // namespace modelguard::checks::oip
