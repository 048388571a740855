#include "supervisor/sys/sha256.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "tests/sys/world.hpp"

namespace modelguard::sys::test {
namespace {

// FIPS 180-4, and the examples of NIST's "SHA-256 (as implemented)".
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, published_vectors) {
    EXPECT_EQ(sha256_hex("abc"), kAbc);
    EXPECT_EQ(sha256_hex(""), kEmpty);
    EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')), kMillionA);
}

TEST(Sha256, pieces_hash_like_the_whole_and_the_object_can_move) {
    Sha256 hash;
    hash.update("a");
    Sha256 moved(std::move(hash));
    moved.update("");
    moved.update("bc", 2);
    EXPECT_EQ(moved.finish_hex(), kAbc);
}

TEST(Sha256, file_is_hashed_from_where_it_stands) {
    const TempDir dir;
    ASSERT_TRUE(write_file_atomic(dir / "file", "xyz" + std::string(1'000'000, 'a'), 0600).has_value());
    const Fd fd(::open((dir / "file").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::lseek(fd.get(), 3, SEEK_SET), 3);
    EXPECT_EQ(sha256_hex_of(fd.get()).value(), kMillionA);
    EXPECT_EQ(sha256_hex_of(fd.get()).value(), kEmpty) << "nothing is left to read";
}

TEST(Sha256, unreadable_descriptor_is_an_error) {
    EXPECT_EQ(sha256_hex_of(-1).error().sys_errno, EBADF);
    const TempDir dir;
    EXPECT_EQ(sha256_hex_of(open_directory(dir.path())->get()).error().sys_errno, EISDIR);
}

}  // namespace
}  // namespace modelguard::sys::test
