// The JSON of every document. Each document lists its fields once, in a `fields()` that both the writer and the reader
// walk, so that the two cannot drift apart. A reader leaves unknown fields alone: a newer daemon may say more.

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "supervisor/api/values.hpp"

namespace modelguard::api {

namespace {

using Json = nlohmann::ordered_json;  // ordered: `schema` comes first, and a person reads the keys in our order

template <class Item, class Plain>
concept Is = std::same_as<std::remove_const_t<Item>, Plain>;

template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

class Writer {
  public:
    static constexpr bool kWrites = true;

    template <class T>
    void need(const char* key, const T& value) {
        json_[key] = encode(value);
    }
    template <class T>
    void may(const char* key, const T& value) {
        json_[key] = encode(value);
    }
    /// Written only where there is something to say.
    template <class T>
    void extra(const char* key, const T& value) {
        if (value != T{}) json_[key] = encode(value);
    }

    Json take() { return std::move(json_); }

  private:
    template <class T>
    static Json encode(const T& value);

    Json json_ = Json::object();
};

/// Reads one object; the first thing wrong is kept in `error`, with its path.
class Reader {
  public:
    static constexpr bool kWrites = false;

    Reader(const Json& json, std::string path, std::string& error)
        : json_(json), path_(std::move(path)), error_(error) {}

    template <class T>
    void need(const char* key, T& value) {
        const auto found = json_.find(key);
        if (found == json_.end()) return complain(path_ + key, "is missing");
        decode(*found, path_ + key, value);
    }
    template <class T>
    void may(const char* key, T& value) {
        if (const auto found = json_.find(key); found != json_.end()) decode(*found, path_ + key, value);
    }
    template <class T>
    void extra(const char* key, T& value) {
        may(key, value);
    }

  private:
    template <class T>
    void decode(const Json& json, const std::string& where, T& value);
    void complain(const std::string& where, const char* what) {
        if (error_.empty()) error_ = where + " " + what;
    }

