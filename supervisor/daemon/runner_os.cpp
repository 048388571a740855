// The runner and the OS: the first look at the deployments, later ones when they have changed, core's verbs, and the
// reboot that waits for its window.

#include "supervisor/daemon/active.hpp"
#include "supervisor/sys/clock.hpp"

namespace modelguard::daemon {

namespace {
constexpr int kFirstLooks = 3;  // the updater may hold the sysroot for a moment
constexpr Usec kLookAgain = std::chrono::seconds(2);
constexpr Usec kLook = std::chrono::seconds(10);      // two stat(2) a look; an updater stages a few times a day
constexpr int kBusyTries = 180;                       // half an hour of kLook
constexpr Usec kClockLook = std::chrono::minutes(1);  // the clock may be set while a reboot waits

Usec until_open_now(const RebootWindow& window) {
    const std::time_t now = sys::wall_now_usec() / 1'000'000;
    std::tm local{};
    ::localtime_r(&now, &local);
    return until_open(window, local);
}
}  // namespace

/// The models are supervised also where the OS cannot be read; then what was last known of it stands, on which no blame
/// can fall.
void Runner::look_first(int looks_left, std::function<void(core::OsView)> seen) {
    os_stamp_ = parts_.os.stamp();
    parts_.os.observe([this, looks_left, seen = std::move(seen)](Result<core::OsView> view) {
        is_os_known_ = view.has_value();
        if (view) return seen(std::move(*view));
        if (looks_left > 1) {
            os_look_ =
                parts_.loop.add_timer(kLookAgain, [this, looks_left, seen] { look_first(looks_left - 1, seen); });
            return;
        }
        note("the OS deployments cannot be read; what was last known of them stands until they can: " +
             view.error().what);
        seen(state_.os.view);
    });
}

void Runner::look_at_os(std::function<void(core::OsView)> seen) { look_first(kFirstLooks, std::move(seen)); }

/// An updater may stage what was rejected, at any time.
void Runner::keep_looking_at_os() {
    if (os_stamp_.empty() && is_os_known_) return;  // a device whose OS never changes
    os_look_ = parts_.loop.add_timer(kLook, [this] {
        std::string stamp = parts_.os.stamp();
        if ((stamp == os_stamp_ && is_os_known_) || state_.os.verb || storage_failed_) return keep_looking_at_os();
        os_stamp_ = std::move(stamp);
        parts_.os.observe([this](Result<core::OsView> view) {
            if (is_os_known_ && !view) note("the OS deployments cannot be read any more: " + view.error().what);
            is_os_known_ = view.has_value();
            if (view && !(*view == state_.os.view) && !state_.os.verb) post(core::OsObserved{std::move(*view)});
            keep_looking_at_os();
        });
    });
}

void Runner::perform(const core::DropStaged& action) {
    perform_os(core::OsVerb::drop_staged, action.work_id, action.deployment);
}
void Runner::perform(const core::OrderOs& action) { perform_os(core::OsVerb::order_os, action.work_id, action.target); }
void Runner::perform(const core::ConfirmOsDefault& action) {
    perform_os(core::OsVerb::confirm_os_default, action.work_id, action.target);
}

/// Outside of the device's window it waits, prepared, without an answer: each answer would be a commit.
void Runner::perform(const core::Reboot& action) {
    reboot_wait_.reset();
    reboot_wall_usec_ = 0;
    if (state_.os.verb != core::OsVerb::reboot || state_.os.work_id != action.work_id) return;  // given up meanwhile
    const Usec left = parts_.device.reboot_window ? until_open_now(*parts_.device.reboot_window) : Usec{0};
    if (left == Usec{0}) return perform_os(core::OsVerb::reboot, action.work_id, action.target);
    reboot_wall_usec_ = sys::wall_now_usec() + left.count();
    reboot_wait_ = parts_.loop.add_timer(std::min(left, kClockLook), [this, action] { perform(action); });
}

void Runner::perform_os(core::OsVerb verb, std::uint64_t work_id, const std::string& target) {
    perform_os(verb, work_id, target, kBusyTries);
}

/// An updater may hold the sysroot for as long as a download takes: that is waited out, and uses up none of core's
/// attempts.
void Runner::perform_os(core::OsVerb verb, std::uint64_t work_id, const std::string& target, int tries_left) {
    if (state_.os.verb != verb || state_.os.work_id != work_id) return;  // given up meanwhile
    parts_.os.perform(verb, target, [this, verb, work_id, target, tries_left](const Result<void>& done) {
        if (!done && done.error().kind == ErrorKind::unavailable && tries_left > 1) {
            if (tries_left == kBusyTries) note(std::string(core::to_word(verb)) + " waits: " + done.error().what);
            os_again_ = parts_.loop.add_timer(kLook, [this, verb, work_id, target, tries_left] {
                perform_os(verb, work_id, target, tries_left - 1);
            });
            return;
        }
        if (!done) os_stamp_ = "refused";  // the deployments may be others than core believes: the next look reads them
        post(core::OsActionDone{verb, work_id, done.has_value(), done ? std::string() : done.error().what});
    });
}

}  // namespace modelguard::daemon
