// `files`: the version holds what its server needs, before the server is told. What it holds was hashed already: this
// asks whether it is the right thing at all.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "checks/run.hpp"
#include "supervisor/base/text.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_files;

namespace {

constexpr std::array kParams{
    ParamSpec{.name = "present",
              .type = ParamType::text_list,
              .required = true,
              .help = "Files that the version must hold, each not empty, as in [model.onnx, labels.txt]."},
    ParamSpec{.name = "absent", .type = ParamType::text_list, .help = "Files that it must not hold."},
};

struct FilesParams {
    std::vector<std::string> present, absent;
};

class FilesRun final : public Run {
  public:
    FilesRun(const CheckContext& context, Done done, const FilesParams& params)
        : Run(context, std::move(done)), params_(params) {
        finish(look());
    }

  private:
    CheckOutcome look() const {
        for (const std::string& name : params_.present) {
            std::error_code error;
            const auto status = std::filesystem::symlink_status(context_.version_dir / name, error);
            if (status.type() == std::filesystem::file_type::not_found)
                return failed("file_missing", fmt::format("the version holds no {}", name));
            if (error) return inconclusive("not_measured", fmt::format("{}: {}", name, error.message()));
            const bool folder = status.type() == std::filesystem::file_type::directory;
            if (!folder && std::filesystem::file_size(context_.version_dir / name, error) == 0)
                return failed("file_empty", fmt::format("{} is empty", name));
        }
        for (const std::string& name : params_.absent) {
            std::error_code error;
            if (std::filesystem::exists(std::filesystem::symlink_status(context_.version_dir / name, error)))
                return failed("file_unwanted", fmt::format("the version holds {}", name));
        }
        return {.verdict = core::VerdictKind::pass,
                .code = "ok",
                .text = fmt::format("{} files are there", params_.present.size())};
    }

    const FilesParams& params_;
};

class Files final : public Check {
  public:
    explicit Files(FilesParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<FilesRun>(context, std::move(done), params_);
    }

  private:
    FilesParams params_;
};

Result<std::vector<std::string>> names_param(const ParamMap& params, std::string_view key) {
    if (!has_param(params, key)) return std::vector<std::string>{};
    const std::vector<std::string>& names = text_list_param(params, key);
    for (const std::string& name : names) {
        const std::filesystem::path path(name);
        const bool outside = std::ranges::any_of(path, [](const auto& part) { return part == ".." || part == "."; });
        if (name.empty() || path.is_absolute() || outside)
            return fail(ErrorKind::invalid_config,
                        fmt::format("{}: found '{}'; expected a path inside of the version, as in model.onnx", key,
                                    printable_name(name)));
    }
    return names;
}

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    FilesParams compiled;
    MG_TRY(compiled.present, names_param(params, "present"));
    MG_TRY(compiled.absent, names_param(params, "absent"));
    return std::make_unique<Files>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_files{
    .name = "files",
    .summary = "The version holds the files that its server needs.",
    .params = kParams,
    .make = make,
    .needs_server = false,
};

}  // namespace modelguard::checks
