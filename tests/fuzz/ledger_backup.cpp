// What state.bak.{0,1} hold of the ledger, for a start without one: the newest that was written whole, or nothing.

#include "supervisor/store/ledger_backup.hpp"

#include <fstream>

#include "supervisor/sys/sha256.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

void write(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

/// What is done with the first of the two files, the first byte of an input: its checksum is mostly put right, since
/// mutations would not get past it.
enum How : unsigned { as_it_is, whole, torn };

std::string with_checksum(const std::string& json, unsigned number) {
    return json + "\nsha256:" + sys::sha256_hex(json) + " " + std::to_string(number) + "\n";
}

/// A state that is believed can be committed and read again as the same.
void check_state(const core::State& state) {
    std::vector<std::string> notes;
    const auto os = store::os_state_from_json(store::os_state_to_json(state.os), notes);
    MG_ASSERT(os && *os == state.os);
    for (const auto& [name, model] : state.models) {
        const auto again = store::model_state_from_json(store::model_state_to_json(model), notes);
        MG_ASSERT(again && *again == model);
    }
    MG_ASSERT(notes.empty());
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
    const std::string text = with_checksum(first, number);
    write(fuzz::scratch() / "state.bak.0", how == as_it_is ? first
                                           : how == whole  ? text
                                                           : text.substr(0, text.size() * number / 256));
    write(fuzz::scratch() / "state.bak.1", how == torn ? "" : second);

    const store::Backups found = store::read_ledger_backups(fuzz::scratch());

    for (const std::string& why : found.broken)
        MG_ASSERT(fuzz::is_one_line(why));
    if (how == torn) MG_ASSERT(!found.newest && found.broken.size() == 2);
    // The other file may be the newer one; a checksum that fits by chance is not to be had.
    const bool only_first = second.find("sha256:") == std::string::npos;
    if (only_first && found.newest) MG_ASSERT(how == whole && found.newest->file == "state.bak.0");
    if (how == whole && only_first && found.number != 0) MG_ASSERT(found.number == number);
    if (found.newest) check_state(found.newest->loaded.state);
    return 0;
}
