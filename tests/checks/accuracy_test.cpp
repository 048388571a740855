#include <nlohmann/json.hpp>

#include "tests/checks/bench_server.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class Accuracy : public CheckTest {
  protected:
    static ParamMap params() {
        return {{"canary", text("canary/digits.jsonl")}, {"min", number(0.9)}, {"max_drop", number(0.01)}};
    }
    static ParamMap params_with(const std::string& name, ParamValue value) {
        ParamMap result = params();
        result.insert_or_assign(name, std::move(value));
        return result;
    }
    CheckOutcome run_in_mode(const std::string& mode) {
        control(R"({"mode": ")" + mode + R"("})");
        return run("accuracy", params());
    }
};

TEST_F(Accuracy, of_a_good_model_passes_with_its_numbers) {
    write_canary(40);
    const CheckOutcome outcome = run("accuracy", params());
    EXPECT_EQ(outcome.verdict, VerdictKind::pass);
    EXPECT_EQ(outcome.code, "ok");
    EXPECT_EQ(outcome.text, "top1 accuracy 1.000 on 40 items (min 0.900)");
    EXPECT_EQ(outcome.measured, 1.0);
    EXPECT_EQ(outcome.limit, 0.9);
    EXPECT_FALSE(outcome.baseline.has_value());
    EXPECT_EQ(outcome.unit, "share");
    EXPECT_EQ(outcome.probes, 40);
}

TEST_F(Accuracy, asks_one_at_a_time_on_one_connection_with_ids_of_its_own) {
    write_canary(30);
    run("accuracy", params());
    EXPECT_EQ(counted("infer"), 30);
    EXPECT_EQ(counted("ids"), 30);
    EXPECT_EQ(counted("in_flight_max"), 1);
    control(R"({"mode": "ok"})");
    run("accuracy", params());
    EXPECT_EQ(counted("connections"), 1) << "the kept connection and nothing but the one that counts";
}

TEST_F(Accuracy, below_the_minimum_fails) {
    write_canary(20);
    control(R"({"mode": "wrong_label", "every": 5})");
    const CheckOutcome outcome = run("accuracy", params());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "below_min");
    EXPECT_EQ(outcome.text, "top1 accuracy 0.800 on 20 items (min 0.900 not reached)");
    EXPECT_DOUBLE_EQ(outcome.measured.value_or(0), 0.8);
}

TEST_F(Accuracy, exactly_at_the_minimum_passes) {
    write_canary(30);
    control(R"({"mode": "wrong_label", "every": 10})");
    EXPECT_EQ(run("accuracy", params()).code, "ok");
}

TEST_F(Accuracy, dropped_against_the_lkg_fails_above_the_minimum) {
    write_canary(40);
    const std::string lkg = run("accuracy", params()).measurement;
    context_->baseline = &lkg;
    control(R"({"mode": "wrong_label", "every": 20})");

    const CheckOutcome outcome = run("accuracy", params());

    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "dropped");
    EXPECT_EQ(outcome.text, "top1 accuracy 0.950 on 40 items (min 0.900, LKG 1.000, drop 0.050 > 0.010)");
    EXPECT_EQ(outcome.baseline, 1.0);
}

TEST_F(Accuracy, within_the_allowed_drop_passes) {
    write_canary(40);
    const std::string lkg = run("accuracy", params()).measurement;
    context_->baseline = &lkg;
    control(R"({"mode": "wrong_label", "every": 20})");
    const CheckOutcome outcome = run("accuracy", params_with("max_drop", number(0.05)));
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
}

TEST_F(Accuracy, compares_only_items_that_both_answered) {
    write_canary(20);
    const std::string lkg = R"({"scores": {"item-0": 1, "item-1": 1, "gone": 1}})";
    context_->baseline = &lkg;
    control(R"({"mode": "wrong_label", "count": 1})");
    const CheckOutcome outcome = run("accuracy", params());
    EXPECT_EQ(outcome.code, "dropped");
    EXPECT_NE(outcome.text.find("LKG 1.000 on 2 items in common, drop 0.500 > 0.010"), std::string::npos)
        << outcome.text;
}

TEST_F(Accuracy, without_common_items_says_so_and_uses_the_minimum_alone) {
    write_canary(20);
    for (const std::string lkg : {R"({"scores": {"gone": 1}})"}) {
        context_->baseline = &lkg;
        const CheckOutcome outcome = run("accuracy", params());
        EXPECT_EQ(outcome.verdict, VerdictKind::pass);
        EXPECT_NE(outcome.text.find("no item in common"), std::string::npos) << outcome.text;
        EXPECT_FALSE(outcome.baseline.has_value());
    }
}

