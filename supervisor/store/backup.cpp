// state.bak.{0,1}: what the daemon last knew, for when it is dead or its ledger lost. Read by api::read_backup() and
// read_ledger_backups().

#include "supervisor/store/ledger.hpp"
#include "supervisor/sys/sha256.hpp"

namespace modelguard::store {

Result<void> write_backup(const Places& places, std::string_view status_json, std::string_view ledger_json,
                          std::uint64_t number) {
    if (status_json.contains('\n') || ledger_json.contains('\n'))
        return fail(ErrorKind::internal, "state.bak: the status is not one line");
    std::string content(status_json);
    if (!content.ends_with('}') || content.size() < 3)
        return fail(ErrorKind::internal, "state.bak: the status is not an object");
    content.pop_back();
    content.append(",\"backup\":").append(std::to_string(number));  // once more, where the checksum covers it
    if (!ledger_json.empty()) content.append(",\"ledger\":").append(ledger_json);
    content += '}';
    content += "\nsha256:" + sys::sha256_hex(content) + " " + std::to_string(number) + "\n";
    // In turn: whatever happens to the one being written, the other is whole.
    return sys::write_file_atomic(places.backup(static_cast<int>(number % 2)), content, 0644);
}

}  // namespace modelguard::store
