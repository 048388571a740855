#include "supervisor/sys/files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include "tests/sys/world.hpp"

namespace {
std::vector<std::string>* synced = nullptr;  // what fsync() was called for, while a test wants to know
}  // namespace

/// In the place of libc's, for everything that is linked into this test.
extern "C" int fsync(int fd) {
    if (synced) {
        std::error_code error;
        synced->push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error));
    }
    return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace modelguard::sys::test {
namespace {

namespace fs = std::filesystem;

void put(const Path& path, const std::string& content) { std::ofstream(path) << content; }
unsigned mode_of(const Path& path) {
    struct stat found{};
    EXPECT_EQ(::lstat(path.c_str(), &found), 0);
    return found.st_mode & 07777;
}
std::size_t entries_in(const Path& path) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator{}));
}

/// Runs `body` as an ordinary user, for whom permission bits count: root ignores them. True if it returned true.
bool as_nobody(const Path& owned, const std::function<bool()>& body) {
    if (::geteuid() != 0) return body();
    fs::permissions(owned.parent_path(), fs::perms::owner_all | fs::perms::others_exec | fs::perms::others_read);
    constexpr uid_t kNobody = 65534;
    for (const auto& entry : fs::recursive_directory_iterator(owned))
        EXPECT_EQ(::lchown(entry.path().c_str(), kNobody, kNobody), 0);
    EXPECT_EQ(::lchown(owned.c_str(), kNobody, kNobody), 0);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::setgid(kNobody) == 0 && ::setuid(kNobody) == 0 && body() ? 0 : 1);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct FilesTest : ::testing::Test {
    TempDir dir;
};

TEST_F(FilesTest, file_is_replaced_whole_with_its_mode_and_without_leftovers) {
    const Path file = dir / "state";
    ASSERT_TRUE(write_file_atomic(file, "old", 0600).has_value());
    ASSERT_TRUE(write_file_atomic(file, "new content", 0644).has_value());

    EXPECT_EQ(read_file(file).value(), "new content");
    EXPECT_EQ(mode_of(file), 0644U);
    EXPECT_EQ(entries_in(dir.path()), 1U);
}

TEST_F(FilesTest, mode_is_exact_whatever_the_umask) {
    const mode_t before = ::umask(0077);
    EXPECT_TRUE(write_file_atomic(dir / "public", "x", 0644).has_value());
    EXPECT_TRUE(make_directories(dir / "a/b", 0755).has_value());
    ::umask(before);
    EXPECT_EQ(mode_of(dir / "public"), 0644U);
    EXPECT_EQ(mode_of(dir / "a"), 0755U);
    EXPECT_EQ(mode_of(dir / "a/b"), 0755U);
}

TEST_F(FilesTest, reader_that_has_the_old_file_open_keeps_it) {
    const Path file = dir / "state";
    ASSERT_TRUE(write_file_atomic(file, "old", 0644).has_value());
    std::ifstream reader(file);
    ASSERT_TRUE(write_file_atomic(file, "new", 0644).has_value());
    std::string seen;
    reader >> seen;
    EXPECT_EQ(seen, "old");
}

TEST_F(FilesTest, stale_temp_of_a_crash_is_replaced_not_followed) {
    put(dir / "victim", "precious");
    ASSERT_EQ(::symlink((dir / "victim").c_str(), (dir / ".state.tmp").c_str()), 0);
    ASSERT_TRUE(write_file_atomic(dir / "state", "new", 0644).has_value());
    EXPECT_EQ(read_file(dir / "victim").value(), "precious");
    EXPECT_EQ(read_file(dir / "state").value(), "new");
    EXPECT_EQ(entries_in(dir.path()), 2U);
}

TEST_F(FilesTest, failed_replacement_leaves_the_old_file_and_no_temp) {
    fs::create_directory(dir / "state");
    put(dir / "state/inside", "x");
    EXPECT_FALSE(write_file_atomic(dir / "state", "new", 0644).has_value());
    EXPECT_EQ(entries_in(dir.path()), 1U);
    EXPECT_EQ(read_file(dir / "state/inside").value(), "x");

    EXPECT_EQ(write_file_atomic(dir / "no/such/place", "x", 0644).error().kind, ErrorKind::not_found);
    EXPECT_FALSE(write_file_atomic(dir.path() / "", "x", 0644).has_value());
    EXPECT_FALSE(write_file_atomic(dir / "..", "x", 0644).has_value());
}