TEST_F(Accuracy, a_measurement_that_is_nonsense_is_no_baseline) {
    write_canary(10);
    for (const std::string lkg : {"", "nonsense", "[]", R"({"scores": 7})", R"({"scores": {"item-0": "x"}})"}) {
        context_->baseline = &lkg;
        EXPECT_EQ(run("accuracy", params()).verdict, VerdictKind::pass) << lkg;
    }
}

TEST_F(Accuracy, stops_at_the_first_answer_that_is_not_finite) {
    write_canary(20);
    for (const char* mode : {"nan", "null", "nan_token"}) {
        control(std::string(R"({"after": 4, "mode": ")") + mode + "\"}");
        const CheckOutcome outcome = run("accuracy", params());
        EXPECT_EQ(outcome.verdict, VerdictKind::fail) << mode;
        EXPECT_EQ(outcome.code, "not_finite") << mode;
        EXPECT_EQ(outcome.probes, 5) << mode;
        EXPECT_EQ(outcome.text, "item item-4 (canary/digits.jsonl:5): output predict holds NaN, Infinity or null")
            << mode;
    }
}

TEST_F(Accuracy, stops_at_another_version) {
    write_canary(20);
    context_->target.served_version = "1";
    control(R"({"mode": "wrong_version", "version": "0", "after": 2})");
    const CheckOutcome outcome = run("accuracy", params());
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "wrong_version");
    EXPECT_EQ(outcome.probes, 3);
}

TEST_F(Accuracy, a_constant_answer_is_a_failure_of_its_own) {
    write_canary(20);
    const CheckOutcome outcome = run_in_mode("constant");
    EXPECT_EQ(outcome.verdict, VerdictKind::fail);
    EXPECT_EQ(outcome.code, "constant_answer");
    EXPECT_EQ(outcome.text, "one constant answer (7) to 20 items whose labels differ");
}

TEST_F(Accuracy, a_constant_answer_to_few_items_or_equal_labels_is_none) {
    write_canary(9);
    EXPECT_EQ(run_in_mode("constant").code, "below_min");

    std::string set;
    for (int i = 0; i < 12; ++i)
        set += nlohmann::json{{"id", i}, {"input", {0, 0, 1, i * 0.01}}, {"label", 2}}.dump() + "\n";
    write_file("canary/digits.jsonl", set);
    EXPECT_EQ(run_in_mode("ok").code, "ok");
}

TEST_F(Accuracy, a_few_errors_are_told_and_more_fail) {
    write_canary(40);
    control(R"({"mode": "broken500", "count": 2})");
    const CheckOutcome few = run("accuracy", params());
    EXPECT_EQ(few.verdict, VerdictKind::pass);
    EXPECT_EQ(few.text, "top1 accuracy 1.000 on 38 items (min 0.900, 2 errors)");

    control(R"({"mode": "broken500", "every": 4})");
    const CheckOutcome more = run("accuracy", params());
    EXPECT_EQ(more.verdict, VerdictKind::fail);
    EXPECT_EQ(more.code, "errors");
    EXPECT_EQ(more.probes, 12) << "the third error is more than 5% of 40";
    EXPECT_NE(more.text.find("3 of 12 answers are errors"), std::string::npos) << more.text;
    EXPECT_NE(more.text.find("CUDA error"), std::string::npos) << more.text;
}

TEST_F(Accuracy, answers_that_are_no_answers_are_errors) {
    write_canary(20);
    for (const char* mode : {"huge", "html", "deep_json"}) {
        const CheckOutcome outcome = run_in_mode(mode);
        EXPECT_EQ(outcome.verdict, VerdictKind::fail) << mode;
        EXPECT_EQ(outcome.code, "errors") << mode;
        EXPECT_EQ(outcome.probes, 2) << mode;
    }
}

TEST_F(Accuracy, reads_a_double_encoded_answer) {
    write_canary(12);
    EXPECT_EQ(run_in_mode("double_encoded").code, "ok");
}

TEST_F(Accuracy, is_inconclusive_when_the_server_goes_away) {
    write_canary(20);
    struct Case {
        std::string_view control;
        std::string_view code;
    };
    for (const Case& c : {Case{.control = R"({"mode": "rst", "after": 3})", .code = "unreachable"},
                          Case{.control = R"({"mode": "half_body", "after": 3})", .code = "unreachable"},
                          Case{.control = R"({"mode": "loading", "after": 3})", .code = "loading"},
                          Case{.control = R"({"mode": "missing", "after": 3})", .code = "missing"}}) {
        control(std::string(c.control));
        const CheckOutcome outcome = run("accuracy", params());
        EXPECT_EQ(outcome.verdict, VerdictKind::inconclusive) << c.control;
        EXPECT_EQ(outcome.code, c.code) << c.control;
        EXPECT_NE(outcome.text.find("item item-3 (canary/digits.jsonl:4), 3 attempts in a row"), std::string::npos)
            << outcome.text;
    }
}

