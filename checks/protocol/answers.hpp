#pragma once
// What the inference protocols over HTTP and JSON share in reading answers: JSON leniently, values strictly, errors in
// the server's own words. Internal to the protocols; brings nlohmann/json.hpp, so include it in .cpp files only.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks {

struct ParsedAnswer {
    nlohmann::json value;  ///< discarded where the body is not JSON
    bool not_finite{false};
    std::string why;  ///< where the body was refused before parsing
};
/// Parses a body; a JSON string that holds JSON (double encoding: a server that returns model_dump_json() as a value)
/// is opened once.
ParsedAnswer parse_answer(std::string_view body);

/// Why a body of HTTP 200 is no JSON object to read.
std::string why_no_object(const ParsedAnswer& parsed, std::string_view body);
/// A JSON pointer (RFC 6901) as a manifest writes it; invalid_config with an example.
Result<nlohmann::json::json_pointer> parse_pointer(const std::string& text, std::string_view example);
bool is_html(std::string_view body);
/// The server's own words: `error` (a string, or an object with `message`), `detail`, or the first line of plain text.
std::string error_text(std::string_view body);
/// A member as text: strings as they are, others as JSON; empty where it is absent or null.
std::string text_field(const nlohmann::json& object, const char* key);

/// No reply at all. timed_out is `unreachable` while asking for readiness, but `broken` for an inference: the request
/// was taken.
ReadyAnswer classify_error(const Error& error, bool infer);
/// A reply with a status other than 200. One classifier over the dialects, which agree on no status code (sources:
/// kserve errors.py, MLServer rest/utils.py, Triton http_server.cc HttpCodeFromError, OVMS http_server.cpp status map).
ReadyAnswer classify_status(int status, std::string_view body, bool infer);
/// What a server's words say whatever status they come with: loading, missing, or nothing of both.
std::optional<Outcome> outcome_of_words(std::string_view text);
/// What a ready request's reply says that is none, or has another status than 200; nullopt: its body is to be read.
std::optional<ReadyAnswer> unready_answer(const Result<sys::HttpReply>& reply);
/// What keeps an inference's reply from being read: no reply, or another status than 200. nullopt: it can be.
std::optional<InferAnswer> unreadable_answer(const Result<sys::HttpReply>& reply);

/// The numbers and texts in a value, flat; `bytes`: its strings are texts, else numbers that were written as strings.
struct Values {
    bool bytes{false};
    bool not_finite{false};
    bool wrong_type{false};
    std::vector<double> numbers;
    std::vector<std::string> texts;

    void read(const nlohmann::json& value);
    void add(double number);

  private:
    void read_text(const std::string& text);
};
/// Puts `values` (called `name` in the sentence) into the answer: broken where they hold NaN, nothing or something
/// else; with argmax the index of the largest of each `length` numbers.
void take_values(Values values, std::string_view name, std::size_t length, bool argmax, InferAnswer& answer);
InferAnswer broken_answer(std::string detail);

std::string json_quoted(std::string_view text);

}  // namespace modelguard::checks
