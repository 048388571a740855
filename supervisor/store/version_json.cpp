#include "supervisor/store/version_json.hpp"

#include "supervisor/store/json_fields.hpp"

namespace modelguard::store {

using nlohmann::json;

std::string version_info_to_json(const VersionInfo& info) {
    const auto& [digest, label, served_version, bytes, files, imported_wall_usec, stamps, verified_wall_usec, hash_turn,
                 damage] = info;
    return dump_json({{"digest", digest.text},
                      {"label", label},
                      {"served_version", served_version},
                      {"bytes", bytes},
                      {"files", files},
                      {"imported_wall_usec", imported_wall_usec},
                      {"stamps", stamps},
                      {"verified_wall_usec", verified_wall_usec},
                      {"hash_turn", hash_turn},
                      {"damage", damage}});
}

Result<VersionInfo> version_info_from_json(std::string_view text) {
    std::vector<std::string> notes;  // keys of newer releases
    VersionInfo info;
    try {
        const json object = json::parse(text);
        Fields fields(object, "version", notes);
        fields.take("digest", info.digest);
        fields.take("label", info.label);
        fields.take("served_version", info.served_version);
        fields.take("bytes", info.bytes);
        fields.take("files", info.files);
        fields.take("imported_wall_usec", info.imported_wall_usec);
        fields.take("stamps", info.stamps);
        fields.take("verified_wall_usec", info.verified_wall_usec);
        fields.take("hash_turn", info.hash_turn);
        fields.take("damage", info.damage);
    } catch (const json::exception& error) {
        return fail(ErrorKind::malformed_reply, std::string("version: ") + error.what());
    }
    MG_CHECK(with_context(parse_digest(info.digest.text), "version"));
    return info;
}

}  // namespace modelguard::store
