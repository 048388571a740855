// Switch `container`: the version is an image in podman's local storage, found by the digest in its image.json, and
// the tag localhost/modelguard/MODEL:current is the switch. The model's unit runs that tag. Each version that was
// served keeps a tag of its own (its directory's name), so that pruning leaves the image and the way back needs no
// network. The link `current` moves too, after the tag: recovery and checks read it.
// Source: podman's libpod API 4.0: images/{name}/json, tag, untag, load, DELETE images/{name}.

#include <algorithm>
#include <system_error>

#include "rollback/current_link.hpp"
#include "rollback/lists.hpp"
#include "rollback/outcome.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/sys/podman.hpp"

namespace modelguard::rollback {

namespace {
constexpr std::string_view kCurrentTag = "current";
constexpr std::string_view kKeptPrefix = "sha256-";
constexpr const char* kImageArchive = "image.tar";
constexpr Usec kAnswerTimeout = std::chrono::seconds(60);  // podman waits for its locks; a tag itself takes 10 ms
constexpr int kListAttempts = 5;
constexpr Usec kListPause = std::chrono::milliseconds(100);  // removing an image takes podman some 100 ms
constexpr Usec kLoadTimeout = std::chrono::minutes(30);      // 10 GiB at the pace of an SD card

/// What switching and tidying share: requests to podman, and the tags of versions that are gone.
class PodmanRun : public Running {
  protected:
    using Next = std::function<void(const sys::HttpReply&)>;

    PodmanRun(const ServiceContext& service, std::function<void(Outcome)> done)
        : service_(service),
          delivery_(service.loop, std::move(done)),
          repository_("localhost/modelguard/" + service.model) {}

    void fail(const std::string& why) { delivery_.deliver(failed_outcome(one_line(why, 600))); }

    /// The answer goes to `next`, whatever its status; no answer is a failure.
    void ask(std::string method, const std::string& path, Next next) {
        send(sys::podman_request(service_.podman_socket, std::move(method), path), kAnswerTimeout, std::move(next));
    }
    void send(sys::HttpRequest request, Usec timeout, Next next) {
        request.timeout = timeout;
        transfer_ =
            service_.http.send(std::move(request), [this, next = std::move(next)](const Result<sys::HttpReply>& reply) {
                if (!reply)
                    return fail("podman does not answer at " + service_.podman_socket + ": " + reply.error().what +
                                "; see systemctl status podman.socket");
                next(*reply);
            });
    }
    /// podman 4 and 5 answer 500 where an image goes while they list: that is asked again.
    void list(std::function<void(const std::vector<sys::LocalImage>&)> next, int attempt = 1) {
        ask("GET", "/images/json", [this, attempt, next = std::move(next)](const sys::HttpReply& reply) {
            if (reply.status != 200 && attempt < kListAttempts) {
                pause_ =
                    service_.loop.add_timer(kListPause * attempt, [this, attempt, next] { list(next, attempt + 1); });
                return;
            }
            if (reply.status != 200) return fail("podman images: " + sys::podman_error(reply));
            const auto images = sys::parse_images(reply.body);
            if (!images) return fail(images.error().what);
            next(*images);
        });
    }
    std::string image_path(std::string_view name) const { return "/images/" + std::string(name); }
    std::string tag_of(std::string_view tag) const { return repository_ + ":" + std::string(tag); }

    /// Takes the tags away that versions have left which are gone from the store, and with its last tag an image. One
    /// that a container still uses stays until the next time.
    void remove_obsolete(const std::vector<sys::LocalImage>& images, std::function<void()> next) {
        obsolete_.clear();
        for (const sys::LocalImage& image : images)
            for (const std::string& tag : image.tags)
                if (tag.starts_with(tag_of(kKeptPrefix)) || tag == tag_of(kCurrentTag)) obsolete_.push_back(tag);
        remove_next(std::move(next));
    }

    const ServiceContext service_;
    Delivery delivery_;
    std::string repository_;

  private:
    // Looked at just before: meanwhile a version may have come back. The tag `current` goes with the model alone, since
    // it is set before the link.
    bool is_obsolete(const std::string& tag) const {
        std::error_code error;
        const auto version = tag.substr(repository_.size() + 1);
        const sys::Path place = version == kCurrentTag ? service_.model_dir : service_.model_dir / "versions" / version;
        return !std::filesystem::exists(place, error) && !error;
    }
    void remove_next(std::function<void()> next) {
        while (!obsolete_.empty()) {
            const std::string tag = std::move(obsolete_.back());
            obsolete_.pop_back();
            if (is_obsolete(tag))
                return ask("DELETE", image_path(tag),
                           [this, next = std::move(next)](const sys::HttpReply&) { remove_next(next); });
        }
        next();
    }

    std::vector<std::string> obsolete_;
    sys::Transfer transfer_;
    sys::Source pause_;
};

class ContainerTidy final : public PodmanRun {
  public:
    ContainerTidy(const ServiceContext& service, std::function<void(Outcome)> done)
        : PodmanRun(service, std::move(done)) {
        list([this](const std::vector<sys::LocalImage>& images) {
            remove_obsolete(images, [this] { delivery_.deliver(done_outcome()); });
        });
    }
};

class ContainerSwitch final : public PodmanRun {
  public:
    ContainerSwitch(const SwitchRequest& request, std::function<void(Outcome)> done)
        : PodmanRun(request.service, std::move(done)),
          to_(request.to),
          then_kind_(request.then),
          then_params_(request.then_params),
          version_dir_(request.service.model_dir / "versions" / request.to.dir_name()) {
        if (to_.empty())
            clear();
        else if (read_image_file())
            look_at_kept();
    }

