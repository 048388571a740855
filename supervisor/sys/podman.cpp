#include "supervisor/sys/podman.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "supervisor/base/ids.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::sys {

namespace {
using nlohmann::json;

constexpr std::string_view kApi = "http://podman/v4.0.0/libpod";  // 5.x still answers it
constexpr std::size_t kMaxImageFile = 64u << 10;
constexpr std::size_t kMaxReference = 255;  // of the distribution specification's references

const json& member(const json& object, const char* key) {
    static const json none;
    if (!object.is_object()) return none;
    const auto found = object.find(key);
    return found == object.end() ? none : *found;
}
std::string text_of(const json& object, const char* key) {
    const json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}
std::int64_t number_of(const json& object, const char* key) {
    const json& value = member(object, key);
    return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}
bool flag_of(const json& object, const char* key) {
    const json& value = member(object, key);
    return value.is_boolean() && value.get<bool>();
}
std::vector<std::string> texts_of(const json& object, const char* key) {
    std::vector<std::string> texts;
    for (const json& value : member(object, key))
        if (value.is_string()) texts.push_back(value.get<std::string>());
    return texts;
}

LocalImage image_of(const json& object) {
    LocalImage image{.id = text_of(object, "Id"), .digests = {}, .tags = texts_of(object, "RepoTags")};
    if (std::string digest = text_of(object, "Digest"); !digest.empty()) image.digests.push_back(std::move(digest));
    for (const std::string& named : texts_of(object, "RepoDigests"))
        if (const auto at = named.find('@'); at != std::string::npos) image.digests.push_back(named.substr(at + 1));
    return image;
}
}  // namespace

Result<ImageFile> parse_image_file(std::string_view text) {
    const json document = json::parse(text, nullptr, false);
    ImageFile file{.reference = text_of(document, "reference"), .digest = {}};
    const auto digest = parse_digest(text_of(document, "digest"));
    if (file.reference.empty() || plain_line(file.reference, kMaxReference) != file.reference || !digest)
        return fail(ErrorKind::invalid_config,
                    R"(image.json: expected {"reference": "registry.example/digits:4", "digest": "sha256:…"}, the )"
                    "digest of the image's manifest or its id");
    file.digest = digest->text;
    return file;
}

Result<std::optional<ImageFile>> read_image_file(const Path& version_dir) {
    const auto text = read_file(version_dir / "image.json", kMaxImageFile);
    if (!text && text.error().sys_errno == ENOENT) return std::optional<ImageFile>{};
    if (!text) return std::unexpected(text.error());
    MG_TRY(ImageFile file, parse_image_file(*text));
    return std::optional(std::move(file));
}

HttpRequest podman_request(const std::string& socket, std::string method, std::string_view path) {
    HttpRequest request;
    request.method = std::move(method);
    request.url = std::string(kApi) + std::string(path);
    request.unix_socket = socket;
    return request;
}

std::string podman_error(const HttpReply& reply) {
    const json document = json::parse(reply.body, nullptr, false);
    std::string text = text_of(document, "message");
    if (text.empty()) text = text_of(document, "cause");
    return "HTTP " + std::to_string(reply.status) + ": " + plain_line(text.empty() ? reply.body : text);
}

bool LocalImage::is(std::string_view digest) const {
    if (std::ranges::find(digests, digest) != digests.end()) return true;
    constexpr std::string_view kAlgorithm = "sha256:";
    return !id.empty() && digest.starts_with(kAlgorithm) && digest.substr(kAlgorithm.size()) == id;
}

Result<std::vector<LocalImage>> parse_images(std::string_view body) {
    const json document = json::parse(body, nullptr, false);
    std::vector<LocalImage> images;
    if (document.is_object()) images.push_back(image_of(document));
    if (document.is_array())
        for (const json& object : document)
            images.push_back(image_of(object));
    const bool whole = std::ranges::none_of(images, [](const LocalImage& image) { return image.id.empty(); });
    if (!(document.is_object() || document.is_array()) || !whole)
        return fail(ErrorKind::malformed_reply, "podman answered without a list of images");
    return images;
}

Result<ContainerState> parse_container(std::string_view body) {
    const json document = json::parse(body, nullptr, false);
    const json& state = member(document, "State");
    ContainerState container{
        .id = text_of(document, "Id"),
        .status = text_of(state, "Status"),
        .started_at = text_of(state, "StartedAt"),
        .exit_code = number_of(state, "ExitCode"),
        .oom_killed = flag_of(state, "OOMKilled"),
        .restarts = static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_of(document, "RestartCount"))),
        .image_id = text_of(document, "Image"),
        .image_digest = text_of(document, "ImageDigest"),
        .image_name = text_of(document, "ImageName")};
    if (container.id.empty() || container.status.empty())
        return fail(ErrorKind::malformed_reply, "podman answered without the container's state");
    const json& health =
        member(state, "Health").is_object() ? member(state, "Health") : member(state, "Healthcheck");  // before 4.0
    container.health = text_of(health, "Status");
    container.failing_streak = number_of(health, "FailingStreak");
    if (const json& log = member(health, "Log"); log.is_array() && !log.empty())
        container.health_output = text_of(log.back(), "Output");
    return container;
}

}  // namespace modelguard::sys
