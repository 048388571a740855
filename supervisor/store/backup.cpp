// state.bak.{0,1}: what the daemon last knew, for when it is dead. Read by api::read_backup().

#include "supervisor/store/ledger.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

Result<void> write_backup(const Places& places, std::string_view status_json, std::uint64_t number) {
    if (status_json.contains('\n')) return fail(ErrorKind::internal, "state.bak: the status is not one line");
    std::string content(status_json);
    content += "\nsha256:" + sys::sha256_hex(status_json) + " " + std::to_string(number) + "\n";
    // In turn: whatever happens to the one being written, the other is whole.
    return sys::write_file_atomic(places.backup(static_cast<int>(number % 2)), content, 0644);
}

}  // namespace modelguard::store
