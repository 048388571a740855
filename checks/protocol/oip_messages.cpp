#include "checks/protocol/oip_messages.hpp"

#include <fmt/format.h>

#include "checks/protocol/datatypes.hpp"
#include "checks/protocol/protobuf.hpp"
#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks::oip {
namespace {

using nlohmann::json;
using protobuf::put_bytes;
using protobuf::put_number;
using protobuf::Reader;
using protobuf::Wire;

constexpr std::size_t kMaxTensors = 10'000;  // models have a handful; an empty one costs two bytes on the wire
constexpr std::size_t kFrameHead = 5;        // a flag and the length
constexpr std::size_t kTextLength = 4;       // before each text of raw contents

std::unexpected<Error> malformed(std::string what) { return fail(ErrorKind::malformed_reply, std::move(what)); }

// ---- requests ------------------------------------------------------------------------------------------------------

Result<void> put_raw_number(std::string& raw, const json& value, const Datatype& type) {
    const auto wrong = [&] {
        return fail(ErrorKind::invalid_config,
                    fmt::format("{} is no {}",
                                plain_line(value.dump(-1, ' ', false, json::error_handler_t::replace), 40), type.name));
    };
    if (!value.is_number() && !value.is_boolean()) return wrong();
    const double number = value.is_boolean() ? (value.get<bool>() ? 1 : 0) : value.get<double>();
    if (!type.whole) {
        protobuf::put_fixed(raw, type.write(number), type.size);
        return {};
    }
    std::uint64_t bits = 0;
    if (value.is_number_unsigned())
        bits = value.get<std::uint64_t>();
    else if (value.is_number_integer())
        bits = static_cast<std::uint64_t>(value.get<std::int64_t>());
    else if (number >= -0x1p62 && number <= 0x1p62)
        bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(number));
    if (type.read(bits) != number) return wrong();
    protobuf::put_fixed(raw, bits, type.size);
    return {};
}

/// As deep as tolerant_json let it be.
Result<void> put_raw(std::string& raw, const json& data, const Datatype* type) {
    for (const json& element : data) {
        if (element.is_array()) {
            MG_CHECK(put_raw(raw, element, type));
        } else if (type != nullptr) {
            MG_CHECK(put_raw_number(raw, element, *type));
        } else if (element.is_string()) {
            const auto& text = element.get_ref<const std::string&>();
            protobuf::put_fixed(raw, text.size(), kTextLength);
            raw += text;
        } else {
            return fail(ErrorKind::invalid_config, "BYTES holds texts alone");
        }
    }
    return {};
}

/// map<string, InferParameter>; what is neither text, number nor boolean has no form there.
void put_parameters(std::string& tensor, const json& parameters) {
    for (const auto& [key, value] : parameters.items()) {
        std::string parameter;
        if (value.is_boolean())
            put_number(parameter, 1, value.get<bool>() ? 1 : 0);
        else if (value.is_number_integer())
            put_number(parameter, 2, static_cast<std::uint64_t>(value.get<std::int64_t>()));
        else if (value.is_string())
            put_bytes(parameter, 3, value.get_ref<const std::string&>());
        else
            continue;
        std::string entry;
        put_bytes(entry, 1, key);
        put_bytes(entry, 2, parameter);
        put_bytes(tensor, 4, entry);
    }
}

struct InputTensor {
    std::string message, raw;
};
Result<InputTensor> input_tensor(const json& input) {
    const auto wants = [](std::string_view what) {
        return fail(ErrorKind::invalid_config,
                    fmt::format("a tensor of the input has no {}; expected name, datatype, shape and data", what));
    };
    if (!input.is_object() || text_field(input, "name").empty()) return wants("name");
    const std::string datatype = text_field(input, "datatype");
    const Datatype* type = find_datatype(datatype);
    if (type == nullptr && datatype != "BYTES") return wants("datatype of the protocol");
    const json shape = input.value("shape", json());
    const json data = input.value("data", json());
    if (!shape.is_array()) return wants("shape");
    if (!data.is_array() || data.empty()) return wants("data");
    InputTensor tensor;
    put_bytes(tensor.message, 1, text_field(input, "name"));
    put_bytes(tensor.message, 2, datatype);
    std::string axes;
    for (const json& axis : shape) {
        if (!axis.is_number_integer()) return wants("shape of integers");
        protobuf::put_varint(axes, static_cast<std::uint64_t>(axis.get<std::int64_t>()));
    }
    put_bytes(tensor.message, 3, axes);
    if (const auto parameters = input.find("parameters"); parameters != input.end() && parameters->is_object())
        put_parameters(tensor.message, *parameters);
    MG_CHECK(put_raw(tensor.raw, data, type));
    return tensor;
}

