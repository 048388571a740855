// What modelguard makes of each model server in each state that a model can be in: the answers are those of
// tests/support/dialect_server.py, asked by the real protocols and judged by the real checks. Prints the table.

#include <fmt/format.h>

#include <chrono>

#include "checks/canary.hpp"
#include "tests/checks/bench_server.hpp"
#include "tests/checks/protocol/asking.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;
using std::chrono::milliseconds;

/// How a manifest would name one server, and what a canary item looks like for it.
struct Server {
    const char* name;
    const char* protocol;
    ParamMap params;
    const char* item{R"({"id": "a", "input": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "label": 3})"};
};

struct Row {
    const char* server;
    const char* state;
    Outcome ready;         ///< what the ready endpoint says
    Outcome infer;         ///< what one inference says
    const char* lasting;   ///< the check `ready` where it stays so for longer than ready_within: "pass", or the code
    const char* accuracy;  ///< the check `accuracy`; "" where it is not asked
};

constexpr auto ok = Outcome::ok;
constexpr auto loading = Outcome::loading;
constexpr auto missing = Outcome::missing;
constexpr auto broken = Outcome::broken;
constexpr auto wrong = Outcome::wrong_version;

constexpr const char* kSentence = R"({"id": "a", "input": "Repeat after me: three", "label": "three"})";

const Server& find_server(const std::string& name) {
    static const Server kServers[] = {
        {.name = "oip", .protocol = "oip", .params = {}},
        {.name = "kserve", .protocol = "oip", .params = {}},
        {.name = "mlserver", .protocol = "oip", .params = {}},
        {.name = "mlserver_unversioned", .protocol = "oip", .params = {}},
        {.name = "triton", .protocol = "oip", .params = {}},
        {.name = "triton_strict", .protocol = "oip", .params = {}},
        {.name = "ovms", .protocol = "oip", .params = {}},
        {.name = "tfserving", .protocol = "v1", .params = {}},
        {.name = "kserve_v1", .protocol = "v1", .params = {}},
        {.name = "torchserve",
         .protocol = "http_json",
         .params = {{"path", text("/predictions/digits")},
                    {"answer", text("/class")},
                    {"body", text(R"({"data": {input}})")},
                    {"ready", text("/ping")}}},
        {.name = "vllm", .protocol = "openai", .params = {}, .item = kSentence},
        {.name = "llamacpp", .protocol = "openai", .params = {}, .item = kSentence},
        {.name = "llamacpp_2025", .protocol = "openai", .params = {}, .item = kSentence},
        {.name = "mlc", .protocol = "openai", .params = {}, .item = kSentence},
        {.name = "ovms_openai", .protocol = "openai", .params = {{"prefix", text("/v3")}}, .item = kSentence},
        {.name = "kserve_openai", .protocol = "openai", .params = {{"prefix", text("/openai/v1")}}, .item = kSentence},
    };
    for (const Server& server : kServers)
        if (server.name == name) return server;
    ADD_FAILURE() << "no server " << name;
    std::abort();
}