  private:
    void refuse(const std::string& why) { delivery_.deliver(refused_outcome(one_line(why, 600))); }
    std::string kept_tag() const { return to_.dir_name(); }

    /// False where it ended here: what the version says of itself is its own fault.
    bool read_image_file() {
        const auto file = sys::read_image_file(version_dir_);
        if (!file && file.error().kind != ErrorKind::invalid_config) {
            fail(file.error().what);
        } else if (!file) {
            refuse(file.error().what);
        } else if (!*file) {
            refuse(
                "the version has no image.json, which the switch container reads; add {\"reference\": …, "
                "\"digest\": …} to the bundle, or use the switch files");
        } else {
            image_ = **file;
            const std::string refusal = service_.refuse_image ? service_.refuse_image(image_.reference) : std::string();
            if (!refusal.empty()) fail("image.json: " + refusal);
            return refusal.empty();
        }
        return false;
    }

    // The way back is this and the tag: nothing else is asked for an image that was served before.
    void look_at_kept() {
        ask("GET", image_path(tag_of(kept_tag())) + "/json", [this](const sys::HttpReply& reply) {
            if (reply.status == 200)
                if (const auto images = sys::parse_images(reply.body); images && images->front().is(image_.digest))
                    return tag(images->front().id, kCurrentTag, [this] { finish_switch(); });
            find();
        });
    }

    void find() {
        list([this](const std::vector<sys::LocalImage>& images) {
            const auto found =
                std::ranges::find_if(images, [this](const sys::LocalImage& image) { return image.is(image_.digest); });
            if (found == images.end() && is_loaded_)
                return refuse("image.tar of the version does not hold " + image_.digest +
                              ", which its image.json names; make the bundle anew");
            // Before a new image is loaded, for the space.
            if (found == images.end()) return remove_obsolete(images, [this] { load(); });
            tag(found->id, kept_tag(), [this, id = found->id] { tag(id, kCurrentTag, [this] { finish_switch(); }); });
        });
    }

    void load() {
        const sys::Path archive = version_dir_ / kImageArchive;
        std::error_code error;
        if (!std::filesystem::is_regular_file(archive, error)) {
            const std::string name = image_.reference.substr(0, image_.reference.find('@'));
            return fail("the image " + image_.reference + " with the digest " + image_.digest +
                        " is not in podman's storage and not in the bundle (image.tar); nothing is pulled: run 'podman "
                        "pull " +
                        name + "' and deploy again, or put the output of 'podman save " + name +
                        "' into the bundle as image.tar, with the image's id as digest");
        }
        is_loaded_ = true;
        sys::HttpRequest request = sys::podman_request(service_.podman_socket, "POST", "/images/load");
        request.headers = {"Content-Type: application/x-tar"};
        request.body_file = archive;
        send(std::move(request), kLoadTimeout, [this](const sys::HttpReply& reply) {
            // No space, or no archive: podman's 500 does not tell them apart, so the version is not blamed.
            if (reply.status != 200) return fail("podman load of the version's image.tar: " + sys::podman_error(reply));
            find();
        });
    }

    void tag(const std::string& id, std::string_view name, std::function<void()> next) {
        ask("POST", image_path(id) + "/tag?repo=" + percent_encoded(repository_) + "&tag=" + percent_encoded(name),
            [this, name = std::string(name), next = std::move(next)](const sys::HttpReply& reply) {
                if (reply.status != 201) return fail("podman tag " + tag_of(name) + ": " + sys::podman_error(reply));
                next();
            });
    }

    /// No version: what the unit would start goes first.
    void clear() {
        ask("POST", image_path(tag_of(kCurrentTag)) + "/untag?repo=" + percent_encoded(repository_) + "&tag=current",
            [this](const sys::HttpReply& reply) {
                if (reply.status != 201 && reply.status != 404)
                    return fail("podman untag " + tag_of(kCurrentTag) + ": " + sys::podman_error(reply));
                finish_switch();
            });
    }

    void finish_switch() {
        if (const auto moved = with_context(move_link(service_.model_dir, to_), "move the link"); !moved) {
            Outcome outcome = failed_outcome(one_line(moved.error().what));
            outcome.link_moved = is_linked(service_.model_dir, to_);
            return delivery_.deliver(std::move(outcome));
        }
        if (then_kind_ == nullptr) return finish(done_outcome());
        then_ = then_kind_->start(service_, then_params_, ThenVerb::version_changed,
                                  [this](Outcome outcome) { finish(std::move(outcome)); });
    }

    void finish(Outcome outcome) {
        outcome.link_moved = true;
        delivery_.deliver(std::move(outcome));
    }

    const core::VersionId to_;
    const ThenKind* const then_kind_;
    const ParamMap then_params_;
    const sys::Path version_dir_;
    sys::ImageFile image_;
    bool is_loaded_{false};
    std::unique_ptr<Running> then_;
};
}  // namespace

constinit const SwitchKind switch_container{
    .name = "container",
    .summary = "podman's tag localhost/modelguard/MODEL:current names the version's image; the model's unit runs it",
    .params = {},
    .start = [](const SwitchRequest& request, std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
        return std::make_unique<ContainerSwitch>(request, std::move(done));
    },
    .current = read_current,
    .tidy = [](const ServiceContext& service, std::function<void(Outcome)> done) -> std::unique_ptr<Running> {
        return std::make_unique<ContainerTidy>(service, std::move(done));
    },
};

}  // namespace modelguard::rollback
