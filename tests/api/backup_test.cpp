#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "supervisor/api/client.hpp"
#include "tests/api/scripted_server.hpp"

namespace modelguard::api {
namespace {

using test::TempDir;
using test::write_text;

std::string hex_sha256(const std::string& text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr);
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", digest[i]);
        hex += two;
    }
    return hex;
}

std::string backup_text(const std::string& version, int number) {
    Status status;
    status.version = version;
    const std::string json = to_json(status);
    return json + "\nsha256:" + hex_sha256(json) + " " + std::to_string(number) + "\n";
}

TEST(Backup, the_newest_whole_one_is_taken) {
    TempDir dir;
    write_text(dir / "state.bak.0", backup_text("new", 12));
    write_text(dir / "state.bak.1", backup_text("old", 9));
    auto backup = read_backup(dir.path());
    ASSERT_TRUE(backup) << backup.error().what;
    EXPECT_EQ(backup->status.version, "new");
    EXPECT_EQ(backup->number, 12u);
    EXPECT_EQ(backup->json, to_json(backup->status));

    write_text(dir / "state.bak.1", backup_text("newer", 100));
    backup = read_backup(dir.path());
    ASSERT_TRUE(backup);
    EXPECT_EQ(backup->status.version, "newer");
}

TEST(Backup, a_torn_newest_one_leaves_the_older_at_every_length) {
    TempDir dir;
    const std::string whole = backup_text("new", 12);
    write_text(dir / "state.bak.1", backup_text("old", 11));
    for (std::size_t length = 0; length < whole.size(); ++length) {
        write_text(dir / "state.bak.0", whole.substr(0, length));
        const auto backup = read_backup(dir.path());
        ASSERT_TRUE(backup) << length;
        ASSERT_EQ(backup->status.version, "old") << length;
    }
}

TEST(Backup, a_changed_byte_anywhere_in_the_document_is_noticed) {
    TempDir dir;
    const std::string whole = backup_text("new", 12);
    for (std::size_t at = 0; at < whole.find('\n'); ++at) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        write_text(dir / "state.bak.0", changed);
        const auto backup = read_backup(dir.path());
        ASSERT_FALSE(backup) << at;
        EXPECT_EQ(backup.error().kind, ErrorKind::malformed_reply);
    }
}

TEST(Backup, none_is_not_found_and_a_foreign_file_is_malformed) {
    TempDir dir;
    EXPECT_EQ(read_backup(dir.path()).error().kind, ErrorKind::not_found);
    EXPECT_EQ(read_backup(dir / "nowhere").error().kind, ErrorKind::not_found);

    const std::string foreign = "{}";
    write_text(dir / "state.bak.1", foreign + "\nsha256:" + hex_sha256(foreign) + " 1\n");
    EXPECT_EQ(read_backup(dir.path()).error().kind, ErrorKind::malformed_reply);
    for (const char* checksum : {"", "sha256:00", "sha256:00 ", "sha256:00 1x", " 1"}) {
        write_text(dir / "state.bak.1", foreign + "\n" + checksum + "\n");
        EXPECT_EQ(read_backup(dir.path()).error().kind, ErrorKind::malformed_reply) << checksum;
    }
}

}  // namespace
}  // namespace modelguard::api
