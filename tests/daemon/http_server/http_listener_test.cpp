#include "supervisor/daemon/http_listener.hpp"

#include <sys/stat.h>

#include <fstream>

#include "tests/daemon/http_server/server_fixture.hpp"

namespace modelguard::daemon {
namespace {

using testing::RawClient;

class Listener : public testing::ServerTest {
  protected:
    mode_t mode_of(const std::string& file) {
        struct stat info{};
        return ::stat(file.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
    }
};

TEST_F(Listener, makes_the_socket_with_its_mode_whatever_the_umask) {
    const mode_t before = ::umask(0077);
    auto open = listen_on_path(path, 0666);
    auto closed = listen_on_path(directory + "/control.sock", 0660);
    ::umask(before);

    ASSERT_TRUE(open && closed);
    EXPECT_EQ(mode_of(path), 0666u);
    EXPECT_EQ(mode_of(directory + "/control.sock"), 0660u);
    EXPECT_EQ(::fcntl(open->socket.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(Listener, a_stale_socket_is_replaced) {
    {
        auto left_behind = listen_on_path(path, 0666);
    }  // closed without remove_name(), as a killed daemon leaves it
    ASSERT_TRUE(std::filesystem::exists(path));
    ASSERT_EQ(RawClient(path).connect_errno, ECONNREFUSED);

    auto listener = listen_on_path(path, 0666);

    ASSERT_TRUE(listener) << listener.error().what;
    EXPECT_EQ(RawClient(path).connect_errno, 0);
}

TEST_F(Listener, a_live_socket_is_refused_and_left_alone) {
    auto first = listen_on_path(path, 0666);
    ASSERT_TRUE(first);

    auto second = listen_on_path(path, 0666);

    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
    EXPECT_NE(second.error().what.find(path), std::string::npos);
    EXPECT_EQ(RawClient(path).connect_errno, 0);
}

TEST_F(Listener, a_live_socket_with_a_full_backlog_is_live) {
    const sys::Fd busy = testing::listening_socket(path, 0);
    std::vector<std::unique_ptr<RawClient>> waiting;
    do
        waiting.push_back(std::make_unique<RawClient>(path));
    while (waiting.back()->connect_errno == 0);
    ASSERT_EQ(waiting.back()->connect_errno, EAGAIN);

    auto second = listen_on_path(path, 0666);

    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

TEST_F(Listener, a_file_that_is_no_socket_is_refused_and_left_alone) {
    std::ofstream(path) << "precious";

    auto listener = listen_on_path(path, 0666);

    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().kind, ErrorKind::conflict);
    EXPECT_EQ(std::filesystem::file_size(path), 8u);
}

TEST_F(Listener, a_missing_directory_is_not_found) {
    auto listener = listen_on_path(directory + "/none/api.sock", 0666);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().kind, ErrorKind::not_found);
}

TEST_F(Listener, a_name_that_cannot_be_bound_is_said_to_be_too_long) {
    auto listener = listen_on_path(directory + "/" + std::string(120, 'n'), 0666);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().kind, ErrorKind::invalid_config);
    EXPECT_NE(listener.error().what.find("too long"), std::string::npos);
}

TEST_F(Listener, removes_only_the_socket_it_made) {
    auto old_one = listen_on_path(path, 0666);
    ASSERT_TRUE(old_one);
    std::filesystem::remove(path);
    auto new_one = listen_on_path(path, 0666);
    ASSERT_TRUE(new_one);

    old_one->remove_name();
    EXPECT_TRUE(std::filesystem::exists(path));

    new_one->remove_name();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Listener, adopts_listening_unix_sockets_only) {
    auto adopted = adopt_listener(testing::listening_socket(path, 5));
    ASSERT_TRUE(adopted) << adopted.error().what;
    EXPECT_NE(::fcntl(adopted->socket.get(), F_GETFL) & O_NONBLOCK, 0);
    adopted->remove_name();
    EXPECT_TRUE(std::filesystem::exists(path)) << "the socket unit made it, the socket unit removes it";

    auto silent = adopt_listener(sys::Fd(::socket(AF_UNIX, SOCK_STREAM, 0)));
    ASSERT_FALSE(silent);
    EXPECT_EQ(silent.error().kind, ErrorKind::invalid_config);
    auto no_socket = adopt_listener(sys::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
    ASSERT_FALSE(no_socket);
}

}  // namespace
}  // namespace modelguard::daemon
