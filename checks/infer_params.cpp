#include "checks/infer_params.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "checks/canary.hpp"

namespace modelguard::checks {
namespace {

constexpr std::size_t kMaxAxes = 16;
/// 2^31 elements are more than any JSON request holds; the product of the axes cannot overflow before it is compared.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;

const ParamMap* find_object(const ParamMap& params, std::string_view name) {
    const auto it = params.find(name);
    return it == params.end() ? nullptr : std::get_if<ParamMap>(&it->second.value);
}

std::string text_or(const ParamMap& fields, std::string_view name, std::string_view fallback) {
    return has_param(fields, name) ? text_param(fields, name) : std::string(fallback);
}

Result<std::vector<std::int64_t>> read_shape(const std::vector<std::string>& axes) {
    std::vector<std::int64_t> shape;
    std::int64_t product = 1;
    for (const std::string& text : axes) {
        std::int64_t axis = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), axis);
        const bool whole = error == std::errc{} && end == text.data() + text.size();
        if (!whole || axis == 0 || axis < -1 || axis > kMaxElements / product)
            return fail(
                ErrorKind::invalid_config,
                fmt::format("input.shape: {}: expected positive integers, as in [1, 64], at most one of them -1",
                            text));
        if (axis > 0) product *= axis;
        shape.push_back(axis);
    }
    if (std::ranges::count(shape, -1) > 1)
        return fail(ErrorKind::invalid_config, "input.shape: more than one axis is -1");
    if (shape.size() > kMaxAxes) return fail(ErrorKind::invalid_config, "input.shape: more than 16 axes");
    return shape;
}

}  // namespace

Result<InferParams> infer_params(const ParamMap& params) {
    InferParams compiled;
    if (has_param(params, "canary")) {
        compiled.canary = text_param(params, "canary");
        MG_CHECK(validate_canary_path(compiled.canary));
    }
    if (const ParamMap* input = find_object(params, "input")) {
        compiled.shape.input_name = text_or(*input, "name", compiled.shape.input_name);
        compiled.shape.datatype = text_or(*input, "datatype", compiled.shape.datatype);
        if (const auto it = input->find("shape"); it != input->end()) {
            if (const auto* axes = std::get_if<std::vector<std::string>>(&it->second.value)) {
                MG_TRY(compiled.shape.shape, read_shape(*axes));
            }
        }
    }
    if (const ParamMap* output = find_object(params, "output")) {
        compiled.shape.output_name = text_or(*output, "name", "");
        compiled.shape.argmax = text_or(*output, "reduce", "none") == "argmax";
    }
    return compiled;
}

}  // namespace modelguard::checks