    const Json& json_;
    std::string path_;
    std::string& error_;
};

// ---- the documents, field by field ------------------------------------------------------------------------------

template <class A, Is<VersionRef> T>
void fields(A& a, T& v) {
    a.need("digest", v.digest);
    a.may("label", v.label);
}

template <class A, Is<core::CheckReport> T>
void fields(A& a, T& v) {
    a.need("check", v.check);
    a.may("kind", v.kind);
    a.may("required", v.required);
    a.need("verdict", v.verdict);
    a.may("code", v.code);
    a.may("text", v.text);
    a.may("measured", v.measured);
    a.may("limit", v.limit);
    a.may("baseline", v.baseline);
    a.may("unit", v.unit);
    a.may("probes", v.probes);
    a.may("took_usec", v.took);
}

template <class A, Is<ModelStatus> T>
void fields(A& a, T& v) {
    a.need("model", v.model);
    a.may("required", v.required);
    a.may("managed", v.managed);
    a.need("healthy", v.healthy);
    a.need("phase", v.phase);
    a.may("current", v.current);
    a.may("candidate", v.candidate);
    a.may("known_good", v.known_good);
    a.may("pinned", v.pinned);
    a.may("code", v.code);
    a.may("why", v.why);
    a.may("checks", v.checks);
    a.may("checked_wall_usec", v.checked_wall_usec);
    a.may("phase_left_usec", v.phase_left_usec);
    a.may("rejected_count", v.rejected_count);
    a.may("units", v.units);
    a.may("next_command", v.next_command);
}

template <class A, Is<OsStatus> T>
void fields(A& a, T& v) {
    a.need("booted", v.booted);
    a.may("default", v.default_deployment);
    a.may("staged", v.staged);
    a.may("rollback_target", v.rollback_target);
    a.may("why_no_target", v.why_no_target);
    a.may("boot_trial", v.boot_trial);
    a.may("rejected", v.rejected);
    a.may("pending_target", v.pending_target);
    a.may("pending_step", v.pending_step);
    a.may("reboot_wall_usec", v.reboot_wall_usec);
}

template <class A, Is<Status> T>
void fields(A& a, T& v) {
    a.may("version", v.version);
    a.may("boot_id", v.boot_id);
    a.need("wall_usec", v.wall_usec);
    a.may("boottime_usec", v.boottime_usec);
    a.need("healthy", v.healthy);
    a.may("boot_complete", v.boot_complete);
    a.may("os_backend", v.os_backend);
    a.may("os_booted", v.os_booted);
    a.may("os", v.os);
    a.may("notes", v.notes);
    a.need("models", v.models);
}

template <class A, Is<HistoryItem> T>
void fields(A& a, T& v) {
    a.need("number", v.number);
    a.need("wall_usec", v.wall_usec);
    if constexpr (A::kWrites) {
        a.need("kind", v.decision.kind);
    } else {
        a.need("kind", v.kind_word);
        v.decision.kind = core::from_word<core::DecisionKind>(v.kind_word).value_or(core::DecisionKind::resumed);
    }
    a.may("model", v.decision.model);
    a.may("version", v.decision.version);
    a.may("label", v.label);
    a.may("serving", v.decision.serving);
    a.may("seq", v.decision.seq);
    a.may("blame", v.decision.blame);
    a.may("code", v.decision.code);
    a.may("text", v.decision.text);
    a.may("checks", v.decision.reports);
}

template <class A, Is<History> T>
void fields(A& a, T& v) {
    a.need("items", v.items);
}

template <class A, Is<Explanation> T>
void fields(A& a, T& v) {
    a.need("model", v.model);
    a.may("lines", v.lines);
    a.need("items", v.items);
}

template <class A, Is<VersionItem> T>
void fields(A& a, T& v) {
    a.need("digest", v.digest);
    a.may("label", v.label);
    a.may("served_version", v.served_version);
    a.may("bytes", v.bytes);
    a.may("files", v.files);
    a.may("imported_wall_usec", v.imported_wall_usec);
    a.may("verified_wall_usec", v.verified_wall_usec);
    a.may("damage", v.damage);
    a.may("current", v.current);
    a.may("known_good", v.known_good);
    a.may("lkg", v.lkg);
    a.may("pinned", v.pinned);
    a.may("rejected", v.rejected);
}

template <class A, Is<Versions> T>
void fields(A& a, T& v) {
    a.need("model", v.model);
    a.need("items", v.items);
}

template <class A, Is<OperationDoc> T>
void fields(A& a, T& v) {
    a.need("id", v.id);
    a.need("kind", v.kind);
    a.may("model", v.model);
    a.may("digest", v.digest);
    a.may("label", v.label);
    a.need("status", v.status);
    a.may("code", v.code);
    a.may("text", v.text);
    a.may("phase", v.phase);
    a.may("checks", v.checks);
}

template <class A, Is<Problem> T>
void fields(A& a, T& v) {
    a.may("status", v.http_status);  // `status` and `title` are RFC 9457's own names
    a.need("kind", v.kind);
    a.need("title", v.title);
    a.extra("file", v.file);
    a.extra("line", v.line);
    a.extra("key", v.key);
}

template <class A, Is<Finding> T>
void fields(A& a, T& v) {
    a.need("severity", v.severity);
    a.may("file", v.file);
    a.may("line", v.line);
    a.may("key", v.key);
    a.need("text", v.text);
}

template <class A, Is<Validation> T>
void fields(A& a, T& v) {
    a.need("valid", v.valid);
    a.may("model", v.model);
    a.need("findings", v.findings);
}

template <class A, Is<KindField> T>
void fields(A& a, T& v) {
    a.need("name", v.name);
    a.may("type", v.type);
    a.may("unit", v.unit);
    a.may("required", v.required);
    a.may("default", v.default_text);
    a.may("help", v.help);
    a.extra("minimum", v.minimum);
    a.extra("maximum", v.maximum);
    a.extra("choices", v.choices);
}

template <class A, Is<KindDoc::Param> T>
void fields(A& a, T& v) {
    if constexpr (std::is_const_v<T>)
        fields(a, static_cast<const KindField&>(v));
    else
        fields(a, static_cast<KindField&>(v));
    a.extra("fields", v.fields);
}

template <class A, Is<KindDoc> T>
void fields(A& a, T& v) {
    a.need("category", v.category);
    a.need("name", v.name);
    a.may("summary", v.summary);
    a.may("params", v.params);
}

template <class A, Is<Kinds> T>
void fields(A& a, T& v) {
    a.need("kinds", v.kinds);
}

template <class A, Is<Gate::Reason> T>
void fields(A& a, T& v) {
    a.extra("model", v.model);
    a.extra("script", v.script);
    a.need("verdict", v.verdict);
    a.may("warning", v.warning);
    a.may("text", v.text);
}

template <class A, Is<Gate> T>
void fields(A& a, T& v) {
    a.need("boot_id", v.boot_id);
    a.need("verdict", v.verdict);
    a.may("greenboot", v.greenboot);
    a.may("boot_trial", v.boot_trial);
    a.may("boot_complete", v.boot_complete);
    a.may("reasons", v.reasons);
}

template <class A, Is<RollbackBody> T>
void fields(A& a, T& v) {
    a.need("seen_current", v.seen_current);
    a.may("to", v.to);
}

// ---- values -------------------------------------------------------------------------------------------------------

template <class T>
Json Writer::encode(const T& value) {
    if constexpr (std::is_same_v<T, Digest>) {
        return value.text;
    } else if constexpr (std::is_same_v<T, Usec>) {
        return value.count();
    } else if constexpr (std::is_enum_v<T>) {
        return to_word(value);
    } else if constexpr (kIsOptional<T>) {
        return value ? encode(*value) : Json();  // NaN and infinities become null too: JSON has no words for them
    } else if constexpr (std::is_same_v<T, VersionRef>) {
        if (value.digest.empty()) return Json();
        Writer writer;
        fields(writer, value);
        return writer.take();
    } else if constexpr (kIsVector<T>) {
        Json list = Json::array();
        for (const auto& item : value)
            list.push_back(encode(item));
        return list;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
        return value;
    } else {
        Writer writer;
        fields(writer, value);
        return writer.take();
    }
}

template <class T>
void Reader::decode(const Json& json, const std::string& where, T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
        if (!json.is_string()) return complain(where, "is not a string");
        value = json.get<std::string>();
    } else if constexpr (std::is_same_v<T, bool>) {
        if (!json.is_boolean()) return complain(where, "is not true or false");
        value = json.get<bool>();
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
        if (!json.is_number_unsigned()) return complain(where, "is not a whole number from 0 on");
        value = json.get<std::uint64_t>();
    } else if constexpr (std::is_integral_v<T>) {
        const bool fits_signed = json.is_number_integer() &&
                                 !(json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t(INT64_MAX));
        if (!fits_signed) return complain(where, "is not a whole number");
        const auto number = json.get<std::int64_t>();
        if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max())
            return complain(where, "is out of range");
        value = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, std::optional<double>>) {
        if (json.is_null()) return value.reset();
        if (!json.is_number()) return complain(where, "is not a number");
        value = json.get<double>();
    } else if constexpr (kIsOptional<T>) {
        if (json.is_null()) return value.reset();
        decode(json, where, value.emplace());
    } else if constexpr (std::is_same_v<T, Digest>) {
        decode(json, where, value.text);
    } else if constexpr (std::is_same_v<T, Usec>) {
        std::int64_t usec = 0;
        decode(json, where, usec);
        value = Usec{usec};
    } else if constexpr (std::is_enum_v<T>) {
        std::string word;
        decode(json, where, word);
        // A word of a newer release: the neutral value (inconclusive, no blame) rather than a refusal of the whole
        // document.
        if constexpr (std::is_same_v<T, core::VerdictKind>)
            value = core::from_word<T>(word).value_or(core::VerdictKind::inconclusive);
        else
            value = core::from_word<T>(word).value_or(T{});
    } else if constexpr (kIsVector<T>) {
        if (!json.is_array()) return complain(where, "is not a list");
        value.clear();
        for (const Json& item : json) {
            const std::string place = where + "[" + std::to_string(value.size()) + "]";
            decode(item, place, value.emplace_back());
        }
    } else {
        if constexpr (std::is_same_v<T, VersionRef>) {
            if (json.is_null()) {
                value = {};
                return;
            }
        }
        if (!json.is_object()) return complain(where, "is not an object");
        Reader reader(json, where + ".", error_);
        fields(reader, value);
    }
}

