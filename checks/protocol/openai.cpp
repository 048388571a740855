// The OpenAI-compatible API: chat, completions and embeddings of vLLM, llama.cpp, MLC-LLM, OpenVINO Model Server (/v3)
// and KServe (/openai/v1). Source: the OpenAI API reference, and each server's own error bodies.

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/tolerant_json.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const ProtocolKind kProtocolKind_openai;

namespace {

using nlohmann::json;

constexpr std::size_t kMaxAnswer = 16u << 20;

/// One of the three APIs: its path, where the input goes, where the answer stands.
struct Api {
    std::string_view name, path;
    const char* answer;  // JSON pointer
};
constexpr std::array kApis{
    Api{"chat", "/chat/completions", "/choices/0/message/content"},
    Api{"completions", "/completions", "/choices/0/text"},
    Api{"embeddings", "/embeddings", "/data/0/embedding"},
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
};

struct OpenAiParams {
    const Api* api{nullptr};
    std::string prefix;
    std::int64_t max_tokens{16};
    bool cache_salt{false};
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
            body["stream"] = false;
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
        return request;
    }

    InferAnswer read_infer(const Target&, const InferShape& shape, const Result<sys::HttpReply>& reply) const override {
        if (auto unreadable = unreadable_answer(reply)) return *std::move(unreadable);
        const ParsedAnswer parsed = parse_answer(reply->body);
        if (!parsed.value.is_object()) return broken_answer(why_no_object(parsed, reply->body));
        if (parsed.value.contains("error") && !parsed.value["error"].is_null())
            return broken_answer("HTTP 200 with an error: " + error_text(reply->body));
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
                          .cache_salt = boolean_param(params, "cache_salt")};
    MG_ASSERT(compiled.api != kApis.end());  // the table has only these choices
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
