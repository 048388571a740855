// state.bak.{0,1}: what the daemon last knew, readable without it.

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "supervisor/api/client.hpp"

namespace modelguard::api {

namespace {

constexpr std::size_t kMaxBackupBytes = 16u << 20;  // a status of 10,000 models is 4 MiB

// sys has a reader and a hash, but the CLI must not link sys (it brings sd-event and curl).
Result<std::string> read_whole(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return fail_errno(path, errno);
    std::string text;
    std::array<char, 64 * 1024> buffer;
    ssize_t count = 0;
    while ((count = ::read(fd, buffer.data(), buffer.size())) != 0) {
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 || text.size() > kMaxBackupBytes) break;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    const int error = count < 0 ? errno : EFBIG;
    ::close(fd);
    if (count != 0) return fail_errno(path, error);
    return text;
}

std::string sha256_hex(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) return {};
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) {
        hex += "0123456789abcdef"[digest[i] >> 4];
        hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
}

Result<Backup> parse_backup(std::string text, const std::string& path) {
    const auto bad = [&](const char* why) { return fail(ErrorKind::malformed_reply, path + ": " + why); };
    const std::size_t end_of_json = text.find('\n');
    const bool has_second_line =
        end_of_json != std::string::npos && end_of_json + 1 < text.size() && text.ends_with('\n');
    if (!has_second_line) return bad("torn: the checksum line is missing");
    std::string_view checksum(text);
    checksum.remove_prefix(end_of_json + 1);
    checksum.remove_suffix(1);

    Backup backup;
    const std::size_t space = checksum.find(' ');
    if (space == std::string_view::npos) return bad("the checksum line is not '<sha256> <number>'");
    const std::string_view digits = checksum.substr(space + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), backup.number);
    if (error != std::errc{} || end != digits.data() + digits.size()) return bad("the checksum line has no number");

    const std::string stated(checksum.substr(0, space));
    text.resize(end_of_json);
    if (stated != "sha256:" + sha256_hex(text)) return bad("its checksum is wrong");
    MG_TRY(backup.status, with_context(status_from_json(text), path));
    auto document = nlohmann::ordered_json::parse(text, nullptr, false);
    // The number in the second line is not under its checksum; where the document repeats it, it has to be the same.
    if (const auto number = document.find("backup"); number != document.end() && *number != backup.number)
        return bad("its number is wrong");
    document.erase("backup");
    document.erase("ledger");  // the daemon's own, for when its ledger is lost
    backup.json = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    return backup;
}

}  // namespace

Result<Backup> read_backup(const std::string& state_dir) {
    Result<Backup> newest = fail(ErrorKind::not_found, "no state.bak in " + state_dir);
    for (const char* name : {"/state.bak.0", "/state.bak.1"}) {
        const std::string path = state_dir + name;
        auto text = read_whole(path);
        Result<Backup> backup =
            text ? parse_backup(std::move(*text), path) : Result<Backup>(std::unexpected(text.error()));
        if (backup) {
            if (!newest || backup->number > newest->number) newest = std::move(backup);
        } else if (!newest && backup.error().kind != ErrorKind::not_found) {
            newest = std::move(backup);  // a torn one says more than "none", and less than a whole one
        }
    }
    return newest;
}

}  // namespace modelguard::api
