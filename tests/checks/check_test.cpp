#include "checks/check.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace modelguard::checks {
namespace {

void expect_usable(std::span<const ParamSpec> params, std::string_view where) {
    std::set<std::string_view> names;
    for (const ParamSpec& param : params) {
        EXPECT_TRUE(names.insert(param.name).second) << where << " has " << param.name << " twice";
        EXPECT_TRUE(param.help.ends_with(".") || param.type == ParamType::object) << where << "." << param.name;
        EXPECT_FALSE(param.required && !param.default_text.empty()) << where << "." << param.name;
        if (!param.choices.empty() && !param.default_text.empty()) {
            const bool listed = std::ranges::find(param.choices, param.default_text) != param.choices.end();
            EXPECT_TRUE(listed) << where << "." << param.name << ": its default is not one of its choices";
        }
        EXPECT_EQ(param.type == ParamType::object, !param.fields.empty()) << where << "." << param.name;
        expect_usable(param.fields, param.name);
    }
}

TEST(CheckKinds, each_is_found_by_its_name_and_describes_itself) {
    std::set<std::string_view> names;
    for (const CheckKind* kind : kinds()) {
        EXPECT_EQ(find_kind(kind->name), kind);
        EXPECT_TRUE(names.insert(kind->name).second) << kind->name;
        EXPECT_TRUE(is_valid_name(kind->name));
        EXPECT_TRUE(kind->summary.ends_with(".")) << kind->name;
        EXPECT_NE(kind->make, nullptr);
        expect_usable(kind->params, kind->name);
    }
    EXPECT_EQ(names, (std::set<std::string_view>{"ready", "accuracy", "latency", "exec", "http", "tcp", "dns", "files",
                                                 "resource", "metrics", "systemd_unit", "container"}));
    EXPECT_EQ(find_kind("readyy"), nullptr);
}

TEST(CheckKinds, say_what_the_judge_must_know) {
    EXPECT_TRUE(find_kind("accuracy")->compares);
    EXPECT_TRUE(find_kind("latency")->compares);
    EXPECT_TRUE(find_kind("latency")->alone);
    EXPECT_TRUE(find_kind("accuracy")->needs_server);
    EXPECT_FALSE(find_kind("ready")->needs_server);
    EXPECT_FALSE(find_kind("exec")->needs_server);
}

TEST(Protocols, each_is_found_by_its_name) {
    ASSERT_FALSE(protocols().empty());
    for (const ProtocolKind* kind : protocols()) {
        EXPECT_EQ(find_protocol(kind->name), kind);
        EXPECT_FALSE(kind->summary.empty());
    }
    EXPECT_EQ(find_protocol("v3"), nullptr);
}

}  // namespace
}  // namespace modelguard::checks
