// The OpenAI-compatible API: chat, completions and embeddings of vLLM, llama.cpp, MLC-LLM, OpenVINO Model Server (/v3)
// and KServe (/openai/v1). Source: the OpenAI API reference, and each server's own error bodies.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/event_stream.hpp"
#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_openai;

namespace {

using nlohmann::json;

constexpr std::size_t kMaxAnswer = 16u << 20;
/// A token an event, and a few besides: max_tokens is 100,000 at most, and each event takes microseconds to read.
constexpr int kMaxEvents = 110'000;

/// One of the three APIs: its path, where the answer stands, and where a piece of it stands in an event of a stream.
struct Api {
    std::string_view name, path;
    const char* answer;     // JSON pointer
    const char* piece;      // JSON pointer; empty: it is not streamed
    const char* reasoning;  // what a reasoning model says before: time, but no part of the answer
};
constexpr std::array kApis{
    Api{"chat", "/chat/completions", "/choices/0/message/content", "/choices/0/delta/content",
        "/choices/0/delta/reasoning_content"},
    Api{"completions", "/completions", "/choices/0/text", "/choices/0/text", ""},
    Api{"embeddings", "/embeddings", "/data/0/embedding", "", ""},
};
constexpr std::string_view kApiNames[] = {"chat", "completions", "embeddings"};

constexpr std::array kParams{
    ParamSpec{.name = "api", .default_text = "chat", .help = "What the model is asked for.", .choices = kApiNames},
    ParamSpec{.name = "prefix", .default_text = "/v1", .help = "Where the API begins: /v1, /v3 or /openai/v1."},
    ParamSpec{.name = "max_tokens",
              .type = ParamType::integer,
              .unit = "tokens",
              .default_text = "16",
              .help = "The longest answer that is asked for.",
              .minimum = 1,
              .maximum = 100'000},
    ParamSpec{.name = "cache_salt",
              .type = ParamType::boolean,
              .default_text = "false",
              .help = "Whether each request carries another cache_salt, which vLLM's prefix cache respects."},
    ParamSpec{.name = "stream",
              .type = ParamType::boolean,
              .default_text = "false",
              .help = "Whether the answer is asked for token by token, so that `latency` can tell when the first one "
                      "came and how long each took."},
};

struct OpenAiParams {
    const Api* api{nullptr};
    std::string prefix;
    std::int64_t max_tokens{16};
    bool cache_salt{false};
    bool stream{false};
};

bool is_failure(const json& value) { return value.is_object() && value.contains("error") && !value["error"].is_null(); }

/// What a stream has brought so far.
struct Pieces {
    std::string text;
    bool finished{false};  ///< a finish_reason, or [DONE]
    std::int64_t pieces{0};
    std::int64_t counted{0};  ///< tokens as the server counts them; 0: it does not
    std::size_t first{0}, last{0};

    void take(const json& event, const Api& api, std::size_t end) {
        const auto said = [&](const char* pointer) -> const std::string* {
            const json::json_pointer where(pointer);
            if (*pointer == '\0' || !event.contains(where) || !event.at(where).is_string()) return nullptr;
            const auto& piece = event.at(where).get_ref<const std::string&>();
            return piece.empty() ? nullptr : &piece;
        };
        const std::string* piece = said(api.piece);
        if (piece != nullptr) text += *piece;
        if (piece != nullptr || said(api.reasoning) != nullptr) {
            if (pieces++ == 0) first = end;
            last = end;
        }
        static const json::json_pointer kFinish("/choices/0/finish_reason");
        finished = finished || (event.contains(kFinish) && event.at(kFinish).is_string());
        static const json::json_pointer kTokens("/usage/completion_tokens");
        if (event.contains(kTokens) && event.at(kTokens).is_number_unsigned())
            counted = event.at(kTokens).get<std::int64_t>();
    }
};

class OpenAi final : public Protocol {
  public:
    explicit OpenAi(OpenAiParams params) : params_(std::move(params)) {}

    sys::HttpRequest ready_request(const Target& target) const override {
        return {.url = target.endpoint + params_.prefix + "/models",
                .headers = {"Accept: application/json"},
                .max_body = kMaxAnswer};
    }

    ReadyAnswer classify_ready(const Target& target, const Result<sys::HttpReply>& reply) const override {
        if (auto unready = unready_answer(reply)) return *std::move(unready);
        const ParsedAnswer parsed = parse_answer(reply->body);
        const json models = parsed.value.is_object() ? parsed.value.value("data", json()) : json();
        if (!models.is_array()) return {Outcome::broken, "HTTP 200 without a list of models: not an OpenAI server"};
        std::string names;
        for (const json& model : models) {
            if (!model.is_object()) continue;
            const std::string id = text_field(model, "id");
            if (id == target.server_model) return {Outcome::ok, "the model is listed"};
            if (names.size() < 120) names += (names.empty() ? "" : ", ") + plain_line(id, 60);
        }
        return {Outcome::missing,
                fmt::format("no model {} (there is: {})", target.server_model, names.empty() ? "none" : names)};
    }

    Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item, const InferShape&,
                                           std::uint64_t unique) const override {
        std::string storage;
        bool not_finite = false;
        if (const auto fits = tolerant_json(item.input, storage, not_finite); !fits)
            return fail(ErrorKind::invalid_config, fmt::format("item {}: {}", item.id, fits.error().what));
        const json input = json::parse(item.input, nullptr, /*allow_exceptions=*/false);
        json body{{"model", target.server_model}};
        if (params_.api->name != "embeddings") {
            body["temperature"] = 0;
            body["seed"] = 1;
            body["max_tokens"] = params_.max_tokens;
            body["stream"] = params_.stream;
        }
        if (params_.cache_salt) body["cache_salt"] = fmt::format("mg-{:016x}", unique);
        if (input.is_object())
            body.update(input);  // the whole request as the item wants it
        else if (!put_input(body, input))
            return fail(
                ErrorKind::invalid_config,
                fmt::format("item {}: the input is neither text, nor {}, nor an object of request fields", item.id,
                            params_.api->name == "chat" ? "an array of messages" : "an array of texts"));
        sys::HttpRequest request{.method = "POST",
                                 .url = target.endpoint + params_.prefix + std::string(params_.api->path)};
        request.headers = {"Content-Type: application/json", "Accept: application/json"};
        request.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
        request.max_body = kMaxAnswer;
        request.timed = params_.stream;
        return request;
    }

    InferAnswer read_infer(const Target&, const InferShape& shape, const Result<sys::HttpReply>& reply) const override {
        if (auto unreadable = unreadable_answer(reply)) return *std::move(unreadable);
        if (params_.stream) return read_stream(*reply);
        const ParsedAnswer parsed = parse_answer(reply->body);
        if (!parsed.value.is_object()) return broken_answer(why_no_object(parsed, reply->body));
        if (is_failure(parsed.value)) return broken_answer("HTTP 200 with an error: " + error_text(reply->body));
        const json::json_pointer where(params_.api->answer);
        if (!parsed.value.contains(where))
            return broken_answer(fmt::format("the answer has no {}", params_.api->answer));
        const json& found = parsed.value.at(where);
        Values values{.bytes = params_.api->name != "embeddings"};
        values.read(found);
        InferAnswer answer{.outcome = Outcome::ok};
        const std::size_t length = values.numbers.size();
        take_values(std::move(values), "the answer", length, shape.argmax, answer);
        return answer;
    }

  private:
    InferAnswer read_stream(const sys::HttpReply& reply) const {
        EventStream events(reply.body);
        Pieces pieces;
        for (int count = 0; const auto event = events.next(); ++count) {
            if (count >= kMaxEvents) return broken_answer("a stream without end: more than 110,000 events");
            if (event->payload == "[DONE]") {
                pieces.finished = true;
                break;
            }
            const ParsedAnswer parsed = parse_answer(event->payload);
            if (!parsed.value.is_object()) return broken_answer(why_no_object(parsed, event->payload));
            if (is_failure(parsed.value)) return broken_answer("an error in the stream: " + error_text(event->payload));
            pieces.take(parsed.value, *params_.api, event->end);
        }
        if (!pieces.finished)
            return broken_answer(pieces.pieces == 0
                                     ? "the answer is no stream of events: " + plain_line(reply.body, 80)
                                     : fmt::format("the stream broke off after {} pieces", pieces.pieces));
        if (pieces.pieces == 0) return broken_answer("the stream ended without a word");
        InferAnswer answer{.outcome = Outcome::ok, .texts = {std::move(pieces.text)}};
        answer.streamed = Streamed{.first = arrival_of(reply, pieces.first),
                                   .last = arrival_of(reply, pieces.last),
                                   .tokens = std::max(pieces.pieces, pieces.counted)};
        return answer;
    }

    bool put_input(json& body, const json& input) const {
        if (params_.api->name == "chat") {
            if (input.is_string())
                body["messages"] = json::array({{{"role", "user"}, {"content", input}}});
            else if (input.is_array() && !input.empty() && input.front().is_object())
                body["messages"] = input;
            else
                return false;
            return true;
        }
        const bool texts = input.is_string() || (input.is_array() && !input.empty());
        body[params_.api->name == "embeddings" ? "input" : "prompt"] = input;
        return texts;
    }

    OpenAiParams params_;
};

Result<std::shared_ptr<const Protocol>> make(const ParamMap& params) {
    OpenAiParams compiled{.api = std::ranges::find(kApis, text_param(params, "api"), &Api::name),
                          .prefix = text_param(params, "prefix"),
                          .max_tokens = integer_param(params, "max_tokens"),
                          .cache_salt = boolean_param(params, "cache_salt"),
                          .stream = boolean_param(params, "stream")};
    MG_ASSERT(compiled.api != kApis.end());  // the table has only these choices
    if (compiled.stream && *compiled.api->piece == '\0')
        return fail(ErrorKind::invalid_config, "stream: embeddings come as a whole; expected api chat or completions");
    if (compiled.prefix.ends_with('/')) compiled.prefix.pop_back();
    if (!compiled.prefix.empty() &&
        (!compiled.prefix.starts_with('/') || compiled.prefix.find_first_of(" \r\n#?") != std::string::npos))
        return fail(ErrorKind::invalid_config,
                    fmt::format("prefix: found '{}'; expected a path, as in /v1", printable_name(compiled.prefix)));
    return std::make_shared<OpenAi>(std::move(compiled));
}

}  // namespace

const ProtocolKind kProtocolKind_openai{
    .name = "openai",
    .summary = "The OpenAI-compatible API: chat, completions and embeddings of vLLM, llama.cpp, OVMS, KServe",
    .params = kParams,
    .make = make,
};

}  // namespace modelguard::checks
