// The OS backend `played`: the deployments stand in the file that MODELGUARD_TEST_OS names, in the form in which the OS
// helper tells them, and a verb rewrites it. A reboot is asked for there: the test carries it out. It is one more line
// in os_backends.def of a daemon that is else the one that ships.

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "rollback/lists.hpp"
#include "rollback/os_ostree.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::rollback {

namespace {
using nlohmann::json;

class PlayedBackend final : public OsBackend {
  public:
    PlayedBackend(sys::Loop& loop, sys::Path file) : loop_(loop), file_(std::move(file)) {}

    std::string stamp() const override { return sys::read_file(file_).value_or("gone"); }

    void observe(std::function<void(Result<core::OsView>)> done) override {
        look_ = loop_.defer([this, done = std::move(done)] {
            const auto text = sys::read_file(file_);
            auto view =
                text ? parse_os_view(*text, sys::boot_id()) : Result<core::OsView>(std::unexpected(text.error()));
            done(std::move(view));
        });
    }

    void perform(core::OsVerb verb, const std::string& target, std::function<void(Result<void>)> done) override {
        verb_ = loop_.defer([this, verb, target, done = std::move(done)] { done(carry_out(verb, target)); });
    }

  private:
    Result<void> carry_out(core::OsVerb verb, const std::string& target) {
        MG_TRY(const std::string text, sys::read_file(file_));
        json os = json::parse(text);
        if (os.value("busy", false)) return fail(ErrorKind::unavailable, "somebody else writes the deployments");
        json& list = os["deployments"];
        const auto found = std::ranges::find_if(list, [&](const json& each) { return each["id"] == target; });
        if (found == list.end()) return fail(ErrorKind::not_found, "no deployment " + target);
        const bool is_reboot = verb == core::OsVerb::reboot;
        if (is_reboot && os["default"] != target) return fail(ErrorKind::conflict, target + " is not what boots next");
        if (verb == core::OsVerb::drop_staged) {
            if (os["staged"] != target) return fail(ErrorKind::conflict, target + " is not staged");
            list.erase(found);
            os["staged"] = "";
        } else if (!is_reboot) {
            std::rotate(list.begin(), found, found + 1);
            os["default"] = target;
        }
        if (is_reboot) os["reboot_asked"] = true;
        os["log"].push_back(std::string(core::to_word(verb)) + " " + target);
        return sys::replace_file(file_, os.dump(), 0644);
    }

    sys::Loop& loop_;
    sys::Path file_;
    sys::Source look_, verb_;
};
}  // namespace

constinit const OsBackendKind os_played{
    .name = "played",
    .summary = "the deployments of a file, for the tests",
    .is_present = [] { return std::getenv("MODELGUARD_TEST_OS") != nullptr; },
    .make = [](sys::Loop& loop) -> Result<std::unique_ptr<OsBackend>> {
        return std::make_unique<PlayedBackend>(loop, std::getenv("MODELGUARD_TEST_OS"));
    },
};

}  // namespace modelguard::rollback