const Row kRows[] = {
    {"oip", "ready", ok, ok, "pass", "pass"},
    {"oip", "loading", loading, loading, "not_ready", "loading"},
    {"oip", "missing", missing, missing, "missing", "missing"},
    {"oip", "broken", ok, broken, "broken", "errors"},
    {"oip", "wrong_version", ok, wrong, "wrong_version", "wrong_version"},
    {"oip", "nan", ok, broken, "not_finite", "not_finite"},
    {"kserve", "ready", ok, ok, "pass", "pass"},
    {"kserve", "loading", loading, loading, "not_ready", "loading"},
    {"kserve", "missing", missing, missing, "missing", "missing"},
    {"kserve", "not_loadable", loading, loading, "not_ready", "loading"},
    {"kserve", "broken", ok, broken, "broken", "errors"},
    {"kserve", "wrong_version", ok, ok, "pass", "pass"},
    {"kserve", "nan", ok, broken, "not_finite", "not_finite"},
    {"mlserver", "ready", ok, ok, "pass", "pass"},
    {"mlserver", "loading", loading, loading, "not_ready", "loading"},
    {"mlserver", "missing", missing, missing, "missing", "missing"},
    {"mlserver", "not_loadable", missing, missing, "missing", "missing"},
    {"mlserver", "broken", ok, broken, "broken", "errors"},
    {"mlserver", "wrong_version", ok, wrong, "wrong_version", "wrong_version"},
    {"mlserver", "nan", ok, broken, "not_finite", "not_finite"},
    {"mlserver_unversioned", "ready", ok, ok, "pass", "pass"},
    {"mlserver_unversioned", "loading", loading, loading, "not_ready", "loading"},
    {"mlserver_unversioned", "missing", missing, missing, "missing", "missing"},
    {"mlserver_unversioned", "not_loadable", missing, missing, "missing", "missing"},
    {"mlserver_unversioned", "broken", ok, broken, "broken", "errors"},
    {"mlserver_unversioned", "wrong_version", ok, ok, "pass", "pass"},
    {"mlserver_unversioned", "nan", ok, broken, "not_finite", "not_finite"},
    {"triton", "ready", ok, ok, "pass", "pass"},
    {"triton", "loading", loading, loading, "not_ready", "loading"},
    {"triton", "missing", missing, missing, "missing", "missing"},
    {"triton", "not_loadable", loading, loading, "not_ready", "loading"},
    {"triton", "broken", ok, broken, "broken", "errors"},
    {"triton", "wrong_version", ok, wrong, "wrong_version", "wrong_version"},
    {"triton", "nan", ok, broken, "not_finite", "not_finite"},
    {"triton_strict", "ready", ok, ok, "pass", "pass"},
    {"triton_strict", "loading", loading, loading, "not_ready", "loading"},
    {"triton_strict", "missing", missing, missing, "missing", "missing"},
    {"triton_strict", "not_loadable", loading, loading, "not_ready", "loading"},
    {"triton_strict", "broken", ok, broken, "broken", "errors"},
    {"triton_strict", "wrong_version", ok, wrong, "wrong_version", "wrong_version"},
    {"triton_strict", "nan", ok, broken, "not_finite", "not_finite"},
    {"ovms", "ready", ok, ok, "pass", "pass"},
    {"ovms", "loading", loading, loading, "not_ready", "loading"},
    {"ovms", "missing", missing, missing, "missing", "missing"},
    {"ovms", "not_loadable", loading, loading, "not_ready", "loading"},
    {"ovms", "broken", ok, broken, "broken", "errors"},
    {"ovms", "wrong_version", ok, wrong, "wrong_version", "wrong_version"},
    {"ovms", "nan", ok, broken, "not_finite", "not_finite"},
    {"tfserving", "ready", ok, ok, "pass", "pass"},
    {"tfserving", "loading", loading, missing, "not_ready", "missing"},
    {"tfserving", "missing", missing, missing, "missing", "missing"},
    {"tfserving", "not_loadable", broken, missing, "broken", "missing"},
    {"tfserving", "broken", ok, broken, "broken", "errors"},
    {"tfserving", "wrong_version", wrong, ok, "wrong_version", "pass"},
    {"tfserving", "nan", ok, broken, "not_finite", "not_finite"},
    {"kserve_v1", "ready", ok, ok, "pass", "pass"},
    {"kserve_v1", "loading", loading, loading, "not_ready", "loading"},
    {"kserve_v1", "missing", missing, missing, "missing", "missing"},
    {"kserve_v1", "not_loadable", loading, loading, "not_ready", "loading"},
    {"kserve_v1", "broken", ok, broken, "broken", "errors"},
    {"kserve_v1", "wrong_version", ok, ok, "pass", "pass"},
    {"kserve_v1", "nan", ok, broken, "not_finite", "not_finite"},
    {"torchserve", "ready", ok, ok, "pass", "pass"},
    {"torchserve", "loading", ok, loading, "not_ready", "loading"},
    {"torchserve", "missing", ok, missing, "missing", "missing"},
    {"torchserve", "not_loadable", ok, loading, "not_ready", "loading"},
    {"torchserve", "broken", broken, broken, "broken", "errors"},
    {"torchserve", "wrong_version", ok, ok, "pass", "pass"},
    {"torchserve", "nan", ok, broken, "not_finite", "not_finite"},
    {"vllm", "ready", ok, ok, "pass", "pass"},
    {"vllm", "missing", missing, missing, "missing", "missing"},
    {"vllm", "broken", ok, broken, "broken", "errors"},
    {"vllm", "hung", ok, broken, "not_ready", ""},
    {"llamacpp", "ready", ok, ok, "pass", "pass"},
    {"llamacpp", "loading", loading, loading, "not_ready", "loading"},
    {"llamacpp_2025", "loading", ok, loading, "not_ready", "loading"},
    {"llamacpp", "missing", missing, missing, "missing", "missing"},
    {"llamacpp", "broken", ok, broken, "broken", "errors"},
    {"mlc", "ready", ok, ok, "pass", "pass"},
    {"mlc", "missing", missing, missing, "missing", "missing"},
    {"mlc", "broken", ok, broken, "broken", "errors"},
    {"ovms_openai", "ready", ok, ok, "pass", "pass"},
    {"ovms_openai", "loading", missing, loading, "missing", "loading"},
    {"ovms_openai", "missing", missing, missing, "missing", "missing"},
    {"ovms_openai", "broken", ok, broken, "broken", "errors"},
    {"kserve_openai", "ready", ok, ok, "pass", "pass"},
    {"kserve_openai", "missing", missing, missing, "missing", "missing"},
    {"kserve_openai", "broken", ok, broken, "broken", "errors"},
};