TEST_F(Accuracy, a_moment_of_absence_is_bridged) {
    write_canary(20);
    control(R"({"mode": "loading", "after": 3, "count": 2})");
    const CheckOutcome outcome = run("accuracy", params());
    EXPECT_EQ(outcome.verdict, VerdictKind::pass) << outcome.text;
    EXPECT_EQ(outcome.probes, 22);
}

TEST_F(Accuracy, judges_the_chosen_and_reduced_output) {
    write_canary(20);
    ParamMap chosen =
        params_with("output", {.value = ParamMap{{"name", text("predict_proba")}, {"reduce", text("argmax")}}});
    EXPECT_EQ(run("accuracy", chosen).code, "ok");

    chosen = params_with("output", {.value = ParamMap{{"name", text("logits")}}});
    const CheckOutcome unknown = run("accuracy", chosen);
    EXPECT_EQ(unknown.code, "errors");
    EXPECT_NE(unknown.text.find("unknown output logits"), std::string::npos) << unknown.text;
}

TEST_F(Accuracy, scores_by_tolerance) {
    std::string set;
    for (int i = 0; i < 12; ++i)
        set += nlohmann::json{{"id", i}, {"input", {0, 0, 1, i * 0.01}}, {"label", 2.3}}.dump() + "\n";
    write_file("canary/digits.jsonl", set);
    ParamMap tolerant = params_with("score", text("tolerance"));
    tolerant.emplace("tolerance", number(0.5));
    EXPECT_EQ(run("accuracy", tolerant).code, "ok");
    tolerant.insert_or_assign("tolerance", number(0.2));
    EXPECT_EQ(run("accuracy", tolerant).code, "below_min");
}

TEST_F(Accuracy, an_unusable_canary_set_is_inconclusive_and_names_the_line) {
    write_file("canary/digits.jsonl",
               "{\"id\": \"a\", \"input\": [1], \"label\": 1}\n{\"id\": \"b\", \"input\": [1], \"label\": {}}\n");
    const CheckOutcome label = run("accuracy", params());
    EXPECT_EQ(label.verdict, VerdictKind::inconclusive);
    EXPECT_EQ(label.code, "no_canary_set");
    EXPECT_NE(label.text.find("canary/digits.jsonl:2: "), std::string::npos) << label.text;
    EXPECT_EQ(counted("infer"), 0);
}

TEST_F(Accuracy, dropped_in_the_middle_never_calls_back) {
    write_canary(20);
    control(R"({"mode": "hang", "after": 5})");
    const auto check = make("accuracy", params());
    bool called = false;
    std::unique_ptr<Running> running = check->start(*context_, [&](const CheckOutcome&) { called = true; });
    bool dropped = false;
    const sys::Source timer = loop_->add_timer(std::chrono::milliseconds(150), [&] {
        running.reset();
        dropped = true;
    });
    turn_until([&] { return dropped; });
    EXPECT_EQ(counted("infer"), 6);
    EXPECT_FALSE(called);
}

TEST(AccuracyParams, that_contradict_are_refused) {
    const auto make = [](ParamMap params) {
        params.emplace("canary", text("set.jsonl"));
        return find_kind("accuracy")->make(params);
    };
    EXPECT_TRUE(make({{"min", number(0.9)}}));
    EXPECT_TRUE(make({{"max_drop", integer(0)}})) << "a number may be written without a point";
    struct Case {
        ParamMap params;
        std::string_view says;
    };
    for (const Case& c :
         {Case{.params = {}, .says = "min or max_drop"},
          Case{.params = {{"min", number(0.9)}, {"score", text("tolerance")}}, .says = "needs tolerance"},
          Case{.params = {{"min", number(0.9)}, {"tolerance", number(1)}}, .says = "belongs to score"},
          Case{.params = {{"min", number(0.9)}, {"canary", text("/etc/passwd")}}, .says = "absolute"}}) {
        const auto made = make(c.params);
        ASSERT_FALSE(made) << c.says;
        EXPECT_EQ(made.error().kind, ErrorKind::invalid_config);
        EXPECT_NE(made.error().what.find(c.says), std::string::npos) << made.error().what;
    }
}

}  // namespace
}  // namespace modelguard::checks::test
