#include "supervisor/cli/program.hpp"

#include <unistd.h>

#include <filesystem>

namespace modelguard::cli {

Result<std::string> find_program(const std::string& name, std::initializer_list<const char*> folders) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return fail_errno("/proc/self/exe", error.value());
    for (const char* folder : folders) {
        const std::string path = (self.parent_path() / folder / name).lexically_normal().string();
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return fail(ErrorKind::internal, name + " is missing from this installation");
}

}  // namespace modelguard::cli