class Dialects : public CheckTest {
  protected:
    static constexpr Usec kShort = milliseconds(120);

    void take(const Server& server) {
        const Asking asking(server.protocol, server.params);
        ASSERT_NE(asking.protocol, nullptr) << asking.refusal;
        protocol_ = asking.protocol;
        context_->target.protocol = protocol_.get();
        context_->target.served_version = "2";
        write_file("canary/set.jsonl", std::string(server.item) + "\n");
        item_ = *load_first_item(version_dir_, "canary/set.jsonl");
    }

    Result<sys::HttpReply> ask(sys::HttpRequest request) {
        std::optional<Result<sys::HttpReply>> answer;
        request.timeout = std::chrono::seconds(1);
        const auto transfer =
            http_->send(std::move(request), [&](Result<sys::HttpReply> reply) { answer = std::move(reply); });
        turn_until([&] { return answer.has_value(); });
        return std::move(*answer);
    }

    ReadyAnswer ask_ready() {
        return protocol_->classify_ready(context_->target, ask(protocol_->ready_request(context_->target)));
    }

    InferAnswer ask_inference() {
        auto request = protocol_->infer_request(context_->target, item_, {}, 7);
        if (!request) {
            ADD_FAILURE() << request.error().what;
            return {};
        }
        return protocol_->read_infer(context_->target, {}, ask(std::move(*request)));
    }

    void put(const char* server, const char* state, const std::string& more = "") {
        control(fmt::format(R"({{"server": "{}", "state": "{}"{}}})", server, state, more));
    }

    CheckOutcome judge_ready(Usec within) {
        context_->ready_within = within;
        return run("ready", {{"canary", text("canary/set.jsonl")}});
    }

    std::shared_ptr<const Protocol> protocol_;
    CanaryItem item_;
};

std::string word_of(const CheckOutcome& outcome) {
    return outcome.verdict == VerdictKind::pass ? "pass" : outcome.code;
}

TEST_F(Dialects, end_in_these_outcomes) {
    fmt::print("{:<21}{:<15}{:<15}{:<15}{:<15}{}\n", "server", "state", "ready says", "infers", "it stays so",
               "accuracy");
    for (const Row& row : kRows) {
        SCOPED_TRACE(fmt::format("{} {}", row.server, row.state));
        take(find_server(row.server));
        put(row.server, row.state);
        const ReadyAnswer ready = ask_ready();
        const InferAnswer inferred = ask_inference();
        const CheckOutcome lasting = judge_ready(kShort);
        EXPECT_EQ(to_word(ready.outcome), to_word(row.ready)) << ready.detail;
        EXPECT_EQ(to_word(inferred.outcome), to_word(row.infer)) << inferred.detail;
        EXPECT_EQ(word_of(lasting), row.lasting) << lasting.text;
        std::string accuracy;
        if (*row.accuracy != '\0') {
            const CheckOutcome judged =
                run("accuracy", {{"canary", text("canary/set.jsonl")}, {"min", number(0.9)}, {"score", text("top1")}});
            accuracy = word_of(judged);
            EXPECT_EQ(accuracy, row.accuracy) << judged.text;
            EXPECT_EQ(judged.verdict == VerdictKind::inconclusive, row.infer == loading || row.infer == missing);
        }
        EXPECT_EQ(counted("versioned"), 0) << "no version path is portable: the KServe SDK answers 501";
        fmt::print("{:<21}{:<15}{:<15}{:<15}{:<15}{}\n", row.server, row.state, to_word(ready.outcome),
                   to_word(inferred.outcome), word_of(lasting), accuracy);
    }
}

