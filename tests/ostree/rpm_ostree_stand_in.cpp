// `rpm-ostree rollback` as its daemon does it, on the sysroot that is booted: the toggle, the refusals and the trap
// with three deployments. A stand-in for tests, since Debian has no rpm-ostree. Source: rpm-ostree's rollback
// transaction; ostree_sysroot_query_deployments_for().

#include <ostree.h>

#include <cstdio>
#include <cstring>

#include "supervisor/sys/fd.hpp"

namespace {

using modelguard::sys::CPtr;
using Array = CPtr<GPtrArray, g_ptr_array_unref>;
constexpr guint kNone = G_MAXUINT;

int refuse(const char* why) {
    std::fprintf(stderr, "error: %s\n", why);
    return 1;
}

int rollback() {
    GError* error = nullptr;
    const CPtr<OstreeSysroot, g_object_unref> sysroot(ostree_sysroot_new_default());
    if (!ostree_sysroot_load(sysroot.get(), nullptr, &error)) return refuse(error->message);
    OstreeDeployment* booted = ostree_sysroot_get_booted_deployment(sysroot.get());
    if (!booted) return refuse("Not currently booted into an OSTree system");
    const Array deployments(ostree_sysroot_get_deployments(sysroot.get()));
    guint pending = kNone, booted_at = kNone, rollback = kNone;
    for (guint index = 0; index < deployments->len; ++index) {
        auto* each = OSTREE_DEPLOYMENT(g_ptr_array_index(deployments.get(), index));
        if (ostree_deployment_equal(each, booted)) {
            booted_at = index;
            continue;
        }
        if (std::strcmp(ostree_deployment_get_osname(each), ostree_deployment_get_osname(booted)) != 0) continue;
        guint& place = booted_at == kNone ? pending : rollback;
        if (place == kNone) place = index;
    }
    if (pending == kNone && rollback == kNone) return refuse("No rollback deployment found");
    if (pending != kNone &&
        ostree_deployment_is_staged(OSTREE_DEPLOYMENT(g_ptr_array_index(deployments.get(), pending))))
        return refuse("Staged deployment (remove with cleanup -p)");
    const guint chosen = rollback != kNone ? rollback : booted_at;
    const Array order(g_ptr_array_new_with_free_func(g_object_unref));
    g_ptr_array_add(order.get(), g_object_ref(g_ptr_array_index(deployments.get(), chosen)));
    for (guint index = 0; index < deployments->len; ++index)
        if (index != chosen) g_ptr_array_add(order.get(), g_object_ref(g_ptr_array_index(deployments.get(), index)));
    if (!ostree_sysroot_write_deployments(sysroot.get(), order.get(), nullptr, &error)) return refuse(error->message);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || std::strcmp(argv[1], "rollback") != 0) return refuse("the stand-in knows `rollback` alone");
    return rollback();
}
