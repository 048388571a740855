#pragma once
// podman's REST API over its unix socket, as much of it as checks and switches share: requests, what is read of the
// answers, and image.json of a version. Not for deciding anything by it.
// Source: podman's libpod API 4.0 (pkg/api/server), libpod/define/container_inspect.go.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/sys/files.hpp"
#include "supervisor/sys/http.hpp"

namespace modelguard::sys {

inline constexpr std::string_view kPodmanSocket = "/run/podman/podman.sock";  ///< podman.socket's own, root's

/// image.json of a version that is served from a container image.
struct ImageFile {
    std::string reference;  ///< for people: where it comes from, "registry.example/digits:4"
    std::string digest;     ///< "sha256:…", of its manifest or its id
};
/// invalid_config where it is no such object, or its reference is not one line of 255 bytes at most.
Result<ImageFile> parse_image_file(std::string_view text);
/// nullopt where the version has none. invalid_config where it is not what it should be, io where it cannot be read.
Result<std::optional<ImageFile>> read_image_file(const Path& version_dir);

/// A request to the API; `path` begins behind "libpod", as in "/containers/digits/json".
HttpRequest podman_request(const std::string& socket, std::string method, std::string_view path);
/// The API's own words of why not ("cause", "message"), or the first line of the body.
std::string podman_error(const HttpReply& reply);

struct LocalImage {
    std::string id;                    ///< 64 hex digits
    std::vector<std::string> digests;  ///< "sha256:…": of its manifest, wherever it came from
    std::vector<std::string> tags;     ///< "localhost/modelguard/digits:current"

    /// By the digest of its manifest or by its id: both are hashes of its whole content.
    bool is(std::string_view digest) const;
};
/// The list of images, or one of them. malformed_reply otherwise.
Result<std::vector<LocalImage>> parse_images(std::string_view body);

/// What `inspect` says of a container; texts in podman's words, empty where it has none.
struct ContainerState {
    std::string id;
    std::string status;      ///< "created", "running", "exited", …
    std::string started_at;  ///< differs between any two starts
    std::int64_t exit_code{0};
    bool oom_killed{false};
    std::uint64_t restarts{0};  ///< RestartCount: by podman's restart policy
    std::string health;         ///< "starting", "healthy", "unhealthy", …; empty: no health check
    std::int64_t failing_streak{0};
    std::string health_output;  ///< of the newest run of the health check
    std::string image_id;       ///< 64 hex digits
    std::string image_digest;   ///< "sha256:…"
    std::string image_name;
};
/// malformed_reply where it has no id or no status: podman's files are not written atomically.
Result<ContainerState> parse_container(std::string_view body);

}  // namespace modelguard::sys
