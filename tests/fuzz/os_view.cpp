// What the OS backend and the boot gate read: the OS helper's view, GRUB's environment, an instance's name.

#include "rollback/os_ostree.hpp"
#include "supervisor/base/boot_watch.hpp"
#include "supervisor/base/unit_name.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    const std::string text(fuzz::text_of(data, size));
    if (const auto view = rollback::parse_os_view(text, "6d31d639-4c4c-44d2-818b-c9fb5f03f8c6")) {
        MG_ASSERT(view->booted_deployment() != nullptr && !view->default_.empty());
        MG_ASSERT(view->staged.empty() || view->find(view->staged) != nullptr);
    } else {
        MG_ASSERT(view.error().kind == ErrorKind::malformed_reply && fuzz::is_one_line(view.error().what));
    }
    const GrubEnv env = parse_grubenv(text);
    for (const auto& [name, value] : env)
        MG_ASSERT(!name.empty() && value.size() < text.size());
    MG_ASSERT(boot_trial(env, Greenboot::none).empty());
    MG_ASSERT(!grub_fell_back(env) || boot_trial(env, Greenboot::bash).empty());
    if (const auto name = unescape_instance(text)) MG_ASSERT(escape_instance(*name) == text);
    MG_ASSERT(unescape_instance(escape_instance(text)) == text);
    return 0;
}
