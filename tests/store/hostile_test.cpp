// Bundles that no honest program makes (refs/reliability.md, F3). Each must be refused with the entry's name, leave
// nothing behind, and not be in the way of a good one.

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <functional>

#include "supervisor/store/import_stream.hpp"
#include "tests/store/world.hpp"

namespace modelguard::store::test {
namespace {

struct Hostile {
    const char* name;
    std::function<std::string()> bytes;
    const char* says;  ///< part of the error
    ImportLimits limits{.reserve_bytes = 0};
};
void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

std::string with(const TarHeader& header) { return good_bundle().add(header).bytes(); }
std::string named(const char* name) { return with({.name = name, .content = "x"}); }
std::string many(int count) {
    Tar tar;
    for (int i = 0; i < count; ++i)
        tar.file("f" + std::to_string(i), "");
    return tar.bytes();
}
std::string zeros(std::size_t count) { return Tar().file("zeros", std::string(count, '\0')).bytes(); }
std::string without_last(std::string bytes, std::size_t count) {
    bytes.resize(bytes.size() - count);
    return bytes;
}

const std::vector<Hostile>& all() {
    static const std::vector<Hostile> list{
        {"absolute", [] { return named("/etc/passwd"); }, "entry '/etc/passwd': absolute path"},
        {"dotdot", [] { return named("../../outside"); }, "entry '../../outside': '..' in the path"},
        {"dotdot_inside", [] { return named("weights/../../outside"); }, "'..' in the path"},
        {"dot_inside", [] { return named("weights/./x"); }, "'.' in the path"},
        {"empty_component", [] { return named("weights//x"); }, "empty component"},
        {"symlink", [] { return with({.name = "link", .type = '2', .link = "/etc/passwd"}); },
         "entry 'link': symbolic link"},
        {"symlink_inside", [] { return with({.name = "link", .type = '2', .link = "run.sh"}); },
         "entry 'link': symbolic link"},
        {"symlink_then_through",
         [] { return good_bundle().add({.name = "d", .type = '2', .link = "/tmp"}).file("d/x", "x").bytes(); },
         "entry 'd': symbolic link"},
        {"hard_link", [] { return with({.name = "link", .type = '1', .link = "run.sh"}); }, "hard link to 'run.sh'"},
        {"hard_link_outside", [] { return with({.name = "link", .type = '1', .link = "/etc/shadow"}); }, "hard link"},
        {"character_device", [] { return with({.name = "null", .type = '3'}); }, "entry 'null': device"},
        {"block_device", [] { return with({.name = "sda", .type = '4'}); }, "entry 'sda': device"},
        {"named_pipe", [] { return with({.name = "pipe", .type = '6'}); }, "entry 'pipe': named pipe"},
        {"setuid", [] { return with({.name = "su", .content = "x", .mode = 04755}); }, "setuid or setgid"},
        {"setgid", [] { return with({.name = "sg", .content = "x", .mode = 02755}); }, "setuid or setgid"},
        {"duplicate", [] { return good_bundle().file("run.sh", "other").bytes(); }, "entry 'run.sh': is there twice"},
        {"duplicate_by_dot", [] { return Tar().file("a", "1").file("./a", "2").bytes(); }, "is there twice"},
        {"case_twins", [] { return good_bundle().file("RUN.sh", "x").bytes(); }, "differs only in case from 'run.sh'"},
        {"unicode_twins", [] { return Tar().file("\xc3\xa9", "1").file("e\xcc\x81", "2").bytes(); },
         "combining character"},
        {"unicode_in_pax", [] { return Tar().pax({{"path", "e\xcc\x81"}}).file("short", "x").bytes(); },
         "combining character"},
        {"file_as_directory", [] { return Tar().file("a", "1").file("a/b", "2").bytes(); },
         "is a file, and a directory"},
        {"directory_as_file", [] { return Tar().file("a/b", "1").file("a", "2").bytes(); }, "entry 'a'"},
        {"newline", [] { return named("a\nb"); }, "entry 'a\\nb': control character"},
        {"escape", [] { return named("\x1b]0;x\x07"); }, "control character"},
        {"backslash", [] { return named("..\\..\\x"); }, "backslash"},
        {"not_utf8", [] { return named("caf\xe9"); }, "not UTF-8"},
        {"right_to_left", [] { return named("model\xe2\x80\xaenib.exe"); }, "invisible character"},
        {"long_component", [] { return Tar().pax({{"path", std::string(300, 'x')}}).file("s", "x").bytes(); },
         "longer than 255"},
        {"long_path",
         [] {
             std::string path;
             for (int i = 0; i < 12; ++i)
                 path += std::string(100, 'x') + "/";
             return Tar().pax({{"path", path + "f"}}).file("s", "x").bytes();
         },
         "longer than 1024"},
        {"deep",
         [] {
             std::string path;
             for (int i = 0; i < 40; ++i)
                 path += "d/";
             return named((path + "f").c_str());
         },
         "nested deeper than 32"},
        {"too_many", [] { return many(200); }, "more than 100 entries", {.max_entries = 100, .reserve_bytes = 0}},
        {"too_large",
         [] { return zeros(300'000); },
         "more than 100000 bytes",
         {.max_bytes = 100'000, .reserve_bytes = 0}},
        {"too_large_in_sum",
         [] { return Tar().file("a", std::string(60'000, 'a')).file("b", std::string(60'000, 'b')).bytes(); },
         "entry 'b': the bundle unpacks to more than 100000 bytes",
         {.max_bytes = 100'000, .reserve_bytes = 0}},
        {"gzip_ratio",
         [] { return gzip(zeros(40u << 20)); },
         "more than 100 times its size",
         {.max_ratio = 100, .reserve_bytes = 0}},
        {"zstd_ratio", [] { return zstd(zeros(40u << 20)); }, "more than 1000 times its size"},
        {"packed_twice", [] { return gzip(gzip(good_bundle().bytes())); }, "packed more than once"},
        {"packed_twice_mixed", [] { return zstd(gzip(good_bundle().bytes())); }, "packed more than once"},
        {"sparse_pax",
         [] {
             return good_bundle()
                 .pax(
                     {{"GNU.sparse.size", "1099511627776"}, {"GNU.sparse.numblocks", "1"}, {"GNU.sparse.map", "0,512"}})
                 .file("huge", std::string(512, 'x'))
                 .bytes();
         },
         "entry 'huge'"},
        {"sparse_all_hole",
         [] {
             return good_bundle()
                 .pax({{"GNU.sparse.size", "4096"}, {"GNU.sparse.numblocks", "1"}, {"GNU.sparse.map", "4096,0"}})
                 .file("hole", "")
                 .bytes();
         },
         "entry 'hole': sparse file"},
        {"huge_size", [] { return with({.name = "huge", .content = "x", .stated_size = 1ull << 32}); }, ""},
        {"trailing_bytes", [] { return good_bundle().bytes() + "#!/bin/sh"; }, "trailing data"},
        {"trailing_archive", [] { return good_bundle().bytes() + Tar().file("second", "x").bytes(); }, "trailing data"},
        {"trailing_after_gzip", [] { return gzip(good_bundle().bytes()) + "garbage"; }, "trailing data"},
        {"trailing_inside_gzip", [] { return gzip(good_bundle().bytes() + "garbage"); }, "trailing data"},
        {"trailing_after_zstd", [] { return zstd(good_bundle().bytes()) + "garbage"; }, ""},
        {"endless_padding", [] { return good_bundle().bytes() + std::string(2u << 20, '\0'); },
         "more than 1 MiB of padding"},
        {"truncated_content", [] { return good_bundle().bytes().substr(0, 2000); }, ""},
        {"truncated_at_entry", [] { return good_bundle().without_end(); }, "its end mark is missing"},
        {"truncated_end_mark", [] { return good_bundle().without_end() + std::string(512, '\0'); },
         "its end mark is missing"},
        {"truncated_zero_file", [] { return good_bundle().file("zeros", std::string(4096, '\0')).without_end(); },
         "its end mark is missing"},
        {"truncated_gzip", [] { return without_last(gzip(good_bundle().bytes()), 12); }, ""},
        {"truncated_zstd", [] { return without_last(zstd(good_bundle().bytes()), 6); }, ""},
        {"flipped_header",
         [] {
             std::string bytes = good_bundle().bytes();
             bytes[512 + 3] ^= 1;
             return bytes;
         },
         "broken archive"},
        {"no_bytes", [] { return std::string(); }, "the bundle is empty"},
        {"only_zeros", [] { return std::string(10240, '\0'); }, "the bundle holds no file"},
        {"only_directories", [] { return Tar().directory("a").directory("b").bytes(); }, "the bundle holds no file"},
        {"not_a_tar", [] { return std::string(5000, 'x'); }, "not a tar archive"},
        {"zip", [] { return "PK\x03\x04" + std::string(5000, 'x'); }, "it looks like zip"},
        {"text", [] { return std::string("<html>404</html>"); }, "not a tar archive"},
        {"version_file_large", [] { return Tar().file("modelguard-version.yaml", std::string(70'000, '#')).bytes(); },
         "larger than 64 KiB"},
        {"version_file_wrong", [] { return Tar().file("modelguard-version.yaml", "lable: 4").file("a", "x").bytes(); },
         "modelguard-version.yaml:1: unknown key 'lable'"},
        {"version_file_bomb",
         [] {
             return Tar().file("modelguard-version.yaml", "label: &a [x,x]\nserved_version: *a").file("a", "x").bytes();
         },
         "modelguard-version.yaml:1: a list where text is expected"},
        {"no_space", [] { return good_bundle().bytes(); }, "no space", {.reserve_bytes = 1ull << 60}},
    };
    return list;
}

struct HostileTest : StoreTest, ::testing::WithParamInterface<Hostile> {};

TEST_P(HostileTest, is_refused_leaves_nothing_and_a_good_one_follows) {
    reopen(GetParam().limits);
    std::vector<sys::Path> before;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path()))
        before.push_back(entry.path());

    const auto info = import(GetParam().bytes());

    ASSERT_FALSE(info.has_value());
    const bool space = std::string_view(GetParam().name) == "no_space";
    EXPECT_EQ(info.error().kind, space ? ErrorKind::io : ErrorKind::invalid_config) << info.error().what;
    EXPECT_EQ(info.error().sys_errno, space ? ENOSPC : 0);
    EXPECT_NE(info.error().what.find(GetParam().says), std::string::npos) << info.error().what;
    EXPECT_EQ(info.error().what.find('\n'), std::string::npos);
    std::vector<sys::Path> after;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path()))
        after.push_back(entry.path());
    EXPECT_EQ(before, after);

    reopen({.reserve_bytes = 0});
    EXPECT_FALSE(imported(good_bundle()).empty());
}

INSTANTIATE_TEST_SUITE_P(Each, HostileTest, ::testing::ValuesIn(all()),
                         [](const auto& test) { return test.param.name; });

TEST_F(StoreTest, every_truncation_of_a_bundle_is_refused) {
    const std::string whole = gzip(good_bundle().bytes());
    const sys::Path tree = dir / "tree";
    for (std::size_t length = 0; length < whole.size(); ++length) {
        write_file(dir / "bundle", whole.substr(0, length));
        std::filesystem::create_directory(tree);
        const sys::Fd fd(::open((dir / "bundle").c_str(), O_RDONLY | O_CLOEXEC));

        EXPECT_FALSE(import_stream(fd.get(), tree, limits).has_value()) << length << " of " << whole.size();

        ASSERT_TRUE(sys::remove_tree(tree).has_value());
    }
}

TEST_F(StoreTest, sparse_files_as_tar_packs_them_are_refused) {
    write_file(dir / "bundle/a.bin", "x");
    std::filesystem::resize_file(dir / "bundle/a.bin", 1u << 30);
    for (const char* format :
         {"gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax --sparse-version=1.0"}) {
        const std::string command = "tar -C '" + (dir / "bundle").string() + "' --sparse --format=" + format +
                                    " -cf '" + (dir / "b.tar").string() + "' .";
        ASSERT_EQ(::system(command.c_str()), 0) << command;

        const auto info = import(content_of(dir / "b.tar"));

        ASSERT_FALSE(info.has_value()) << format;
        EXPECT_EQ(info.error().what, "entry 'a.bin': sparse file") << format;
        EXPECT_TRUE(staged().empty());
    }
}

/// A file system of 4 MiB where we may mount one, else a limit on the bytes.
TEST_F(StoreTest, a_full_disk_fails_the_import_and_nothing_else) {
    const sys::Path mount = dir / "small";
    std::filesystem::create_directory(mount);
    const bool mounted = ::mount("tmpfs", mount.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=4m") == 0;
    RecordProperty("ran", mounted ? "tmpfs of 4 MiB" : "max_bytes of 4 MiB");
    std::printf("full disk: ran with %s\n", mounted ? "a tmpfs of 4 MiB" : "max_bytes of 4 MiB (mounting needs root)");
    if (mounted)
        places = places_under(mount);
    else
        limits.max_bytes = 4u << 20;
    store = open_store();
    const Digest kept = imported(good_bundle());
    // Noise, so that it is the disk and not the ratio that ends it; in pieces, so that it fails in the middle.
    Tar tar;
    for (int file = 0; file < 6; ++file) {
        std::string noise(1u << 20, '\0');
        for (std::size_t i = 0; i < noise.size(); ++i)
            noise[i] = static_cast<char>((i * 2654435761u) >> (8 + file));
        tar.file("noise" + std::to_string(file), noise);
    }

    const auto info = import(tar.bytes());

    ASSERT_FALSE(info.has_value());
    EXPECT_EQ(info.error().kind, mounted ? ErrorKind::io : ErrorKind::invalid_config) << info.error().what;
    EXPECT_EQ(info.error().sys_errno, mounted ? ENOSPC : 0);
    EXPECT_TRUE(staged().empty());
    EXPECT_TRUE(verify(kept)->intact);
    EXPECT_TRUE(import(good_bundle("other weights").bytes()).has_value());
    if (mounted) {
        store.reset();
        EXPECT_EQ(::umount2(mount.c_str(), MNT_DETACH), 0);
    }
}

}  // namespace
}  // namespace modelguard::store::test
