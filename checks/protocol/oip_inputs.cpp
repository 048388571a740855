#include "checks/protocol/oip_inputs.hpp"

#include <fmt/format.h>

#include "checks/protocol/answers.hpp"
#include "checks/protocol/tolerant_json.hpp"

namespace modelguard::checks::oip {
namespace {

using nlohmann::json;

bool is_inputs_array(const json& input) {
    return !input.empty() && input.front().is_object() && input.front().contains("name");
}

/// Leaves of an array; 0 where one is neither a number, a boolean nor a string.
std::int64_t count_leaves(const json& value, bool& nested) {
    std::int64_t count = 0;
    for (const json& element : value) {
        if (element.is_array()) {
            nested = true;
            const std::int64_t inner = count_leaves(element, nested);
            if (inner == 0) return 0;
            count += inner;
        } else if (element.is_number() || element.is_boolean() || element.is_string()) {
            ++count;
        } else {
            return 0;
        }
    }
    return count;
}

/// The shape to send: as configured, one -1 in it resolved by the count, or [1, n].
Result<std::vector<std::int64_t>> resolve_shape(const InferShape& shape, std::int64_t count, bool nested) {
    if (shape.shape.empty()) {
        if (nested) return fail(ErrorKind::invalid_config, "a nested input needs input.shape");
        return std::vector<std::int64_t>{1, count};
    }
    std::int64_t product = 1;
    std::vector<std::int64_t> resolved = shape.shape;
    std::int64_t* open = nullptr;
    for (std::int64_t& axis : resolved) {
        if (axis == -1)
            open = &axis;
        else
            product *= axis;
    }
    if (open != nullptr && product > 0 && count % product == 0) {
        *open = count / product;
        product = count;
    }
    if (product != count)
        return fail(ErrorKind::invalid_config,
                    fmt::format("the input has {} numbers, input.shape wants {}", count, product));
    return resolved;
}

}  // namespace

Result<std::string> inputs_text(const CanaryItem& item, const InferShape& shape) {
    std::string storage;
    bool not_finite = false;
    // For its limits alone: NaN in an input stays an error.
    if (const auto fits = tolerant_json(item.input, storage, not_finite); !fits)
        return fail(ErrorKind::invalid_config, fits.error().what);
    const json input = json::parse(item.input, nullptr, /*allow_exceptions=*/false);
    if (!input.is_array() || input.empty())
        return fail(ErrorKind::invalid_config, "the input is neither an `inputs` array nor a flat array");
    if (is_inputs_array(input)) return item.input;
    bool nested = false;
    const std::int64_t count = count_leaves(input, nested);
    if (count == 0)
        return fail(ErrorKind::invalid_config, "the input holds something else than numbers, booleans or text");
    MG_TRY(const std::vector<std::int64_t> axes, resolve_shape(shape, count, nested));
    std::string text = fmt::format(R"([{{"name":{},"datatype":{},"shape":[)", json_quoted(shape.input_name),
                                   json_quoted(shape.datatype));
    for (std::size_t i = 0; i < axes.size(); ++i)
        text += fmt::format("{}{}", i == 0 ? "" : ",", axes[i]);
    return text + R"(],"data":)" + item.input + "}]";
}

}  // namespace modelguard::checks::oip
