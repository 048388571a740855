#include "checks/protocol/oip_answers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks::oip {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxErrorText = 300;  // the client's texts begin with the URL

struct Parsed {
    json value;  ///< discarded where the body is not JSON
    bool not_finite{false};
    std::string why;  ///< where the body was refused before parsing
};

/// Parses a body; a JSON string that holds JSON (double encoding: a server that returns model_dump_json() as a value)
/// is opened once.
Parsed parse(std::string_view body) {
    Parsed parsed{.value = json(json::value_t::discarded)};
    std::string storage;
    for (int layer = 0; layer < 2; ++layer) {
        bool not_finite = false;
        const auto clean = tolerant_json(body, storage, not_finite);
        if (!clean) {
            parsed.value = json(json::value_t::discarded);
            parsed.why = clean.error().what;
            return parsed;
        }
        parsed.not_finite = parsed.not_finite || not_finite;
        json value = json::parse(*clean, nullptr, /*allow_exceptions=*/false);
        if (layer == 0 && value.is_string()) {
            parsed.value = std::move(value);
            body = parsed.value.get_ref<const std::string&>();
            continue;
        }
        // The inner text of a plain JSON string ("OK") is not JSON: keep the string.
        if (layer == 0 || !value.is_discarded()) parsed.value = std::move(value);
        break;
    }
    return parsed;
}

bool is_html(std::string_view body) {
    const std::size_t begin = body.find_first_not_of(" \t\r\n");
    return begin != std::string_view::npos && body[begin] == '<';
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return result;
}

bool contains_any(std::string_view text, std::span<const std::string_view> words) {
    return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

/// What servers say while a model loads, lower case.
constexpr std::array<std::string_view, 6> kLoadingWords{
    "not ready",              // KServe 503, MLServer 400, Triton 400 "Model version not ready"
    "not at ready state",     // Triton, infer by version
    "no available versions",  // Triton, infer of the newest
    "not loaded yet",         // OVMS 404
    "not_loaded_yet",         // OVMS 500 MEDIAPIPE_DEFINITION_NOT_LOADED_YET
    "loading model",          // llama.cpp-style front ends
};

/// A missing model is named as such: "not found" alone may be a feature or a file inside of a failing model.
bool says_missing(std::string_view text) {
    static constexpr std::array<std::string_view, 2> kAbsent{"not found", "does not exist"};
    return text.find("unknown model") != std::string_view::npos ||
           (text.find("model") != std::string_view::npos && contains_any(text, kAbsent));
}

/// The server's own words: `error` (a string, or an object with `message`), `detail`, or the first line of plain text.
std::string error_text(std::string_view body) {
    const Parsed parsed = parse(body);
    const json& value = parsed.value;
    if (value.is_string()) return plain_line(value.get_ref<const std::string&>());
    if (value.is_object()) {
        for (const char* key : {"error", "detail", "message"}) {
            const auto it = value.find(key);
            if (it == value.end()) continue;
            if (it->is_string()) return plain_line(it->get_ref<const std::string&>());
            if (it->is_object() && it->contains("message") && (*it)["message"].is_string())
                return plain_line((*it)["message"].get_ref<const std::string&>());
        }
    }
    if (value.is_discarded()) return is_html(body) ? "an HTML page" : plain_line(body);
    return {};
}

Outcome outcome_of_status(int status, const std::string& text, bool infer) {
    if (contains_any(text, kLoadingWords)) return Outcome::loading;
    switch (status) {
        case 400:
            if (says_missing(text)) return Outcome::missing;  // Triton: "Request for unknown model"
            // MLServer and Triton answer 400 with an empty body on /ready while a model loads.
            return !infer && text.empty() ? Outcome::loading : Outcome::broken;
        case 404:
        case 410: return Outcome::missing;
        case 429:
        case 502:  // a proxy in front of a server that is not up yet
        case 503:
        case 504: return Outcome::loading;
        default: return Outcome::broken;  // 501 too: no version path is asked for, so it is no OIP server
    }
}

/// Collects a tensor's `data`, flat or nested.
struct TensorReader {
    bool bytes{false};
    bool not_finite{false};
    bool wrong_type{false};
    std::vector<double> numbers;
    std::vector<std::string> texts;

    void read(const json& value) {  // depth is limited by tolerant_json
        switch (value.type()) {
            case json::value_t::array:
                for (const json& element : value)
                    read(element);
                return;
            case json::value_t::boolean: numbers.push_back(value.get<bool>() ? 1 : 0); return;
            case json::value_t::number_integer:
            case json::value_t::number_unsigned:
            case json::value_t::number_float: read_number(value.get<double>()); return;
            case json::value_t::string: read_text(value.get_ref<const std::string&>()); return;
            case json::value_t::null:
                // What several servers make of NaN.
                (bytes ? wrong_type : not_finite) = true;
                return;
            case json::value_t::object:
            case json::value_t::binary:
            case json::value_t::discarded: wrong_type = true; return;
        }
    }
    void read_number(double number) {
        if (std::isfinite(number))
            numbers.push_back(number);
        else
            not_finite = true;
    }
    void read_text(const std::string& text) {
        if (bytes) return texts.push_back(text);
        // protobuf's JSON mapping writes 64-bit integers and NaN as strings.
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc{} && end == text.data() + text.size() && !text.empty())
            read_number(number);
        else if (text.ends_with("Infinity"))
            not_finite = true;
        else
            wrong_type = true;
    }
};

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

