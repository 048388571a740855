// A canary set, as it comes with a version, and the requests that are made of its items.

#include "checks/canary.hpp"

#include "checks/canary_lint.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "checks/score.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

void check_request(const checks::CanaryItem& item, const checks::InferShape& shape) {
    static const auto made = *checks::find_protocol("oip")->make({});
    const checks::Protocol& oip = *made;
    const checks::Target target{.endpoint = "http://127.0.0.1:1", .server_model = "di/gits", .protocol = &oip};
    const auto request = oip.infer_request(target, item, shape, 7);
    if (!request) {
        MG_ASSERT(request.error().kind == ErrorKind::invalid_config);
        return;
    }
    MG_ASSERT(request->url == "http://127.0.0.1:1/v2/models/di%2Fgits/infer");
    // The item's text stands in the body as it is: it must not be able to add keys of its own.
    const auto body = nlohmann::json::parse(request->body, nullptr, false);
    MG_ASSERT(body.is_object());
    MG_ASSERT(body.size() == (shape.output_name.empty() ? 2u : 3u));
    MG_ASSERT(body["id"] == "mg-0000000000000007" && body["inputs"].is_array());
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string_view text = fuzz::text_of(data, size);
    if (const auto path = checks::validate_canary_path(text)) {
        MG_ASSERT(!text.empty() && text.front() != '/' && text.size() <= 255);
        MG_ASSERT(("/" + std::string(text) + "/").find("/../") == std::string::npos);
    }
    const auto items = checks::parse_canary_set(text, "set");
    const checks::CanaryLint lint = checks::lint_canary_set(text);
    MG_ASSERT(lint.findings.size() <= 51 && lint.items.size() <= checks::kMaxCanaryItems);
    MG_ASSERT(lint.has_error() || (items && items->size() == lint.items.size()));
    if (!items) {
        MG_ASSERT(items.error().kind == ErrorKind::invalid_config && items.error().what.starts_with("set"));
        return 0;
    }
    MG_ASSERT(!items->empty() && items->size() <= checks::kMaxCanaryItems);
    std::set<std::string> ids;
    int line = 0;
    for (const checks::CanaryItem& item : *items) {
        MG_ASSERT(ids.insert(item.id).second && item.line > line && fuzz::is_one_line(item.id));
        line = item.line;
        MG_ASSERT(nlohmann::json::accept(item.input));
        MG_ASSERT(item.label.empty() || nlohmann::json::accept(item.label));
        MG_ASSERT(!item.label.empty() || !item.reference.empty());
        check_request(item, {});
        check_request(item, {.input_name = "\"},{", .shape = {-1, 2}, .output_name = "pre\"dict"});
    }
    MG_ASSERT(checks::inputs_fingerprint(*items) == checks::inputs_fingerprint(*items));
    return 0;
}
