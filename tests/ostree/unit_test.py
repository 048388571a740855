#!/usr/bin/env python3
"""The OS helper in its unit, under a real systemd with all its limits, on a real sysroot whose /sysroot and /boot are read-only: it lists,
orders, drops a staged deployment and refuses, and the daemon's user may start it.

argv: the build tree. Skipped by name (77) where no such machine can be made."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import machine  # noqa: E402

BUILD = pathlib.Path(os.environ["MODELGUARD_BIN"]).resolve()

# A sysroot with three deployments, and /srv/root as the machine sees itself when the second one is booted. The machine's own root is
# another: the unit gets this one by RootDirectory=.
SYSROOT = r"""
set -e
export OSTREE_SYSROOT_DEBUG=mutable-deployments
mount -t tmpfs tmpfs /srv/disk
mkdir -p /srv/disk/sysroot /srv/disk/boot /srv/root
cd /srv/disk
mkdir -p sysroot/boot && mount --bind boot sysroot/boot
ostree admin init-fs sysroot
ostree admin os-init testos --sysroot=sysroot
for version in v1 v2 v3; do
    rm -rf tree; mkdir -p tree/usr/lib/modules/1.0 tree/usr/etc
    echo "kernel of $version" > tree/usr/lib/modules/1.0/vmlinuz
    echo initramfs > tree/usr/lib/modules/1.0/initramfs.img
    echo ID=testos > tree/usr/lib/os-release
    ostree commit --repo=sysroot/ostree/repo --branch=testos/$version --tree=dir=tree >/dev/null
    ostree admin deploy --sysroot=sysroot --os=testos --retain testos/$version >/dev/null
