#pragma once
// What an inference protocol is: it writes requests and classifies answers. Pure: the HTTP client does the talking.
// One file per protocol in this folder, one line in protocols.def.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/base/params.hpp"
#include "supervisor/base/result.hpp"
#include "supervisor/sys/http.hpp"

namespace modelguard::checks {

class Protocol;

struct Target {
    std::string endpoint;        ///< "http://127.0.0.1:8080", no trailing slash
    std::string server_model;    ///< the server's name for the model
    std::string served_version;  ///< expected `model_version`; empty: not checked
    const Protocol* protocol{nullptr};
};

/// No status code is portable, so each protocol classifies for itself (refs of the table: serving protocols' own
/// documents).
enum class Outcome { ok, loading, missing, broken, wrong_version, unreachable };
std::string_view to_word(Outcome);

/// One line of a canary set. `input` and `label` are JSON text as they stand in the file.
struct CanaryItem {
    std::string id;
    std::string input;
    std::string label;
    std::string reference;
    int line{0};
};

/// How `accuracy.input` and `accuracy.output` shape requests and answers.
struct InferShape {
    std::string input_name{"input-0"};
    std::string datatype{"FP32"};
    std::vector<std::int64_t> shape;  ///< of one item with its batch dimension; empty: [1, n]
    std::string output_name;          ///< empty: the first output
    bool argmax{false};
};

struct ReadyAnswer {
    Outcome outcome{Outcome::unreachable};
    std::string detail;  ///< for people, one line
};

/// When the parts of a streamed answer came, from the start of the exchange.
struct Streamed {
    Usec first{0}, last{0};  ///< the first and the last token
    std::int64_t tokens{0};  ///< at least one
};

struct InferAnswer {
    Outcome outcome{Outcome::unreachable};
    std::string detail;
    bool not_finite{false};          ///< NaN, Infinity, or null where a number belongs
    std::string model_version;       ///< as served; empty: not said
    std::vector<double> numbers;     ///< the chosen output, flat; after argmax one number
    std::vector<std::string> texts;  ///< BYTES outputs
    bool cached{false};
    std::optional<Streamed> streamed;  ///< only of an answer that came as a stream
};

class Protocol {
  public:
    virtual ~Protocol() = default;
    virtual sys::HttpRequest ready_request(const Target& target) const = 0;
    virtual ReadyAnswer classify_ready(const Target& target, const Result<sys::HttpReply>& reply) const = 0;
    /// `unique` differs between any two requests, so that no response cache answers. invalid_config: the item does not
    /// fit.
    virtual Result<sys::HttpRequest> infer_request(const Target& target, const CanaryItem& item,
                                                   const InferShape& shape, std::uint64_t unique) const = 0;
    virtual InferAnswer read_infer(const Target& target, const InferShape& shape,
                                   const Result<sys::HttpReply>& reply) const = 0;
};

struct ProtocolKind {
    std::string_view name;
    std::string_view summary;
    std::span<const ParamSpec> params;
    /// Parameters are already validated against `params`, with defaults filled in. invalid_config where they
    /// contradict.
    Result<std::shared_ptr<const Protocol>> (*make)(const ParamMap& params);
};

std::span<const ProtocolKind* const> protocols();
const ProtocolKind* find_protocol(std::string_view name);

}  // namespace modelguard::checks
