#include "supervisor/daemon/man_page.hpp"

#include <gtest/gtest.h>

namespace modelguard::daemon {
namespace {

TEST(ManPage, prose_stays_as_it_is) {
    EXPECT_EQ(*fill_man_page(".SH NAME\nmodelguard\\-checks \\- what\n"), ".SH NAME\nmodelguard\\-checks \\- what\n");
    EXPECT_EQ(*fill_man_page("no line feed"), "no line feed\n");
    EXPECT_EQ(*fill_man_page(""), "");
}

TEST(ManPage, keys_of_a_section_say_what_is_expected_and_the_default) {
    const std::string page = *fill_man_page(".SH TRIAL\n@keys trial\n.SH NEXT\n");
    EXPECT_TRUE(page.starts_with(".SH TRIAL\n.TP\n\\fBdeadline\\fR: a duration as in 50ms or 10m from 1s to 7d\n"))
        << page;
    EXPECT_NE(page.find("\\&A trial without a verdict by then is undecided.\nDefault: \\fB10m\\fR.\n"),
              std::string::npos)
        << page;
    EXPECT_TRUE(page.ends_with(".SH NEXT\n"));
}

TEST(ManPage, kinds_have_a_section_each_and_the_keys_of_a_map_are_set_in) {
    const std::string page = *fill_man_page("@kinds checks\n");
    EXPECT_TRUE(page.starts_with(".SS ready\n")) << page.substr(0, 80);
    EXPECT_NE(page.find("\\fBinput\\fR: a map\n"), std::string::npos);
    EXPECT_NE(page.find(".RS\n.TP\n\\fBname\\fR: text\n"), std::string::npos);
    EXPECT_NE(page.find("; required\n"), std::string::npos);
    EXPECT_NE(page.find("one axis may be \\-1"), std::string::npos) << "a minus is a minus, not a hyphen";
}

TEST(ManPage, no_line_of_a_descriptor_is_a_request_of_roff) {
    for (const char* template_line : {"@kinds checks\n", "@kinds protocols\n", "@kinds thens\n", "@keys serve\n"}) {
        const std::string page = *fill_man_page(template_line);
        for (std::size_t at = 0; at < page.size(); at = page.find('\n', at) + 1) {
            const std::string_view line = std::string_view(page).substr(at, page.find('\n', at) - at);
            if (!line.starts_with('.')) continue;
            EXPECT_TRUE(line == ".TP" || line == ".RS" || line == ".RE" || line.starts_with(".SS ")) << line;
        }
    }
}

TEST(ManPage, a_line_that_stands_for_nothing_is_an_error_that_names_it) {
    for (const char* wrong : {"@kinds cheks\n", "@", "@keys trial \n"}) {
        const auto page = fill_man_page(wrong);
        ASSERT_FALSE(page) << wrong;
        EXPECT_EQ(page.error().kind, ErrorKind::invalid_config);
        EXPECT_NE(page.error().what.find("as in @kinds checks"), std::string::npos) << page.error().what;
    }
}

}  // namespace
}  // namespace modelguard::daemon
