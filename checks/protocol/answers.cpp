#include "checks/protocol/answers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxErrorText = 300;  // the client's texts begin with the URL

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return result;
}

bool contains_any(std::string_view text, std::span<const std::string_view> words) {
    return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

constexpr std::string_view kNeedsKey = "serve.key names the key that this device has for it";

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
    static constexpr std::array<std::string_view, 3> kAbsent{"not found", "does not exist",
                                                             "is not served"};  // the last is MLC-LLM's
    return text.find("unknown model") != std::string_view::npos ||
           (text.find("model") != std::string_view::npos && contains_any(text, kAbsent));
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

std::vector<double> argmax(const std::vector<double>& numbers, std::size_t length) {
    std::vector<double> result;
    for (std::size_t row = 0; row + length <= numbers.size(); row += length) {
        const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(row);
        const auto largest = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(length));
        result.push_back(static_cast<double>(largest - begin));
    }
    return result;
}

}  // namespace

ParsedAnswer parse_answer(std::string_view body) {
    ParsedAnswer parsed{.value = json(json::value_t::discarded)};
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

std::string why_no_object(const ParsedAnswer& parsed, std::string_view body) {
    if (!parsed.why.empty()) return "refused the answer: " + parsed.why;
    if (body.empty()) return "HTTP 200 with an empty answer";
    return is_html(body) ? "HTTP 200 with an HTML page" : "the answer is not a JSON object";
}

Result<json::json_pointer> parse_pointer(const std::string& text, std::string_view example) {
    try {
        return json::json_pointer(text);
    } catch (const json::exception&) {
        return fail(ErrorKind::invalid_config,
                    fmt::format("found '{}'; expected a JSON pointer, as in {}", printable_name(text), example));
    }
}

bool is_html(std::string_view body) {
    const std::size_t begin = body.find_first_not_of(" \t\r\n");
    return begin != std::string_view::npos && body[begin] == '<';
}

std::string error_text(std::string_view body) {
    const ParsedAnswer parsed = parse_answer(body);
    const json& value = parsed.value;
    if (value.is_string()) return plain_line(value.get_ref<const std::string&>());
    if (value.is_object()) {
        for (const char* key : {"error", "detail", "message"}) {
            const auto it = value.find(key);
            if (it == value.end()) continue;
            if (it->is_string()) return plain_line(it->get_ref<const std::string&>());
            // FastAPI's list of what is wrong with a request.
            const json& inner = it->is_array() && !it->empty() ? it->front() : *it;
            for (const char* words : {"message", "msg"})
                if (inner.is_object() && inner.contains(words) && inner[words].is_string())
                    return plain_line(inner[words].get_ref<const std::string&>());
        }
    }
    if (value.is_discarded()) return is_html(body) ? "an HTML page" : plain_line(body);
    return {};
}

std::string text_field(const json& object, const char* key) {
    const auto it = object.find(key);
    if (it == object.end() || it->is_null()) return {};
    return it->is_string() ? it->get<std::string>() : it->dump();
}

ReadyAnswer classify_error(const Error& error, bool infer) {
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

std::optional<Outcome> outcome_of_words(std::string_view text) {
    const std::string words = lower(text);
    if (contains_any(words, kLoadingWords)) return Outcome::loading;
    return says_missing(words) ? std::optional(Outcome::missing) : std::nullopt;
}

ReadyAnswer classify_status(int status, std::string_view body, bool infer) {
    std::string text = error_text(body);
    if (status == 401 || status == 403) text += text.empty() ? kNeedsKey : fmt::format(" ({})", kNeedsKey);
    return {outcome_of_status(status, lower(text), infer),
            text.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {}: {}", status, text)};
}

std::optional<ReadyAnswer> unready_answer(const Result<sys::HttpReply>& reply) {
    if (!reply) return classify_error(reply.error(), false);
    if (reply->status == 200) return std::nullopt;
    return classify_status(reply->status, reply->body, false);
}

std::optional<InferAnswer> unreadable_answer(const Result<sys::HttpReply>& reply) {
    if (reply && reply->status == 200) return std::nullopt;
    ReadyAnswer why = reply ? classify_status(reply->status, reply->body, true) : classify_error(reply.error(), true);
    return InferAnswer{.outcome = why.outcome, .detail = std::move(why.detail)};
}

void Values::read(const json& value) {  // depth is limited by tolerant_json
    switch (value.type()) {
        case json::value_t::array:
            for (const json& element : value)
                read(element);
            return;
        case json::value_t::boolean: numbers.push_back(value.get<bool>() ? 1 : 0); return;
        case json::value_t::number_integer:
        case json::value_t::number_unsigned:
        case json::value_t::number_float: add(value.get<double>()); return;
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

void Values::add(double number) {
    if (std::isfinite(number))
        numbers.push_back(number);
    else
        not_finite = true;
}

void Values::read_text(const std::string& text) {
    if (bytes) return texts.push_back(text);
    // protobuf's JSON mapping writes 64-bit integers and NaN as strings.
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size() && !text.empty())
        add(number);
    else if (text.ends_with("Infinity"))
        not_finite = true;
    else
        wrong_type = true;
}

void take_values(Values values, std::string_view name, std::size_t length, bool wants_argmax, InferAnswer& answer) {
    if (values.not_finite) {
        answer.outcome = Outcome::broken;
        answer.not_finite = true;
        answer.detail = fmt::format("{} holds NaN, Infinity or null", name);
        return;
    }
    if (values.wrong_type || (values.numbers.empty() && values.texts.empty())) {
        answer.outcome = Outcome::broken;
        answer.detail = fmt::format("{} holds {}", name, values.wrong_type ? "neither numbers nor text" : "nothing");
        return;
    }
    answer.texts = std::move(values.texts);
    answer.numbers =
        wants_argmax && !values.numbers.empty() ? argmax(values.numbers, length) : std::move(values.numbers);
}

InferAnswer broken_answer(std::string detail) { return {.outcome = Outcome::broken, .detail = std::move(detail)}; }

std::string json_quoted(std::string_view text) {
    return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace modelguard::checks
