// `resource`: what the device has left, or suffers: memory, disk, temperature, pressure (proc_meminfo(5), statvfs(3),
// Linux's thermal sysfs ABI, and Documentation/accounting/psi.rst).

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>

#include "checks/band.hpp"
#include "checks/run.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/files.hpp"

namespace modelguard::checks {

extern const CheckKind kCheckKind_resource;

namespace {

constexpr std::size_t kMaxFile = 64u << 10;

struct ResourceParams;
using Measure = Result<double> (*)(const ResourceParams&, const CheckContext&);

/// One thing that can be measured: its name, its unit, how.
struct Resource {
    std::string_view name, unit, what;
    Measure measure;
};

struct ResourceParams {
    const Resource* resource{nullptr};
    std::string zone;
    Band band;
};

Result<double> number_in(std::string_view text, const std::string& where) {
    double value = 0;
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return fail(ErrorKind::malformed_reply, where + ": no number: " + plain_line(text, 40));
    return value;
}

Result<double> memory_available(const ResourceParams&, const CheckContext&) {
    constexpr std::string_view kKey = "MemAvailable:";
    MG_TRY(const std::string text, sys::read_file("/proc/meminfo", kMaxFile));
    const std::size_t at = text.find(kKey);
    if (at == std::string::npos) return fail(ErrorKind::unsupported, "/proc/meminfo has no MemAvailable");
    MG_TRY(const double kibibytes, number_in(std::string_view(text).substr(at + kKey.size()), "/proc/meminfo"));
    return kibibytes / 1024;
}

/// Of the file system that holds the versions, for those without privileges.
Result<double> disk_free(const ResourceParams&, const CheckContext& context) {
    struct statvfs status{};
    const std::string path = context.version_dir.empty() ? "/" : context.version_dir.string();
    if (::statvfs(path.c_str(), &status) != 0) return fail_errno("statvfs " + path, errno);
    return static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize) / 0x1p20;
}

/// The hottest zone of the given type, or of all.
Result<double> temperature(const ResourceParams& params, const CheckContext&) {
    const sys::Path folder = "/sys/class/thermal";
    std::optional<double> hottest;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (!entry.path().filename().native().starts_with("thermal_zone")) continue;
        const auto type = sys::read_file(entry.path() / "type", kMaxFile);
        if (!params.zone.empty() && (!type || plain_line(*type) != params.zone)) continue;
        const auto text = sys::read_file(entry.path() / "temp", kMaxFile);
        const auto thousandths = text ? number_in(*text, "temp") : std::unexpected(text.error());
        if (thousandths) hottest = std::max(hottest.value_or(-1e9), *thousandths / 1000);
    }
    if (!hottest)
        return fail(ErrorKind::unsupported, params.zone.empty()
                                                ? "this device has no thermal zone that can be read"
                                                : "no thermal zone of type '" + params.zone + "' can be read");
    return *hottest;
}

/// The share of the last ten seconds in which some task waited.
Result<double> pressure(const char* file) {
    constexpr std::string_view kKey = "some avg10=";
    MG_TRY(const std::string text, sys::read_file(file, kMaxFile));
    if (!text.starts_with(kKey)) return fail(ErrorKind::unsupported, std::string(file) + ": not in the format of psi");
    return number_in(std::string_view(text).substr(kKey.size()), file);
}

constexpr std::array kResources{
    Resource{"memory_available", "MiB", "available memory", memory_available},
    Resource{"disk_free", "MiB", "free disk space", disk_free},
    Resource{"temperature", "°C", "the temperature", temperature},
    Resource{"cpu_pressure", "%", "waiting for the processor",
             [](const ResourceParams&, const CheckContext&) { return pressure("/proc/pressure/cpu"); }},
    Resource{"memory_pressure", "%", "waiting for memory",
             [](const ResourceParams&, const CheckContext&) { return pressure("/proc/pressure/memory"); }},
    Resource{"io_pressure", "%", "waiting for the disk",
             [](const ResourceParams&, const CheckContext&) { return pressure("/proc/pressure/io"); }},
};
constexpr auto kNames = [] {
    std::array<std::string_view, kResources.size()> names;
    for (std::size_t i = 0; i < names.size(); ++i)
        names[i] = kResources[i].name;
    return names;
}();

constexpr std::array kParams{
    ParamSpec{.name = "resource",
              .required = true,
              .help = "What is measured; pressures are shares of the last 10 s.",
              .choices = kNames},
    ParamSpec{.name = "zone", .help = "For temperature: the thermal zone's type. Absent: the hottest of all."},
    kMinParam,
    kMaxParam,
};

class ResourceRun final : public Run {
  public:
    ResourceRun(const CheckContext& context, Done done, const ResourceParams& params) : Run(context, std::move(done)) {
        const Resource& resource = *params.resource;
        const auto measured = resource.measure(params, context);
        finish(measured ? judge(params.band, resource.what, *measured)
                        : inconclusive("not_measured", fmt::format("{}: {}", resource.name, measured.error().what)));
    }
};

class ResourceCheck final : public Check {
  public:
    explicit ResourceCheck(ResourceParams params) : params_(std::move(params)) {}
    std::unique_ptr<Running> start(const CheckContext& context, std::function<void(CheckOutcome)> done) const override {
        return std::make_unique<ResourceRun>(context, std::move(done), params_);
    }

  private:
    ResourceParams params_;
};

Result<std::unique_ptr<Check>> make(const ParamMap& params) {
    const std::string& name = text_param(params, "resource");
    ResourceParams compiled{.resource = std::ranges::find(kResources, name, &Resource::name), .zone = {}, .band = {}};
    MG_ASSERT(compiled.resource != kResources.end());  // the table has only these choices
    if (has_param(params, "zone")) compiled.zone = text_param(params, "zone");
    if (!compiled.zone.empty() && name != "temperature")
        return fail(ErrorKind::invalid_config, "zone: only a temperature has one");
    MG_TRY(compiled.band, band_param(params, compiled.resource->unit));
    return std::make_unique<ResourceCheck>(std::move(compiled));
}

}  // namespace

const CheckKind kCheckKind_resource{
    .name = "resource",
    .summary = "Memory, disk, temperature or pressure of this device is within its limits.",
    .params = kParams,
    .make = make,
    .needs_server = false,
    .late = true,
};

}  // namespace modelguard::checks