TEST_F(FilesTest, full_disk_fails_the_replacement_and_keeps_the_old_content) {
    // The real thing in miniature: a file size limit makes write() come up short and then fail, as a full disk does.
    ASSERT_TRUE(write_file_atomic(dir / "state", "old", 0644).has_value());
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, 4096};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const Result<void> written = write_file_atomic(dir / "state", std::string(10'000, 'x'), 0644);
        ::_exit(!written && written.error().sys_errno == EFBIG ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(read_file(dir / "state").value(), "old");
    EXPECT_EQ(entries_in(dir.path()), 1U);
}

TEST_F(FilesTest, read_stops_at_the_cap) {
    put(dir / "file", "0123456789");
    EXPECT_EQ(read_file(dir / "file", 10).value(), "0123456789");
    const Result<std::string> beyond = read_file(dir / "file", 9);
    ASSERT_FALSE(beyond.has_value());
    EXPECT_EQ(beyond.error().kind, ErrorKind::io);
    EXPECT_EQ(beyond.error().sys_errno, EFBIG);
}

TEST_F(FilesTest, files_without_a_size_and_large_ones_are_read_whole) {
    EXPECT_NE(read_file("/proc/self/status").value().find("SigBlk"), std::string::npos);
    put(dir / "empty", "");
    EXPECT_EQ(read_file(dir / "empty").value(), "");
    const std::string large(3'000'000, 'y');
    put(dir / "large", large);
    EXPECT_EQ(read_file(dir / "large").value(), large);
}

TEST_F(FilesTest, first_line_is_read_and_no_more) {
    const std::string long_line(10'000, 'x');
    for (const auto& [content, line] : {std::pair<std::string, std::string>{"", ""},
                                        {"one", "one"},
                                        {"one\ntwo\n", "one"},
                                        {"\ntwo\n", ""},
                                        {long_line, long_line},
                                        {long_line + "\n" + std::string(100'000, 'y'), long_line}}) {
        put(dir / "file", content);
        const auto read = read_first_line(dir / "file", 20'000);
        ASSERT_TRUE(read) << read.error().what;
        EXPECT_EQ(*read, line);
    }
    put(dir / "file", long_line + "\nshort");
    EXPECT_FALSE(read_first_line(dir / "file", 9'999));
    EXPECT_TRUE(read_first_line(dir / "file", 10'000));
    EXPECT_FALSE(read_first_line(dir / "missing", 10));
}

TEST_F(FilesTest, read_refuses_links_directories_and_fifos) {
    put(dir / "file", "x");
    ASSERT_EQ(::symlink("file", (dir / "link").c_str()), 0);
    ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);

    EXPECT_EQ(read_file(dir / "link").error().sys_errno, ELOOP);
    EXPECT_EQ(read_file(dir.path()).error().kind, ErrorKind::io);
    EXPECT_EQ(read_file(dir / "fifo").error().kind, ErrorKind::io);
    EXPECT_EQ(read_file(dir / "none").error().kind, ErrorKind::not_found);
}

TEST_F(FilesTest, link_is_made_replaced_and_read) {
    const Path link = dir / "current";
    EXPECT_EQ(sys::read_symlink(link).value(), std::nullopt);
    ASSERT_TRUE(replace_symlink(link, "versions/a").has_value());
    EXPECT_EQ(sys::read_symlink(link).value(), "versions/a");
    ASSERT_TRUE(replace_symlink(link, "versions/b").has_value());
    EXPECT_EQ(sys::read_symlink(link).value(), "versions/b");
    EXPECT_EQ(entries_in(dir.path()), 1U);
}

TEST_F(FilesTest, link_that_is_right_already_is_left_alone) {
    const Path link = dir / "current";
    ASSERT_TRUE(replace_symlink(link, "versions/a").has_value());
    struct stat before{}, after{};
    ASSERT_EQ(::lstat(link.c_str(), &before), 0);
    ASSERT_TRUE(replace_symlink(link, "versions/a").has_value());
    ASSERT_EQ(::lstat(link.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(FilesTest, stale_temp_link_of_a_crash_is_removed_first) {
    const Path link = dir / "current";
    ASSERT_TRUE(replace_symlink(link, "versions/a").has_value());
    ASSERT_EQ(::symlink("versions/dead", (dir / ".current.tmp").c_str()), 0);
    ASSERT_TRUE(replace_symlink(link, "versions/b").has_value());
    EXPECT_EQ(sys::read_symlink(link).value(), "versions/b");
    EXPECT_EQ(entries_in(dir.path()), 1U);
}

TEST_F(FilesTest, something_else_in_the_place_of_a_link_is_not_touched) {
    put(dir / "file", "precious");
    fs::create_directory(dir / "folder");
    for (const char* name : {"file", "folder"}) {
        EXPECT_EQ(replace_symlink(dir / name, "x").error().kind, ErrorKind::io);
        EXPECT_EQ(remove_symlink(dir / name).error().kind, ErrorKind::io);
        EXPECT_EQ(sys::read_symlink(dir / name).error().kind, ErrorKind::io);
    }
    EXPECT_EQ(read_file(dir / "file").value(), "precious");
}

TEST_F(FilesTest, removing_a_link_leaves_its_target_and_is_fine_twice) {
    put(dir / "target", "x");
    ASSERT_TRUE(replace_symlink(dir / "link", "target").has_value());
    EXPECT_TRUE(remove_symlink(dir / "link").has_value());
    EXPECT_TRUE(remove_symlink(dir / "link").has_value());
    EXPECT_EQ(sys::read_symlink(dir / "link").value(), std::nullopt);
    EXPECT_TRUE(fs::exists(dir / "target"));
}

TEST_F(FilesTest, directories_are_made_on_the_way_and_existing_ones_keep_their_mode) {
    ASSERT_TRUE(make_directories(dir / "a", 0700).has_value());
    ASSERT_TRUE(make_directories(dir / "a/b/c/", 0750).has_value());
    EXPECT_EQ(mode_of(dir / "a"), 0700U);
    EXPECT_EQ(mode_of(dir / "a/b"), 0750U);
    EXPECT_EQ(mode_of(dir / "a/b/c"), 0750U);
    EXPECT_TRUE(make_directories(dir / "a/b/c", 0700).has_value());

    put(dir / "file", "x");
    EXPECT_EQ(make_directories(dir / "file", 0700).error().kind, ErrorKind::conflict);
    EXPECT_FALSE(make_directories(dir / "file/below", 0700).has_value());
}

TEST_F(FilesTest, directory_that_was_there_is_made_durable_too) {
    fs::create_directories(dir / "a/b");  // made and killed before the fsync
    std::vector<std::string> list;
    synced = &list;

    ASSERT_TRUE(make_directories(dir / "a/b/c", 0755).has_value());
    EXPECT_EQ(list, (std::vector<std::string>{dir / "a", dir / "a/b"}));
    list.clear();
    ASSERT_TRUE(make_directories(dir / "a/b/c", 0755).has_value());
    EXPECT_EQ(list, std::vector<std::string>{dir / "a/b"});

    synced = nullptr;
}

TEST_F(FilesTest, link_that_is_gone_already_is_made_durable_too) {
    std::vector<std::string> list;
    synced = &list;
    EXPECT_TRUE(remove_symlink(dir / "none").has_value());
    synced = nullptr;
    EXPECT_EQ(list, std::vector<std::string>{dir.path()});
}

TEST_F(FilesTest, small_tree_is_removed_and_a_large_one_left_in_part) {
    fs::create_directories(dir / "tree/inner");
    for (const char* name : {"1", "2", "3"})
        put(dir / "tree/inner" / name, "x");
    EXPECT_EQ(remove_small_tree(dir / "tree", 3).value(), false);
    EXPECT_EQ(entries_in(dir / "tree/inner"), 1U);
    put(dir / "tree/large", "x");
    fs::resize_file(dir / "tree/large", 17u << 20);

    EXPECT_EQ(remove_small_tree(dir / "tree", 100).value(), false);
    EXPECT_TRUE(fs::exists(dir / "tree/large"));
    fs::resize_file(dir / "tree/large", 1u << 20);
    EXPECT_EQ(remove_small_tree(dir / "tree", 100).value(), true);
    EXPECT_FALSE(fs::exists(dir / "tree"));
    EXPECT_EQ(remove_small_tree(dir / "tree", 0).value(), true) << "gone already is fine";
}

TEST_F(FilesTest, tree_is_removed_and_links_out_of_it_are_not_followed) {
    const TempDir outside;
    put(outside / "precious", "x");
    ASSERT_TRUE(make_directories(dir / "tree/deep/deeper", 0755).has_value());
    put(dir / "tree/deep/file", "y");
    ASSERT_EQ(::symlink(outside.path().c_str(), (dir / "tree/deep/out").c_str()), 0);
    ASSERT_EQ(::symlink((outside / "precious").c_str(), (dir / "tree/out").c_str()), 0);

    ASSERT_TRUE(remove_tree(dir / "tree").has_value());

    EXPECT_FALSE(fs::exists(dir / "tree"));
    EXPECT_TRUE(fs::exists(outside / "precious"));
    EXPECT_TRUE(remove_tree(dir / "tree").has_value()) << "gone already is fine";
}

TEST_F(FilesTest, tree_that_is_itself_a_link_or_a_file_goes_alone) {
    const TempDir outside;
    put(outside / "precious", "x");
    ASSERT_EQ(::symlink(outside.path().c_str(), (dir / "link").c_str()), 0);
    put(dir / "file", "x");
    EXPECT_TRUE(remove_tree(dir / "link").has_value());
    EXPECT_TRUE(remove_tree(dir / "file").has_value());
    EXPECT_EQ(entries_in(dir.path()), 0U);
    EXPECT_TRUE(fs::exists(outside / "precious"));
    EXPECT_FALSE(remove_tree("/").has_value());
    EXPECT_FALSE(remove_tree(dir / "..").has_value());
}

TEST_F(FilesTest, read_only_and_unreadable_directories_are_removed_by_their_owner) {
    // Modes as an imported version has them, and worse ones that a hostile archive can bring.
    ASSERT_TRUE(make_directories(dir / "tree/readonly/inner", 0755).has_value());
    for (const char* name : {"tree/unreadable", "tree/unsearchable", "tree/nothing"})
        fs::create_directory(dir / name);
    for (const char* name :
         {"tree/readonly/inner/file", "tree/unreadable/file", "tree/unsearchable/file", "tree/nothing/file"})
        put(dir / name, "x");
    const bool removed = as_nobody(dir / "tree", [&] {
        using Mode = std::pair<const char*, mode_t>;
        for (const auto& [name, mode] :
             {Mode{"tree/readonly/inner/file", 0444}, Mode{"tree/readonly/inner", 0555}, Mode{"tree/readonly", 0555},
              Mode{"tree/unreadable", 0311}, Mode{"tree/unsearchable", 0444}, Mode{"tree/nothing", 0}})
            if (::chmod((dir / name).c_str(), mode) != 0) return false;
        // The parent belongs to somebody else: only what is inside can go.
        for (const char* name : {"tree/readonly", "tree/unreadable", "tree/unsearchable", "tree/nothing"})
            if (!remove_tree(dir / name)) return false;
        return true;
    });
    EXPECT_TRUE(removed);
    EXPECT_EQ(entries_in(dir / "tree"), 0U);
}

TEST_F(FilesTest, tree_deeper_than_any_path_and_than_the_descriptor_limit_is_removed) {
    constexpr int kDepth = 100;
    const std::string name(100, 'n');  // 100 x 100 is beyond PATH_MAX
    fs::create_directory(dir / "tree");
    Fd at = std::move(*open_directory(dir / "tree"));
    for (int i = 0; i < kDepth; ++i) {
        ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0755), 0);
        at = Fd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ASSERT_TRUE(at);
    }
    at.reset();
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit few{30, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);

    const Result<void> removed = remove_tree(dir / "tree");

    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(removed.has_value()) << removed.error().what;
    EXPECT_FALSE(fs::exists(dir / "tree"));
}

TEST_F(FilesTest, free_space_is_what_the_system_says) {
    const std::uint64_t expected = fs::space(dir.path()).available;
    const std::uint64_t actual = free_bytes(dir.path()).value();
    constexpr std::uint64_t kOthersMayWrite = 1u << 30;
    EXPECT_LT(std::max(expected, actual) - std::min(expected, actual), kOthersMayWrite);
    EXPECT_GT(actual, 0U);
    EXPECT_EQ(free_bytes(dir / "none").error().kind, ErrorKind::not_found);
}

TEST_F(FilesTest, errors_name_the_path) {
    EXPECT_NE(read_file(dir / "none").error().what.find((dir / "none").native()), std::string::npos);
    EXPECT_EQ(open_directory(dir / "none").error().kind, ErrorKind::not_found);
    EXPECT_EQ(fsync_directory(dir / "none").error().kind, ErrorKind::not_found);
    EXPECT_TRUE(fsync_directory(dir.path()).has_value());
}

}  // namespace
}  // namespace modelguard::sys::test
