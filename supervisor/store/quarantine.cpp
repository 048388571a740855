#include "supervisor/store/quarantine.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "supervisor/store/place_tree.hpp"

namespace modelguard::store {

namespace {

sys::Path quarantine_of(const Places& places, const std::string& model) {
    return places.model_dir(model) / "quarantine";
}

/// The N of DIGEST-N; 0 for any other name, which is older than all of ours.
std::uint64_t number_of(const sys::Path& tree) {
    const std::string name = tree.filename();
    const std::size_t dash = name.rfind('-');
    std::uint64_t number = 0;
    if (dash != std::string::npos) std::from_chars(name.data() + dash + 1, name.data() + name.size(), number);
    return number;
}

}  // namespace

Result<std::vector<sys::Path>> quarantined_trees(const Places& places, const std::string& model) {
    std::vector<sys::Path> trees;
    std::error_code error;
    const sys::Path folder = quarantine_of(places, model);
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        trees.push_back(at->path());
    if (error && error != std::errc::no_such_file_or_directory)
        return fail_errno("read " + folder.string(), error.value());
    std::ranges::sort(trees, std::greater{}, number_of);
    return trees;
}

Result<void> quarantine_tree(const Places& places, const std::string& model, const Digest& digest) {
    const sys::Path folder = quarantine_of(places, model);
    MG_CHECK(sys::make_directories(folder, 0755));
    MG_TRY(const std::vector<sys::Path> trees, quarantined_trees(places, model));
    const std::uint64_t next = trees.empty() ? 1 : number_of(trees.front()) + 1;
    MG_CHECK(retire_tree(places.version_dir(model, digest), folder / (digest.dir_name() + "-" + std::to_string(next))));
    return sys::fsync_directory(folder);
}

}  // namespace modelguard::store
