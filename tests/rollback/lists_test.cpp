#include "rollback/lists.hpp"

#include <gtest/gtest.h>

#include <set>

namespace modelguard::rollback {
namespace {

TEST(Lists, every_kind_is_found_by_its_own_name_and_nothing_else_is) {
    for (const SwitchKind* kind : switches())
        EXPECT_EQ(find_switch(kind->name), kind);
    for (const ThenKind* kind : thens())
        EXPECT_EQ(find_then(kind->name), kind);
    for (const OsBackendKind* kind : os_backends())
        EXPECT_EQ(find_os_backend(kind->name), kind);

    EXPECT_NE(find_switch("files"), nullptr);
    EXPECT_EQ(find_switch("file"), nullptr);
    EXPECT_EQ(find_then(""), nullptr);
    EXPECT_EQ(find_os_backend("rpm-ostree"), nullptr);
    EXPECT_EQ(os_backends().back()->name, "none");
}

TEST(Lists, descriptors_say_what_they_are_and_their_parameters_have_help_and_names_of_their_own) {
    const auto check = [](std::string_view name, std::string_view summary, std::span<const ParamSpec> params) {
        EXPECT_FALSE(name.empty());
        EXPECT_FALSE(summary.empty()) << name;
        std::set<std::string_view> names;
        for (const ParamSpec& param : params) {
            EXPECT_TRUE(names.insert(param.name).second) << name << "." << param.name;
            EXPECT_FALSE(param.help.empty()) << name << "." << param.name;
        }
    };
    for (const SwitchKind* kind : switches())
        check(kind->name, kind->summary, kind->params);
    for (const ThenKind* kind : thens())
        check(kind->name, kind->summary, kind->params);
    for (const OsBackendKind* kind : os_backends())
        check(kind->name, kind->summary, {});
}

TEST(Lists, the_last_os_backend_fits_every_host) { EXPECT_TRUE(os_backends().back()->is_present()); }

}  // namespace
}  // namespace modelguard::rollback
