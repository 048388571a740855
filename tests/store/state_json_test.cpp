#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "supervisor/store/ledger.hpp"
#include "tests/store/rich_state.hpp"

namespace modelguard::store::test {
namespace {

using nlohmann::json;

struct StateJsonTest : ::testing::Test {
    std::vector<std::string> notes;

    core::ModelState read(const json& changed) {
        auto state = model_state_from_json(changed.dump(), notes);
        EXPECT_TRUE(state.has_value()) << state.error().what;
        return state.value_or(core::ModelState{});
    }
    bool noted(std::string_view text) const {
        for (const std::string& note : notes)
            if (note.find(text) != std::string::npos) return true;
        return false;
    }
    json rich = json::parse(model_state_to_json(rich_model()));
};

TEST_F(StateJsonTest, a_rich_model_comes_back_as_it_was) {
    EXPECT_EQ(read(rich), rich_model());
    EXPECT_EQ(read(json::parse(model_state_to_json({}))), core::ModelState{});
    EXPECT_TRUE(notes.empty()) << notes.front();
}

TEST_F(StateJsonTest, a_rich_os_comes_back_as_it_was) {
    const auto os = os_state_from_json(os_state_to_json(rich_os()), notes);
    ASSERT_TRUE(os.has_value()) << os.error().what;
    EXPECT_EQ(*os, rich_os());
    EXPECT_EQ(*os_state_from_json(os_state_to_json({}), notes), core::OsState{});
    EXPECT_TRUE(notes.empty());
}

TEST_F(StateJsonTest, a_decision_comes_back_as_it_was_with_nan) {
    EXPECT_EQ(*decision_from_json(decision_to_json(rich_decision())), rich_decision());

    core::Decision decision = rich_decision();
    decision.reports[0].measured = std::nan("");
    decision.reports[0].limit.reset();
    const auto back = decision_from_json(decision_to_json(decision));
    EXPECT_TRUE(std::isnan(*back->reports[0].measured));
    EXPECT_FALSE(back->reports[0].limit.has_value());
}

TEST_F(StateJsonTest, a_number_that_does_not_fit_is_refused_and_not_cut_to_size) {
    const std::vector<std::pair<const char*, json>> wrong{
        {"/trial/id", 1e300},       {"/trial/id", 1.5},       {"/trial/id", -1},
        {"/trial/boots", 1U << 31}, {"/used/restarts", 1e10}, {"/revert/joined", json::array({2.5})},
        {"/trial/seq", "7"},        {"/work/id", json(true)}, {"/manifest/soak_usec", 1ULL << 63}};
    for (const auto& [place, value] : wrong) {
        json changed = rich;
        const json::json_pointer at(place);
        ASSERT_TRUE(rich.contains(at)) << place;
        changed[at] = value;
        const auto state = model_state_from_json(changed.dump(), notes);
        EXPECT_FALSE(state.has_value()) << place << " = " << value;
    }
}

TEST_F(StateJsonTest, text_that_is_not_utf8_does_not_stop_the_ledger) {
    core::Decision decision = rich_decision();
    decision.text = "curl: \xff\xfe";
    EXPECT_TRUE(decision_from_json(decision_to_json(decision)).has_value());
}

TEST_F(StateJsonTest, every_phase_keeps_its_word) {
    for (int phase = 0; phase <= static_cast<int>(core::Phase::held); ++phase) {
        core::ModelState state = rich_model();
        state.phase = static_cast<core::Phase>(phase);
        EXPECT_EQ(read(json::parse(model_state_to_json(state))), state);
    }
    EXPECT_TRUE(notes.empty());
}

TEST_F(StateJsonTest, an_unknown_phase_goes_back_to_the_known_good_version) {
    rich["phase"] = "shadowing";

    const core::ModelState state = read(rich);

    EXPECT_EQ(state.phase, core::Phase::reverting);
    ASSERT_TRUE(state.revert.has_value());
    EXPECT_EQ(state.revert->cause, core::Cause::restore);
    EXPECT_EQ(state.revert->target, digest_of_letter('2'));
    EXPECT_EQ(state.revert->manifest, rich_manifest("r6"));
    EXPECT_EQ(state.work.kind, core::WorkKind::verify);
    EXPECT_FALSE(state.trial.has_value());
    EXPECT_EQ(state.timers, std::vector{core::Timer::calm});
    EXPECT_EQ(state.known_good, rich_model().known_good);
    EXPECT_EQ(state.rejected, rich_model().rejected);
    EXPECT_EQ(state.wish, rich_model().wish);
    EXPECT_TRUE(noted("unknown phase 'shadowing'"));
}

TEST_F(StateJsonTest, an_unknown_phase_without_known_good_serves_nothing) {
    rich["phase"] = "shadowing";
    rich["known_good"] = json::array();
    const core::ModelState state = read(rich);
    EXPECT_EQ(state.phase, core::Phase::reverting);
    EXPECT_TRUE(state.revert->target.empty());
    EXPECT_EQ(state.work.kind, core::WorkKind::switch_version);

    rich["current"] = "";
    EXPECT_EQ(read(rich).phase, core::Phase::empty);
}

TEST_F(StateJsonTest, words_that_steer_a_transaction_revert_it_and_others_are_read_cautiously) {
    for (const char* pointer : {"/trial/kind", "/trial/from", "/trial/abort", "/work/kind"}) {
        json changed = rich;
        changed[json::json_pointer(pointer)] = "novel";
        EXPECT_EQ(read(changed).phase, core::Phase::reverting) << pointer;
    }
    json changed = rich;
    changed["revert"]["cause"] = "novel";
    changed["wish"]["origin"] = "novel";
    changed["manifest"]["on_inconclusive"] = "novel";
    changed["timers"].push_back("novel");
    const core::ModelState state = read(changed);
    EXPECT_EQ(state.phase, core::Phase::trial);
    EXPECT_EQ(state.revert->cause, core::Cause::restore);
    EXPECT_EQ(state.wish->origin, core::Origin::command);
    EXPECT_EQ(state.manifest.on_inconclusive, core::OnInconclusive::keep_known_good);
    EXPECT_EQ(state.timers, rich_model().timers);
    EXPECT_TRUE(noted("unknown word 'novel' in timers"));
}

TEST_F(StateJsonTest, a_phase_without_its_parts_is_reverted) {
    rich.erase("trial");
    EXPECT_EQ(read(rich).phase, core::Phase::reverting);
    EXPECT_TRUE(noted("phase 'trial' without what belongs to it"));
}

TEST_F(StateJsonTest, unknown_keys_are_named_and_missing_ones_have_their_defaults) {
    rich["shadow"] = 1;
    rich["trial"]["shadow"] = 1;
    rich.erase("used");
    rich.erase("offered_rev");

    const core::ModelState state = read(rich);

    EXPECT_EQ(state.used, core::Used{});
    EXPECT_EQ(state.offered_rev, "");
    EXPECT_EQ(state.trial, rich_model().trial);
    EXPECT_TRUE(noted("state: unknown key 'shadow'"));
    EXPECT_TRUE(noted("trial: unknown key 'shadow'"));
}

TEST_F(StateJsonTest, wrong_types_are_an_error) {
    for (const char* text :
         {"", "[]", "{\"phase\": 1}", "{\"phase\": \"steady\", \"used\": 7}", "{\"known_good\": [1]}", "{"})
        EXPECT_FALSE(model_state_from_json(text, notes).has_value()) << text;
    EXPECT_FALSE(os_state_from_json("{\"view\": 1}", notes).has_value());
    EXPECT_FALSE(decision_from_json("{\"kind\": []}").has_value());
}

TEST_F(StateJsonTest, an_unknown_step_of_an_os_rollback_ends_it) {
    json os = json::parse(os_state_to_json(rich_os()));
    os["pending"]["step"] = "novel";
    os["verb"] = "novel";
    const auto state = os_state_from_json(os.dump(), notes);
    ASSERT_TRUE(state.has_value());
    EXPECT_FALSE(state->pending.has_value());
    EXPECT_FALSE(state->verb.has_value());
    EXPECT_EQ(state->rejected, rich_os().rejected);
}

TEST_F(StateJsonTest, a_decision_of_a_newer_release_is_still_shown) {
    json decision = json::parse(decision_to_json(rich_decision()));
    decision["kind"] = "shadowed";
    decision["blame"] = "network";
    const auto read_back = decision_from_json(decision.dump());
    ASSERT_TRUE(read_back.has_value());
    EXPECT_EQ(read_back->kind, core::DecisionKind::resumed);
    EXPECT_EQ(read_back->text, "'shadowed' of a newer release: accuracy 0.82, limit 0.90");
    EXPECT_EQ(read_back->blame, core::Blame::none);
}

}  // namespace
}  // namespace modelguard::store::test
