#include "checks/protocol/oip_answers.hpp"

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks::oip {
namespace {

using nlohmann::json;

/// Elements of the last axis: from `shape` where it fits the count, else from the nesting, else all of them.
std::size_t last_axis(const json& output, std::size_t count) {
    const auto shape = output.find("shape");
    if (shape != output.end() && shape->is_array() && !shape->empty() && shape->back().is_number_integer()) {
        const auto length = shape->back().get<std::int64_t>();
        if (length > 0 && count % static_cast<std::size_t>(length) == 0) return static_cast<std::size_t>(length);
    }
    const json* inner = &output["data"];
    while (inner->is_array() && !inner->empty() && inner->front().is_array())
        inner = &inner->front();
    const std::size_t length = inner->is_array() ? inner->size() : count;
    return length > 0 && count % length == 0 ? length : count;
}

std::string output_names(const json& outputs) {
    std::string names;
    for (const json& output : outputs) {
        if (!output.is_object()) continue;
        if (!names.empty()) names += ", ";
        names += plain_line(text_field(output, "name"), 40);
        if (names.size() > 120) return names + ", …";
    }
    return names;
}

/// The output that the check asked for, or nullptr with the reason in `answer`.
const json* choose_output(const json& reply, const InferShape& shape, InferAnswer& answer) {
    const auto outputs = reply.find("outputs");
    if (outputs == reply.end() || !outputs->is_array() || outputs->empty()) {
        answer = broken_answer("the answer has no outputs");
        return nullptr;
    }
    for (const json& output : *outputs) {
        if (!output.is_object() || !output.contains("data")) continue;
        if (shape.output_name.empty() || text_field(output, "name") == shape.output_name) return &output;
    }
    answer = shape.output_name.empty() ? broken_answer("no output has data")
                                       : broken_answer(fmt::format("no output named {} (there is: {})",
                                                                   shape.output_name, output_names(*outputs)));
    return nullptr;
}

void read_tensor(const json& output, const InferShape& shape, InferAnswer& answer) {
    Values values{.bytes = text_field(output, "datatype") == "BYTES"};
    values.read(output["data"]);
    const std::size_t length = last_axis(output, values.numbers.size());
    take_values(std::move(values), "output " + plain_line(text_field(output, "name"), 40), length, shape.argmax,
                answer);
}

}  // namespace

ReadyAnswer classify_ready_body(std::string_view body) {
    if (is_html(body)) return {Outcome::broken, "HTTP 200 with an HTML page: not a model server"};
    const ParsedAnswer parsed = parse_answer(body);
    if (parsed.value.is_object()) {
        // The specification's own example writes `live` where it means `ready`.
        for (const char* key : {"ready", "live"}) {
            const auto it = parsed.value.find(key);
            if (it != parsed.value.end() && it->is_boolean() && !it->get<bool>())
                return {Outcome::loading, fmt::format("HTTP 200, {} is false", key)};
        }
    }
    return {Outcome::ok, "HTTP 200"};  // empty on MLServer, Triton and OVMS
}

InferAnswer read_outputs(const Target& target, const InferShape& shape, std::string_view body) {
    const ParsedAnswer parsed = parse_answer(body);
    if (!parsed.value.is_object()) return broken_answer(why_no_object(parsed, body));
    const json& reply = parsed.value;
    if (reply.contains("error")) return broken_answer("HTTP 200 with an error: " + error_text(body));

    InferAnswer answer{.outcome = Outcome::ok, .model_version = plain_line(text_field(reply, "model_version"))};
    if (!target.served_version.empty() && !answer.model_version.empty() &&
        answer.model_version != target.served_version) {
        answer.outcome = Outcome::wrong_version;
        answer.detail = fmt::format("serves version {} instead of {}", answer.model_version, target.served_version);
        return answer;
    }
    const json* output = choose_output(reply, shape, answer);
    if (output != nullptr) read_tensor(*output, shape, answer);
    return answer;
}

}  // namespace modelguard::checks::oip
