#pragma once
// A version store in a directory of its own, with real children, and what a test does with it.

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/store/versions.hpp"
#include "tests/store/tar_bytes.hpp"
#include "tests/sys/world.hpp"

namespace modelguard::store::test {

using sys::test::make_loop;
using sys::test::run_until;
using sys::test::TempDir;

inline std::string content_of(const sys::Path& path) {
    const auto text = sys::read_file(path, 64u << 20);
    EXPECT_TRUE(text.has_value()) << path;
    return text.value_or("");
}

inline void write_file(const sys::Path& path, std::string_view content, unsigned mode = 0644) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
}

struct StoreTest : ::testing::Test {
    TempDir dir;
    std::unique_ptr<sys::Loop> loop = make_loop();
    Places places = places_under(dir.path());
    ImportLimits limits{.reserve_bytes = 0};
    std::unique_ptr<VersionStore> store = open_store();

    StoreTest() { ::signal(SIGPIPE, SIG_IGN); }  // as the daemon does: a child may end before it has read everything

    std::unique_ptr<VersionStore> open_store() {
        auto opened = VersionStore::open(*loop, places, limits, STORE_CHILD);
        EXPECT_TRUE(opened.has_value()) << opened.error().what;
        return std::move(*opened);
    }
    void reopen(const ImportLimits& with) {
        limits = with;
        store = open_store();
    }

    Result<VersionInfo> import(std::string_view bytes, const std::string& model = "digits") {
        std::optional<Result<VersionInfo>> result;
        auto import = store->begin_import(model, [&](Result<VersionInfo> r) { result = std::move(r); });
        if (!import) return std::unexpected(import.error());
        sys::Source writable;
        const auto feed = [&](std::uint32_t) {
            const ssize_t count = ::write((*import)->input_fd(), bytes.data(), bytes.size());
            if (count < 0 && errno == EAGAIN) return;
            if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
            if (count >= 0 && !bytes.empty()) return;
            writable.reset();
            (*import)->finish_input();
        };
        writable = loop->add_io((*import)->input_fd(), EPOLLOUT, feed);
        EXPECT_TRUE(run_until(*loop, [&] { return result.has_value(); }, std::chrono::minutes(2)));
        return result.value_or(fail(ErrorKind::timed_out, "no answer"));
    }
    Digest imported(const Tar& tar) {
        const auto info = import(tar.bytes());
        EXPECT_TRUE(info.has_value()) << info.error().what;
        return info ? info->digest : Digest{};
    }

    using Verified = VersionStore::Verified;
    Result<Verified> verify(const Digest& digest, const std::string& stamps = {}) {
        std::optional<Result<Verified>> result;
        const sys::Process child =
            store->verify("digits", digest, stamps, [&](Result<Verified> r) { result = std::move(r); });
        hashed = static_cast<bool>(child);
        EXPECT_FALSE(result.has_value()) << "answered inside the call";
        EXPECT_TRUE(run_until(*loop, [&] { return result.has_value(); }));
        return result.value_or(fail(ErrorKind::timed_out, "no answer"));
    }
    bool hashed{false};  ///< the last verify() took a child

    std::vector<std::string> names_in(const sys::Path& path) const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(path))
            names.push_back(entry.path().filename());
        std::ranges::sort(names);
        return names;
    }
    std::vector<std::string> staged() const { return names_in(places.staging()); }
};

}  // namespace modelguard::store::test