TEST_F(Dialects, what_may_still_come_is_waited_for) {
    for (const Row& row : kRows) {
        const bool neutral = row.infer == loading || row.infer == missing;
        if (!neutral || row.ready == broken) continue;  // what has failed to load does not come
        SCOPED_TRACE(fmt::format("{} {}", row.server, row.state));
        take(find_server(row.server));
        put(row.server, row.state, R"(, "count": 4)");
        const CheckOutcome outcome = judge_ready(std::chrono::seconds(20));
        EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
        EXPECT_GE(outcome.probes, 4);
    }
}

class StreamedLatency : public Dialects {
  protected:
    void SetUp() override {
        Dialects::SetUp();
        protocol_ = Asking("openai", {{"stream", {.value = true}}}).protocol;
        context_->target.protocol = protocol_.get();
        write_file("canary/set.jsonl", std::string(kSentence) + "\n");
    }
    CheckOutcome measure(const char* of) {
        return run("latency", {{"canary", text("canary/set.jsonl")},
                               {"of", text(of)},
                               {"percentile", number(50)},
                               {"samples", integer(5)},
                               {"max", duration(std::chrono::seconds(20))}});
    }
};

TEST_F(StreamedLatency, tells_the_first_token_and_the_time_per_token_from_the_whole) {
    control(R"({"server": "vllm", "stream": {"first_ms": 60, "token_ms": 10, "tokens": 5}})");

    const CheckOutcome first = measure("first_token");
    const CheckOutcome each = measure("per_token");
    const CheckOutcome total = measure("total");

    ASSERT_EQ(first.verdict, VerdictKind::pass) << first.text;
    EXPECT_GE(*first.measured, 60);
    EXPECT_GE(*total.measured, 100) << "4 pauses of 10 ms after the first token";
    EXPECT_GE(*each.measured, 10);
    EXPECT_LT(*each.measured, *first.measured);
    EXPECT_NE(first.text.find("to the first token"), std::string::npos) << first.text;
    EXPECT_NE(each.text.find("tokens/s)"), std::string::npos) << each.text;
}

TEST_F(StreamedLatency, a_stream_that_breaks_off_or_fails_is_an_error) {
    for (const char* end : {"cut", "error"}) {
        control(fmt::format(R"({{"server": "vllm", "stream": {{"end": "{}"}}}})", end));
        EXPECT_EQ(measure("first_token").code, "errors") << end;
    }
}

TEST_F(StreamedLatency, is_not_measured_where_nothing_was_streamed) {
    control(R"({"server": "vllm", "stream": {"tokens": 1}})");
    EXPECT_EQ(measure("per_token").code, "not_measured");
    protocol_ = Asking("openai").protocol;
    context_->target.protocol = protocol_.get();
    const CheckOutcome outcome = measure("first_token");
    EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(outcome.code, "not_measured");
    EXPECT_NE(outcome.text.find("stream: true"), std::string::npos) << outcome.text;
}

/// vLLM and MLC-LLM listen only once the model is loaded; so does every server that is being restarted.
TEST_F(Dialects, nobody_listening_yet_is_waited_for) {
    for (const char* name : {"vllm", "mlc", "oip"}) {
        SCOPED_TRACE(name);
        take(find_server(name));
        put(name, "unreachable", R"(, "ms": 250)");
        EXPECT_EQ(to_word(ask_ready().outcome), "unreachable");
        const CheckOutcome outcome = judge_ready(std::chrono::seconds(20));
        EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
        EXPECT_GE(outcome.probes, 3);
    }
}

}  // namespace
}  // namespace modelguard::checks::test
