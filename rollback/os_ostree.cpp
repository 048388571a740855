// The OS of an ostree-backed host. This file has no rights: each question and each verb is one run of the unit
// modelguard-os@, which is root; what it found is in its run directory (rollback/os_helper).

#include "rollback/os_ostree.hpp"

#include <sys/stat.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "rollback/lists.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/base/unit_name.hpp"
#include "supervisor/sys/clock.hpp"
#include "supervisor/sys/systemd.hpp"

namespace modelguard::rollback {

namespace {
// The helper waits 10 s for the lock; the rest is for a slow card. Its unit has 3 minutes.
constexpr Usec kJobPatience = std::chrono::minutes(4);
// What core asks for is one verb and one look at a time; more is a fault that must not grow.
constexpr std::size_t kMostWaiting = 16;
constexpr std::size_t kMostViewBytes = 256u << 10;  // some 500 deployments
constexpr std::size_t kMostErrorBytes = 8u << 10;
constexpr std::size_t kMostDeployments = 256;
constexpr std::size_t kMostTextBytes = 1024;

const std::string& text_of(const nlohmann::json& object, const char* key) {
    const auto& text = object.at(key).get_ref<const std::string&>();
    if (text.size() > kMostTextBytes) throw std::length_error(std::string(key) + " is too long");
    return text;
}

core::Deployment deployment_of(const nlohmann::json& object) {
    core::Deployment deployment{.id = text_of(object, "id"),
                                .identity = text_of(object, "identity"),
                                .bootable = object.at("bootable").get<bool>(),
                                .os_pinned = object.at("os_pinned").get<bool>(),
                                .newness = object.at("newness").get<std::int64_t>()};
    if (deployment.id.empty() || deployment.identity.empty())
        throw std::invalid_argument("a deployment without a name");
    return deployment;
}

core::OsView view_of(const nlohmann::json& object) {
    const nlohmann::json& list = object.at("deployments");
    if (!list.is_array() || list.size() > kMostDeployments) throw std::length_error("not a list of deployments");
    core::OsView view;
    for (const nlohmann::json& each : list)
        view.deployments.push_back(deployment_of(each));
    view.booted = text_of(object, "booted");
    view.default_ = text_of(object, "default");
    view.staged = text_of(object, "staged");
    view.fell_back = object.at("fell_back").get<bool>();
    view.boot_trial = text_of(object, "boot_trial");
    return view;
}

std::optional<ErrorKind> kind_of(std::string_view word) {
    using enum ErrorKind;
    for (const ErrorKind kind : {invalid_config, unavailable, timed_out, denied, not_found, conflict, malformed_reply,
                                 io, unsupported, internal})
        if (to_string(kind) == word) return kind;
    return std::nullopt;
}

class OstreeBackend final : public OsBackend {
  public:
    OstreeBackend(sys::Loop& loop, sys::Path run) : loop_(loop), run_(std::move(run)) {}

    /// Each write of the boot order touches the first, each staging makes the second anew; both may be looked at by
    /// anybody.
    std::string stamp() const override {
        std::string text;
        for (const char* place : {"/ostree/deploy", "/run/ostree/staged-deployment"}) {
            struct stat found{};
            if (::stat(place, &found) == 0)
                text += std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec);
            text += ";";
        }
        return text;
    }

    void observe(std::function<void(Result<core::OsView>)> done) override {
        enqueue({os_helper_unit("list", {}), {}, [this, done = std::move(done)](Result<void> ended) {
                     if (!ended) return done(std::unexpected(std::move(ended).error()));
                     const auto text = sys::read_file(run_ / "view.json", kMostViewBytes);
                     if (!text) return done(std::unexpected(text.error()));
                     done(parse_os_view(*text, sys::boot_id()));
                 }});
    }

    void perform(core::OsVerb verb, const std::string& target, std::function<void(Result<void>)> done) override {
        enqueue({os_helper_unit(core::to_word(verb), target), {}, std::move(done)});
    }

  private:
    struct Job {
        std::string unit;
        Instant asked;
        std::function<void(Result<void>)> done;
    };

    void enqueue(Job job) {
        if (waiting_.size() >= kMostWaiting) return refuse(std::move(job.done));
        waiting_.push_back(std::move(job));
        start_later();
    }

    void refuse(std::function<void(Result<void>)> done) {
        refused_.push_back(std::move(done));
        refusal_ = loop_.defer([this] {
            refusal_.reset();
            for (const auto& each : std::exchange(refused_, {}))
                each(fail(ErrorKind::unavailable, "the OS helper has too much to do; ask again later"));
        });
    }