template <class T>
std::string write_document(const char* schema, const T& value) {
    Writer writer;
    writer.need("schema", std::string(schema));
    fields(writer, value);
    // `replace`: a log line of somebody's script may hold any bytes, and a document must still come out.
    return writer.take().dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class T>
Result<T> read_document(std::string_view schema, std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    const auto bad = [&](const std::string& why) {
        return fail(ErrorKind::malformed_reply, std::string(schema) + ": " + why);
    };
    if (json.is_discarded()) return bad("not JSON");
    if (!json.is_object()) return bad("not a JSON object");
    std::string error, found_schema;
    T value;
    Reader reader(json, "", error);
    reader.need("schema", found_schema);
    if (error.empty() && found_schema != schema) error = "schema is \"" + found_schema.substr(0, 80) + "\"";
    if (error.empty()) fields(reader, value);
    if (!error.empty()) return bad(error);
    return value;
}

}  // namespace

// One pair for each document.
#define MG_DOCUMENT(Type, reader_name, schema)                                       \
    std::string to_json(const Type& value) { return write_document(schema, value); } \
    Result<Type> reader_name(std::string_view json) { return read_document<Type>(schema, json); }

MG_DOCUMENT(Status, status_from_json, "modelguard.status/1")
MG_DOCUMENT(History, history_from_json, "modelguard.history/1")
MG_DOCUMENT(Explanation, explanation_from_json, "modelguard.explanation/1")
MG_DOCUMENT(Versions, versions_from_json, "modelguard.versions/1")
MG_DOCUMENT(OperationDoc, operation_from_json, "modelguard.operation/1")
MG_DOCUMENT(Problem, problem_from_json, "modelguard.problem/1")
MG_DOCUMENT(Validation, validation_from_json, "modelguard.validation/1")
MG_DOCUMENT(Kinds, kinds_from_json, "modelguard.kinds/1")
MG_DOCUMENT(Gate, gate_from_json, "modelguard.gate/1")
MG_DOCUMENT(RollbackBody, rollback_body_from_json, "modelguard.rollback/1")
#undef MG_DOCUMENT

int http_status(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_config: return 400;
        case ErrorKind::unavailable: return 503;
        case ErrorKind::timed_out: return 504;
        case ErrorKind::denied: return 403;
        case ErrorKind::not_found: return 404;
        case ErrorKind::conflict: return 409;
        case ErrorKind::malformed_reply: return 502;
        case ErrorKind::io: return 500;
        case ErrorKind::unsupported: return 501;
        case ErrorKind::internal: return 500;
    }
    return 500;
}

}  // namespace modelguard::api