std::vector<double> argmax(const std::vector<double>& numbers, std::size_t length) {
    std::vector<double> result;
    for (std::size_t row = 0; row + length <= numbers.size(); row += length) {
        const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(row);
        const auto largest = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(length));
        result.push_back(static_cast<double>(largest - begin));
    }
    return result;
}

InferAnswer broken(std::string detail) { return {.outcome = Outcome::broken, .detail = std::move(detail)}; }

std::string text_field(const json& object, const char* key) {
    const auto it = object.find(key);
    if (it == object.end() || it->is_null()) return {};
    return it->is_string() ? it->get<std::string>() : it->dump();
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
        answer = broken("the answer has no outputs");
        return nullptr;
    }
    for (const json& output : *outputs) {
        if (!output.is_object() || !output.contains("data")) continue;
        if (shape.output_name.empty() || text_field(output, "name") == shape.output_name) return &output;
    }
    answer = shape.output_name.empty()
                 ? broken("no output has data")
                 : broken(fmt::format("no output named {} (there is: {})", shape.output_name, output_names(*outputs)));
    return nullptr;
}

void read_tensor(const json& output, const InferShape& shape, InferAnswer& answer) {
    TensorReader reader{.bytes = text_field(output, "datatype") == "BYTES"};
    reader.read(output["data"]);
    const std::string name = plain_line(text_field(output, "name"), 40);
    if (reader.not_finite) {
        answer.outcome = Outcome::broken;
        answer.not_finite = true;
        answer.detail = fmt::format("output {} holds NaN, Infinity or null", name);
        return;
    }
    if (reader.wrong_type || (reader.numbers.empty() && reader.texts.empty())) {
        answer.outcome = Outcome::broken;
        answer.detail =
            fmt::format("output {} holds {}", name, reader.wrong_type ? "neither numbers nor text" : "nothing");
        return;
    }
    answer.texts = std::move(reader.texts);
    answer.numbers = shape.argmax && !reader.numbers.empty()
                         ? argmax(reader.numbers, last_axis(output, reader.numbers.size()))
                         : std::move(reader.numbers);
}

}  // namespace

Classified classify_error(const Error& error, bool infer) {
    switch (error.kind) {
        case ErrorKind::malformed_reply: return {Outcome::broken, plain_line(error.what, kMaxErrorText)};
        case ErrorKind::timed_out:
            return {infer ? Outcome::broken : Outcome::unreachable, plain_line(error.what, kMaxErrorText)};
        case ErrorKind::unavailable:
        case ErrorKind::invalid_config:
        case ErrorKind::denied:
        case ErrorKind::not_found:
        case ErrorKind::conflict:
        case ErrorKind::io:
        case ErrorKind::unsupported:
        case ErrorKind::internal: return {Outcome::unreachable, plain_line(error.what, kMaxErrorText)};
    }
    return {Outcome::unreachable, plain_line(error.what, kMaxErrorText)};
}

Classified classify_status(int status, std::string_view body, bool infer) {
    const std::string text = error_text(body);
    return {outcome_of_status(status, lower(text), infer),
            text.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {}: {}", status, text)};
}

Classified classify_ready_body(std::string_view body) {
    if (is_html(body)) return {Outcome::broken, "HTTP 200 with an HTML page: not a model server"};
    const Parsed parsed = parse(body);
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
    const Parsed parsed = parse(body);
    if (!parsed.value.is_object()) {
        if (!parsed.why.empty()) return broken("refused the answer: " + parsed.why);
        if (body.empty()) return broken("HTTP 200 with an empty answer");
        return broken(is_html(body) ? "HTTP 200 with an HTML page" : "the answer is not a JSON object");
    }
    const json& reply = parsed.value;
    if (reply.contains("error")) return broken("HTTP 200 with an error: " + error_text(body));

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