    // Never from within the asker's call, and one at a time.
    void start_later() {
        if (running_ || turn_ || waiting_.empty()) return;
        turn_ = loop_.defer([this] {
            turn_.reset();
            start_next();
        });
    }

    void start_next() {
        running_ = std::move(waiting_.front());
        waiting_.pop_front();
        running_->asked = sys::boottime_now();
        if (running_->unit.size() > kUnitNameBytes)
            return ended(fail(ErrorKind::unsupported, "the deployment's name is too long for a unit"));
        auto systemd = sys::Systemd::connect(loop_);
        if (!systemd) return ended(std::unexpected(std::move(systemd).error()));
        systemd_ = std::move(*systemd);
        systemd_->run_job("StartUnit", running_->unit, kJobPatience, [this](const Result<std::string>& result) {
            systemd_.reset();
            if (!result) return ended(std::unexpected(result.error()));
            if (*result == "done") return ended({});
            ended(std::unexpected(told_error(*result)));
        });
    }

    void ended(Result<void> result) {
        const Job job = std::move(*running_);
        running_.reset();
        job.done(std::move(result));  // which may ask again
        start_later();
    }

    /// What the helper said of this run, or else how its unit ended.
    Error told_error(const std::string& job_result) const {
        const std::string& unit = running_->unit;
        Error error{ErrorKind::unavailable,
                    "the job of " + unit + " ended as '" + job_result + "'; see journalctl -u '" + unit + "'", 0};
        const auto text = sys::read_file(run_ / "error", kMostErrorBytes);
        if (!text) return error;
        const std::size_t end = text->find('\n');
        const std::size_t kind_end = text->find(' ', end);
        const std::size_t time_end = kind_end == std::string::npos ? kind_end : text->find(' ', kind_end + 1);
        if (end == std::string::npos || time_end == std::string::npos) return error;
        const auto kind = kind_of(std::string_view(*text).substr(end + 1, kind_end - end - 1));
        const std::int64_t told_at = std::strtoll(text->c_str() + kind_end + 1, nullptr, 10);
        const std::string instance = text->substr(time_end + 1, text->find('\n', time_end) - time_end - 1);
        if (!kind || told_at < running_->asked.boottime_usec || "modelguard-os@" + instance + ".service" != unit)
            return error;
        return {*kind, one_line(std::string_view(*text).substr(0, end), kMostTextBytes), 0};
    }

    sys::Loop& loop_;
    sys::Path run_;
    std::deque<Job> waiting_;
    std::optional<Job> running_;
    std::unique_ptr<sys::Systemd> systemd_;
    std::vector<std::function<void(Result<void>)>> refused_;
    sys::Source turn_, refusal_;
};
}  // namespace

std::string os_helper_unit(std::string_view verb, std::string_view target) {
    std::string instance(verb);
    if (!target.empty()) instance += ":" + std::string(target);
    return "modelguard-os@" + escape_instance(instance) + ".service";
}

Result<core::OsView> parse_os_view(const std::string& text, std::string_view boot_id) {
    try {
        const nlohmann::json object = nlohmann::json::parse(text);
        if (text_of(object, "schema") != "modelguard.os_view/1")
            return fail(ErrorKind::malformed_reply, "the OS helper's view is of another release than this one");
        if (text_of(object, "boot_id") != boot_id)
            return fail(ErrorKind::malformed_reply, "the OS helper's view is of another boot");
        core::OsView view = view_of(object);
        if (!view.booted_deployment() || view.default_.empty() || (!view.staged.empty() && !view.find(view.staged)))
            return fail(ErrorKind::malformed_reply, "the OS helper's view names a deployment that is not in it");
        return view;
    } catch (const std::exception& error) {
        return fail(ErrorKind::malformed_reply, "the OS helper's view: " + one_line(error.what()));
    }
}

bool ostree_is_present(const sys::Path& root) {
    struct stat found{};
    return ::stat((root / "run/ostree-booted").c_str(), &found) == 0 &&
           ::stat((root / "run/systemd/system").c_str(), &found) == 0 &&
           sys::has_unit_file(root, "modelguard-os@.service");
}

std::unique_ptr<OsBackend> make_ostree_backend(sys::Loop& loop, const sys::Path& run) {
    return std::make_unique<OstreeBackend>(loop, run);
}

constinit const OsBackendKind os_ostree{
    .name = "ostree",
    .summary =
        "an ostree-backed host (ostree, rpm-ostree, bootc): a named deployment becomes the default, by libostree",
    .is_present = [] { return ostree_is_present("/"); },
    .make = [](sys::Loop& loop) -> Result<std::unique_ptr<OsBackend>> {
        return make_ostree_backend(loop, "/run/modelguard-os");
    },
};

}  // namespace modelguard::rollback
