// The daemon's executable as far as the tests of the store need it: the children, and a second one at the ledger.

#include <cstdio>
#include <cstring>

#include "supervisor/store/ledger.hpp"

int main(int argc, char** argv) {
    if (argc > 1 && std::strcmp(argv[1], "--child-import") == 0) return modelguard::store::run_import_child(argc, argv);
    if (argc > 1 && std::strcmp(argv[1], "--child-hash") == 0) return modelguard::store::run_hash_child(argc, argv);
    if (argc > 1 && std::strcmp(argv[1], "--child-remove") == 0) return modelguard::store::run_remove_child(argc, argv);
    if (argc > 2 && std::strcmp(argv[1], "--open-ledger") == 0) {  // as a second daemon would
        modelguard::store::Loaded loaded;
        const auto ledger = modelguard::store::Ledger::open(argv[2], loaded);
        if (!ledger) std::printf("%s", ledger.error().what.c_str());
        return ledger ? 0 : ledger.error().kind == modelguard::ErrorKind::conflict ? 1 : 2;
    }
    std::fprintf(stderr, "usage: %s --child-import|--child-hash|--child-remove …\n", argv[0]);
    return 2;
}
