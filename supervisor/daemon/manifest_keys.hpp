#pragma once
// The keys of a manifest, section by section, as tables: what the reader takes them by, and what the JSON schema and
// modelguard-model(5) are made from. Not for what a check kind, protocol, switch or then takes: its own descriptor.

#include "supervisor/base/params.hpp"

namespace modelguard::daemon {

inline constexpr std::string_view kOnInconclusive[] = {"keep_known_good", "hold", "accept"};
inline constexpr double kDay = 86'400;

inline constexpr ParamSpec kTopKeys[] = {
    {.name = "model", .type = ParamType::text, .required = true, .help = "The model's name on this device."},
    {.name = "required",
     .type = ParamType::boolean,
     .default_text = "true",
     .help = "Whether the boot gate asks about this model."},
};
inline constexpr std::string_view kSections[] = {"version", "serve", "checks", "trial", "placement", "rollout"};

inline constexpr ParamSpec kVersionKeys[] = {
    {.name = "label", .type = ParamType::text, .help = "The version's human name."},
    {.name = "source", .type = ParamType::text, .help = "Where the bundle is fetched from."},
    {.name = "digest", .type = ParamType::text, .help = "The version's digest, sha256: and 64 hex digits."},
    {.name = "source_digest", .type = ParamType::text, .help = "The digest of the archive or OCI manifest."},
};
inline constexpr ParamSpec kPreflightFields[] = {
    {.name = "unit", .type = ParamType::text, .help = "The template unit that serves the candidate beside current."},
    {.name = "endpoint", .type = ParamType::text, .help = "Where the candidate answers meanwhile."},
};
inline constexpr ParamSpec kServeKeys[] = {
    {.name = "switch", .type = ParamType::text, .default_text = "files", .help = "How a version becomes current."},
    {.name = "endpoint", .type = ParamType::text, .help = "Where the model server answers."},
    {.name = "model", .type = ParamType::text, .help = "The server's name for the model; absent: the model's own."},
    {.name = "key",
     .type = ParamType::text,
     .help = "The device's key (modelguard.yaml, `keys:`) that each request to the server carries as a bearer token."},
    {.name = "ready_within",
     .type = ParamType::duration,
     .default_text = "60s",
     .help = "How long the server may take to load a version.",
     .minimum = 1,
     .maximum = kDay},
    {.name = "period",
     .type = ParamType::duration,
     .default_text = "10s",
     .help = "The time between probes in the steady state.",
     .minimum = 0.1,
     .maximum = kDay},
    {.name = "preflight",
     .type = ParamType::object,
     .help = "The candidate is judged beside current first.",
     .fields = kPreflightFields},
};
inline constexpr std::string_view kServeReadHere[] = {"protocol", "then"};

inline constexpr ParamSpec kTrialKeys[] = {
    {.name = "deadline",
     .type = ParamType::duration,
     .default_text = "10m",
     .help = "A trial without a verdict by then is undecided.",
     .minimum = 1,
     .maximum = 7 * kDay},
    {.name = "soak",
     .type = ParamType::duration,
     .default_text = "30m",
     .help = "The quiet end of a trial.",
     .minimum = 0,
     .maximum = 7 * kDay},
    {.name = "on_inconclusive",
     .type = ParamType::text,
     .default_text = "keep_known_good",
     .help = "What follows when a trial is undecided.",
     .choices = kOnInconclusive},
    {.name = "rate", .type = ParamType::text, .help = "The most probes in a time, as in 20/s."},
    {.name = "false_rollback",
     .type = ParamType::number,
     .unit = "probability",
     .help = "The probability of rolling back a version that is as good.",
     .minimum = 1e-9,
     .maximum = 0.5},
    {.name = "missed_regression",
     .type = ParamType::number,
     .unit = "probability",
     .help = "The probability of accepting a regression of must_detect.",
     .minimum = 1e-9,
     .maximum = 0.5},
};
inline constexpr ParamSpec kRolloutKeys[] = {
    {.name = "percent",
     .type = ParamType::number,
     .unit = "percent",
     .required = true,
     .help = "Share of devices.",
     .minimum = 0,
     .maximum = 100},
};
inline constexpr std::string_view kPlacementKeys[] = {"match_labels"};

inline constexpr std::string_view kSeverities[] = {"required", "wanted"};
inline constexpr ParamSpec kCommonKeys[] = {
    {.name = "name", .type = ParamType::text, .required = true, .help = "The check's own name."},
    {.name = "kind", .type = ParamType::text, .required = true, .help = "What it checks."},
    {.name = "severity",
     .type = ParamType::text,
     .default_text = "required",
     .help = "A failing wanted check is reported and changes no verdict.",
     .choices = kSeverities},
};
inline constexpr ParamSpec kMustDetect{.name = "must_detect",
                                       .type = ParamType::number,
                                       .help = "The smallest regression that must be found.",
                                       .minimum = 1e-9,
                                       .maximum = 1e6};
inline constexpr ParamSpec kMustDetectFields[] = {
    {.name = "share",
     .type = ParamType::number,
     .unit = "share 0-1",
     .help = "The share over max.",
     .minimum = 1e-9,
     .maximum = 1},
    {.name = "ratio",
     .type = ParamType::number,
     .help = "The ratio to the known-good's latency.",
     .minimum = 1,
     .maximum = 1e6},
};
/// Where a kind takes this parameter, it may be a path in the bundle or a set of the device.
inline constexpr std::string_view kCanaryKey = "canary";
inline constexpr ParamSpec kDeviceCanaryFields[] = {
    {.name = "source",
     .type = ParamType::text,
     .required = true,
     .help = "Where the device's own canary set comes from."},
    {.name = "digest", .type = ParamType::text, .required = true, .help = "Its digest, sha256: and 64 hex digits."},
};

inline constexpr std::size_t kMostChecks = 200;  // one pass over them must fit into a trial

}  // namespace modelguard::daemon
