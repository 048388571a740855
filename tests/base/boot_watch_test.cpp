#include "supervisor/base/boot_watch.hpp"

#include <gtest/gtest.h>

namespace modelguard {
namespace {

std::string block(std::string text) {
    text.insert(0, "# GRUB Environment Block\n");
    text.resize(1024, '#');
    return text;
}

TEST(GrubEnv, is_the_variables_of_a_block_of_1024_bytes) {
    const GrubEnv env = parse_grubenv(block("saved_entry=ostree-2\nboot_success=0\nboot_counter=2\nempty=\n"));

    EXPECT_EQ(env, (GrubEnv{{"saved_entry", "ostree-2"}, {"boot_success", "0"}, {"boot_counter", "2"}, {"empty", ""}}));
}

TEST(GrubEnv, escaped_backslashes_and_newlines_belong_to_the_value) {
    EXPECT_EQ(parse_grubenv(block("a=x\\\\y\\\nb=1\nc=2\n")), (GrubEnv{{"a", "x\\y\nb=1"}, {"c", "2"}}));
}

TEST(GrubEnv, what_is_no_variable_is_left_out_and_the_first_of_two_counts) {
    EXPECT_EQ(parse_grubenv(""), GrubEnv{});
    EXPECT_EQ(parse_grubenv("#boot_counter=3\nnothing\n=x\n\n"), GrubEnv{});
    EXPECT_EQ(parse_grubenv("a=1=2\na=3"), (GrubEnv{{"a", "1=2"}}));
    EXPECT_EQ(parse_grubenv("a=1\\"), (GrubEnv{{"a", "1\\"}}));
    EXPECT_EQ(parse_grubenv(std::string_view("a\0b=1\n", 6)), (GrubEnv{{std::string("a\0b", 3), "1"}}));
}

TEST(Greenboot, is_a_script_a_program_or_not_there) {
    EXPECT_EQ(greenboot_of("#!/usr/bin/bash\n"), Greenboot::bash);
    EXPECT_EQ(greenboot_of("\x7f"
                           "ELF\x02\x01"),
              Greenboot::rs);
    for (const char* other : {"", "#", "# !", "\x7f", "EL", "\xef\xbb\xbf#!/bin/bash"})
        EXPECT_EQ(greenboot_of(other), Greenboot::none) << other;
}

TEST(BootTrial, is_watched_by_whoever_is_installed_and_has_armed_himself) {
    struct Row {
        GrubEnv env;
        std::string_view none, bash, rs;
    };
    const Row rows[] = {
        {{}, "", "", ""},
        {{{"boot_success", "1"}}, "", "", ""},
        {{{"boot_counter", "3"}}, "", "greenboot", ""},
        {{{"boot_counter", "0"}}, "", "greenboot", ""},
        {{{"boot_counter", ""}}, "", "", ""},
        {{{"boot_counter", "-1"}}, "", "", ""},
        {{{"greenboot_next_deployment_id", "5b77"}}, "", "", "greenboot-rs"},
        {{{"greenboot_next_deployment_id", ""}}, "", "", ""},
        {{{"greenboot_rollback_trigger", "1"}}, "", "", "greenboot-rs"},
        {{{"greenboot_rollback_trigger", "0"}}, "", "", ""},
        {{{"boot_counter", "-1"}, {"greenboot_next_deployment_id", "5b77"}}, "", "", "greenboot-rs"},
        {{{"boot_counter", "1"}, {"greenboot_rollback_trigger", "1"}}, "", "greenboot", "greenboot-rs"},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(boot_trial(row.env, Greenboot::none), row.none);
        EXPECT_EQ(boot_trial(row.env, Greenboot::bash), row.bash);
        EXPECT_EQ(boot_trial(row.env, Greenboot::rs), row.rs);
    }
}

TEST(BootTrial, grub_fell_back_when_its_counter_is_used_up) {
    EXPECT_TRUE(grub_fell_back({{"boot_counter", "-1"}}));
    EXPECT_FALSE(grub_fell_back({{"boot_counter", "0"}}));
    EXPECT_FALSE(grub_fell_back({}));
}

}  // namespace
}  // namespace modelguard