done
booted=$(ostree rev-parse --repo=sysroot/ostree/repo testos/v2).0
mount --bind sysroot/ostree/deploy/testos/deploy/$booted /srv/root
cd /srv/root
mkdir -p sysroot boot run proc dev sys tmp etc
ln -s sysroot/ostree ostree
mount --rbind /srv/disk/sysroot sysroot
mount --bind /srv/disk/boot boot
mount --rbind /usr usr
for name in bin lib lib64 sbin; do ln -s usr/$name $name; done
mount --rbind /run run
touch run/ostree-booted
# as Fedora IoT and CoreOS have them
mount -o remount,bind,ro /srv/root/sysroot
mount -o remount,bind,ro /srv/root/boot
"""
DROP_IN = """[Service]
RootDirectory=/srv/root
MountAPIVFS=yes
Environment=OSTREE_SYSROOT_DEBUG=mutable-deployments
# the unit's own, below that root
ReadWritePaths=
ReadWritePaths=-+/sysroot -+/boot -+/run/ostree
InaccessiblePaths=
InaccessiblePaths=-+/var/lib/modelguard
"""


class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(machine.Machine())
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env=dict(os.environ, DESTDIR=str(cls.machine.upper)), check=True,
                       stdout=subprocess.DEVNULL)
        cls.machine.write("/etc/systemd/system/modelguard-os@.service.d/test.conf", DROP_IN)
        (cls.machine.upper / "srv/disk").mkdir(parents=True)
        cls.machine.boot()
        cls.machine.run("systemd-sysusers")
        cls.machine.run("bash", "-c", SYSROOT)
        commits = [cls.machine.run("ostree", "rev-parse", "--repo=/srv/disk/sysroot/ostree/repo", f"testos/v{n}").stdout.strip() for n in (1, 2, 3)]
        cls.v1, cls.v2, cls.v3 = (f"testos-{commit}.0" for commit in commits)

    def start(self, instance, user="modelguard"):
        """As the daemon does; the unit's end."""
        unit = f"modelguard-os@{instance}.service"
        if user:
            self.machine.run("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                             "StartUnit", "ss", unit, "replace", user=user)
        return self.machine.run("systemctl", "start", unit, check=None)  # which waits for that job, or makes one of its own

    def done(self, instance):
        ended = self.start(instance)
        self.assertEqual(ended.returncode, 0, ended.stderr + self.machine.run("journalctl", "-u", f"modelguard-os@{instance}", "--no-pager").stdout)

    def refused(self, instance, reason):
        self.assertNotEqual(self.start(instance).returncode, 0)
        self.assertIn(reason, self.machine.run("cat", "/run/modelguard-os/error").stdout)

    def view(self):
        self.done("list")
        return json.loads(self.machine.run("cat", "/run/modelguard-os/view.json", user="modelguard").stdout)

    def order(self):
        return [each["id"] for each in self.view()["deployments"]]

    def test_1_it_sees_the_host_and_leaves_it_read_only(self):
        view = self.view()
        self.assertEqual([each["id"] for each in view["deployments"]], [self.v3, self.v2, self.v1])
        self.assertEqual((view["booted"], view["default"], view["staged"]), (self.v2, self.v3, ""))
        self.assertTrue(view["fell_back"])
        self.assertEqual(self.machine.run("stat", "-c", "%a", "/run/modelguard-os", "/run/modelguard-os/view.json").stdout.split(), ["755", "644"])

    def test_2_it_orders_what_is_named_again_and_again(self):
        for _ in range(2):
            self.done(f"order_os:{self.v1}")
            self.assertEqual(self.order(), [self.v1, self.v3, self.v2])
        self.done(f"confirm_os_default:{self.v2}")
        self.assertEqual(self.order(), [self.v2, self.v1, self.v3])
        for place in ("sysroot", "boot"):
            self.assertIn("ro", self.machine.run("findmnt", "-no", "OPTIONS", f"/srv/root/{place}").stdout.strip().split(","), place)

    def test_3_a_refusal_is_told_and_the_next_start_is_not_kept_from_it(self):
        for _ in range(7):  # more than systemd's own limit of starts
            self.refused(f"confirm_os_default:{self.v1}", "it is not booted")
        self.refused("order_os:testos-00.0", "no such deployment")
        self.done("list")
        self.assertNotEqual(self.machine.run("test", "-e", "/run/modelguard-os/error", check=None).returncode, 0)
        self.assertNotIn("modelguard-os@", self.machine.run("systemctl", "list-units", "--failed", "--no-legend").stdout)

    def test_4_it_can_neither_read_the_ledger_nor_write_elsewhere(self):
        self.machine.run("mkdir", "-p", "/srv/root/var/lib/modelguard")
        self.machine.run("bash", "-c", "echo secret > /srv/root/var/lib/modelguard/state.db")
        drop_in = "/etc/systemd/system/modelguard-os@.service.d/zz-look.conf"
        for command, possible in (("/bin/ls /sysroot/ostree", True), ("/bin/cat /var/lib/modelguard/state.db", False), ("/bin/touch /new", False),
                                  ("/bin/touch /etc/new", False), ("/usr/bin/unshare -m true", False)):
            self.machine.write(drop_in, f"[Service]\nExecStart=\nExecStart={command}\n")
            self.machine.run("systemctl", "daemon-reload")
            self.assertEqual(self.start("list", user=None).returncode == 0, possible, command)
        self.machine.run("rm", drop_in)
        self.machine.run("systemctl", "daemon-reload")

    def test_5_it_reboots_the_machine_when_nobody_minds(self):
        if self.machine.run("systemctl", "start", "systemd-logind.service", check=None).returncode == 0:
            self.machine.run("systemd-run", "--unit=minds", "systemd-inhibit", "--what=shutdown", "--mode=block", "--who=press 7",
                             "--why=a part is in it", "sleep", "infinity")
            self.machine.run("bash", "-c", "until systemd-inhibit --list --no-pager | grep -q 'press 7'; do sleep 0.05; done")
            self.refused(f"reboot:{self.v2}", "press 7")
            self.machine.run("systemctl", "stop", "minds.service")
            self.machine.run("bash", "-c", "while systemd-inhibit --list --no-pager | grep -q 'press 7'; do sleep 0.05; done")
        else:
            print("no logind in this machine: inhibitors were not asked for")
        self.machine.run("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartUnit", "ss",
                         f"modelguard-os@reboot:{self.v2}.service", "replace", user="modelguard")
        self.machine.shell.wait(timeout=machine.PATIENCE)
        self.assertIsNotNone(self.machine.shell.poll())
        self.machine.init = None


if __name__ == "__main__":
    machine.skip_unless_possible("ostree.unit_test", "cmake", "ostree")
    unittest.main(argv=sys.argv[:1])