// ---- answers -------------------------------------------------------------------------------------------------------

std::size_t count_of(const Values& values) { return values.numbers.size() + values.texts.size(); }

/// How the numbers of each field of InferTensorContents stand there; its last one, bytes_contents, holds texts.
struct Contents {
    std::uint32_t field;
    Wire wire;
    double (*read)(std::uint64_t bits);
};
constexpr std::uint32_t kBytesContents = 8;
const Contents* find_contents(std::uint32_t field) {
    static const Contents kContents[] = {
        {1, Wire::varint, find_datatype("BOOL")->read},   {2, Wire::varint, find_datatype("INT32")->read},
        {3, Wire::varint, find_datatype("INT64")->read},  {4, Wire::varint, find_datatype("UINT32")->read},
        {5, Wire::varint, find_datatype("UINT64")->read}, {6, Wire::fixed32, find_datatype("FP32")->read},
        {7, Wire::fixed64, find_datatype("FP64")->read},
    };
    for (const Contents& contents : kContents)
        if (contents.field == field) return &contents;
    return nullptr;
}

Result<void> read_contents(std::string_view message, Values& values) {
    Reader fields(message);
    while (const auto field = fields.next()) {
        if (field->number == kBytesContents && field->wire == Wire::bytes) {
            values.texts.emplace_back(field->bytes);
            continue;
        }
        const Contents* contents = find_contents(field->number);
        if (contents == nullptr) continue;
        if (field->wire == contents->wire) values.add(contents->read(field->value));
        if (field->wire != Wire::bytes) continue;
        Reader packed(field->bytes);
        while (count_of(values) <= kMaxJsonValues) {
            const auto bits = contents->wire == Wire::varint
                                  ? packed.next_varint()
                                  : packed.next_fixed(contents->wire == Wire::fixed32 ? 4 : 8);
            if (!bits) break;
            values.add(contents->read(*bits));
        }
        if (packed.is_malformed()) return malformed("packed numbers that break off");
        if (count_of(values) > kMaxJsonValues) return malformed("more than 2 million values");
    }
    if (fields.is_malformed()) return malformed("contents that are no message");
    return {};
}

Result<void> read_raw(std::string_view raw, const Datatype* type, Values& values) {
    Reader bytes(raw);
    while (count_of(values) <= kMaxJsonValues) {
        const auto bits = bytes.next_fixed(type != nullptr ? type->size : kTextLength);
        if (!bits) break;
        if (type != nullptr) {
            values.add(type->read(*bits));
            continue;
        }
        const auto text = bytes.take(*bits);
        if (!text) break;
        values.texts.emplace_back(*text);
    }
    if (bytes.is_malformed()) return malformed("raw contents that break off");
    if (count_of(values) > kMaxJsonValues) return malformed("more than 2 million values");
    return {};
}

Result<OutputTensor> read_output(std::string_view message) {
    OutputTensor output;
    Reader fields(message);
    while (const auto field = fields.next()) {
        if (field->number == 1 && field->wire == Wire::bytes) output.name = plain_line(field->bytes, 40);
        if (field->number == 2 && field->wire == Wire::bytes) output.datatype = plain_line(field->bytes, 20);
        if (field->number == 3 && field->wire == Wire::varint)
            output.shape.push_back(static_cast<std::int64_t>(field->value));
        if (field->number == 3 && field->wire == Wire::bytes) {
            Reader axes(field->bytes);
            while (const auto axis = axes.next_varint())
                output.shape.push_back(static_cast<std::int64_t>(*axis));
        }
        if (field->number == 5 && field->wire == Wire::bytes) MG_CHECK(read_contents(field->bytes, output.values));
    }
    if (fields.is_malformed()) return malformed("an output that is no message");
    return output;
}

}  // namespace

