// state.bak.{0,1}, as power loss or a bad card left them: what is shown is one that was written whole, the newest.

#include <fstream>

#include "supervisor/api/client.hpp"
#include "supervisor/store/versions.hpp"
#include "supervisor/sys/sha256.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

void write(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

/// What is done with the two files of an input, its first byte: their checksums are mostly put right, since mutations
/// would not get past them.
enum How : unsigned { as_they_are, first_is_whole, first_is_torn };

std::string with_checksum(const std::string& json, unsigned number) {
    return json + "\nsha256:" + sys::sha256_hex(json) + " " + std::to_string(number) + "\n";
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    fuzz::Input input(data, size);
    const unsigned how = input.take_byte() % 3;
    const unsigned number = input.take_byte();
    const std::string first(input.take_until("\xff\xff"));
    const std::string second(input.rest());
    const store::Places places{.state = fuzz::scratch(), .runtime = {}, .config = {}};
    const std::string whole = with_checksum(first, number);
    write(places.backup(0), how == as_they_are      ? first
                            : how == first_is_whole ? whole
                                                    : whole.substr(0, whole.size() * number / 256));
    write(places.backup(1), how == first_is_torn ? "" : second);

    const auto backup = api::read_backup(places.state);

    if (!backup) MG_ASSERT(backup.error().kind == ErrorKind::malformed_reply);
    if (how == first_is_torn) MG_ASSERT(!backup);
    if (!backup) return 0;
    // What is believed says the same when it is read again.
    const auto again = api::status_from_json(backup->json);
    MG_ASSERT(again && api::to_json(*again) == api::to_json(backup->status));
    if (how == as_they_are) return 0;
    if (backup->number == number) return 0;
    // Then it is the other file: whole (a checksum that fits by chance is not to be had), and either newer or the only
    // one that is believed, since a checksum can fit a text that is no status.
    MG_ASSERT(second.find("sha256:") != std::string::npos);
    write(places.backup(1), "");
    MG_ASSERT(backup->number > number || !api::read_backup(places.state));
    return 0;
}