std::string model_ready_message(std::string_view model) {
    std::string message;
    put_bytes(message, 1, model);
    return message;
}

Result<std::string> model_infer_message(const Target& target, std::string_view id, const std::string& inputs,
                                        std::string_view output_name) {
    const json tensors = json::parse(inputs, nullptr, /*allow_exceptions=*/false);
    if (!tensors.is_array()) return fail(ErrorKind::invalid_config, "the input is no array of tensors");
    std::string message, raws;
    put_bytes(message, 1, target.server_model);
    put_bytes(message, 3, id);
    for (const json& each : tensors) {
        MG_TRY(const InputTensor tensor, input_tensor(each));
        put_bytes(message, 5, tensor.message);
        put_bytes(raws, 7, tensor.raw);
    }
    if (!output_name.empty()) {
        std::string output;
        put_bytes(output, 1, output_name);
        put_bytes(message, 6, output);
    }
    return message + raws;
}

Result<bool> read_model_ready(std::string_view message) {
    bool ready = false;  // protobuf leaves out what is false
    Reader fields(message);
    while (const auto field = fields.next())
        if (field->number == 1 && field->wire == Wire::varint) ready = field->value != 0;
    if (fields.is_malformed()) return malformed("no ModelReadyResponse");
    return ready;
}

Result<InferReply> read_model_infer(std::string_view message) {
    InferReply reply;
    std::vector<std::string_view> raws;
    std::size_t values = 0;
    Reader fields(message);
    while (const auto field = fields.next()) {
        if (field->wire != Wire::bytes) continue;
        if (field->number == 2) reply.model_version = plain_line(field->bytes);
        if (field->number == 5) {
            MG_TRY(OutputTensor output, read_output(field->bytes));
            values += count_of(output.values);
            reply.outputs.push_back(std::move(output));
        }
        if (field->number == 6) raws.push_back(field->bytes);
        if (values > kMaxJsonValues || reply.outputs.size() + raws.size() > kMaxTensors)
            return malformed("more tensors than a model answers");
    }
    if (fields.is_malformed()) return malformed("no ModelInferResponse");
    if (raws.empty()) return reply;
    if (raws.size() != reply.outputs.size())
        return malformed(fmt::format("{} raw contents for {} outputs", raws.size(), reply.outputs.size()));
    for (std::size_t i = 0; i < raws.size(); ++i) {
        OutputTensor& output = reply.outputs[i];
        const Datatype* type = find_datatype(output.datatype);
        if (type == nullptr && output.datatype != "BYTES")
            return malformed(
                fmt::format("output {} is of type {}, which the protocol does not have", output.name, output.datatype));
        MG_CHECK(with_context(read_raw(raws[i], type, output.values), "output " + output.name));
        values += count_of(output.values);
        if (values > kMaxJsonValues) return malformed("more than 2 million values");
    }
    return reply;
}

std::string grpc_frame(std::string_view message) {
    std::string frame(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8)
        frame += static_cast<char>(message.size() >> shift);
    return frame.append(message);
}

Result<std::string_view> open_grpc_frame(std::string_view body) {
    if (body.size() < kFrameHead) return malformed("the answer holds no message");
    if (body[0] != '\0') return malformed("the message is compressed, which was not asked for");
    std::size_t length = 0;
    for (std::size_t i = 1; i < kFrameHead; ++i)
        length = (length << 8) | static_cast<unsigned char>(body[i]);
    if (length != body.size() - kFrameHead) return malformed("the answer is not one whole message");
    return body.substr(kFrameHead);
}

}  // namespace modelguard::checks::oip
