#!/usr/bin/env python3
"""The whole of it on a machine that reboots: modelguard as installed under a real systemd, on a real sysroot whose default deployment
boots. An OS that breaks a model is rolled back; a model that is bad by itself is not blamed on the OS.

What is played: the boot loader and ostree-prepare-root (boot-loader.service), the OS's way to show a broken driver (model_on_driver.py),
the updater, and greenboot. argv: none; MODELGUARD_BIN names the build tree. Skipped by name (77) where no such machine can be made."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
os.environ.setdefault("MODELGUARD_BIN", "build/dev")
import device  # noqa: E402
import machine  # noqa: E402

BUILD = pathlib.Path(os.environ["MODELGUARD_BIN"]).resolve()
SYSTEMS = ("os1", "os2", "os3", "os4", "os5")
WITH_A_BROKEN_DRIVER = ("os2", "os4")
GREENBOOT = "/usr/libexec/greenboot/greenboot"
GRUBENV = "/boot/grub2/grubenv"
RPM_OSTREE = "/usr/libexec/modelguard-test/rpm-ostree"

# argv: an empty directory, the systems, os1 of which is deployed; the others are only in the repository, as an updater has pulled them.
SYSROOT = r"""
set -e
export OSTREE_SYSROOT_DEBUG=mutable-deployments
cd "$1"; shift
mkdir sysroot
ostree admin init-fs sysroot
ostree admin os-init testos --sysroot=sysroot
mkdir -p sysroot/boot/grub2
age=0
for version in "$@"; do
    rm -rf tree; mkdir tree
    (cd tree; mkdir -p usr/lib/modules/1.0 usr/etc sysroot boot run proc dev sys tmp var; ln -s sysroot/ostree ostree
     for name in bin lib lib64 sbin; do ln -s usr/$name $name; done)
    echo "kernel of $version" > tree/usr/lib/modules/1.0/vmlinuz
    echo initramfs > tree/usr/lib/modules/1.0/initramfs.img
    printf 'ID=testos\nVERSION_ID=%s\n' $version > tree/usr/lib/os-release
    case " $BROKEN " in *" $version "*) touch tree/usr/lib/driver-broken;; esac
    ostree commit --repo=sysroot/ostree/repo --branch=testos/$version --timestamp=@$((1700000000 + age)) --tree=dir=tree >/dev/null
    age=$((age + 100))
done
rm -rf tree
ostree admin deploy --sysroot=sysroot --os=testos testos/os1 >/dev/null
"""
# What GRUB does with the boot entries, and ostree-prepare-root with the kernel's command line; no kernel is booted.
BOOT_LOADER = r"""#!/bin/bash
set -eu
sysroot=/srv/disk/sysroot
entry=$(for each in $sysroot/boot/loader/entries/*.conf; do
    echo "$(sed -n 's/^version //p' "$each") $each"; done | sort -rn | head -1 | cut -d' ' -f2)
booted=$(realpath "$sysroot$(sed -n 's/^options .*ostree=\([^ ]*\).*/\1/p' "$entry")")
# the helper's root; the machine's own is another
mkdir -p /srv/root
mount --bind "$booted" /srv/root
mount --make-private /srv/root
cd /srv/root
mount --rbind $sysroot sysroot
mount --bind $sysroot/boot boot
mount --rbind /usr usr
touch /run/ostree-booted
mount --rbind /run run
# as Fedora IoT and CoreOS have them
mount -o remount,bind,ro /srv/root/sysroot
mount -o remount,bind,ro /srv/root/boot
# what the daemon, the gate and the model server look at
mount --bind $sysroot/boot /boot
ln -sfn $sysroot/ostree /ostree
ln -sfn "$booted" /run/booted-os
# this kernel has only one boot id
echo "MODELGUARD_TEST_BOOT_ID=$(cat /proc/sys/kernel/random/uuid)" > /run/boot-id
basename "$booted" >> /srv/disk/boots
"""
# A program of the OS that is booted, as it sees itself.
AS_HOST = r"""#!/bin/bash
export OSTREE_SYSROOT_DEBUG=mutable-deployments
exec unshare --mount bash -c 'for name in proc dev; do mount --rbind /$name /srv/root/$name; done
    # as rpm-ostreed and libostree do it for themselves alone
    for name in sysroot boot; do mount -o remount,bind,rw /srv/root/$name; done
    exec chroot /srv/root "$@"' as-host "$@"
"""
MOUNTS = "srv-disk.mount srv-root.mount srv-root-sysroot.mount srv-root-boot.mount srv-root-usr.mount srv-root-run.mount"
UNITS = {
    "boot-loader.service": "[Unit]\nAfter=local-fs.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/srv/test/boot-loader\n"
                           "[Install]\nWantedBy=multi-user.target\n",
    # ostree's own, which is started when something is staged; here at each boot, for none can start it from within the other root
    "ostree-finalize-staged.service": f"[Unit]\nAfter={MOUNTS} boot-loader.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                                      "ExecStart=/bin/true\nExecStop=/srv/test/as-host ostree admin finalize-staged\n"
                                      "[Install]\nWantedBy=multi-user.target\n",
    "modelguardd.service.d/test.conf": "[Unit]\nWants=boot-loader.service\nAfter=boot-loader.service\n"
                                       "[Service]\nEnvironmentFile=/run/boot-id\n",
    "modelguard-gate.service.d/test.conf":
        "[Service]\nExecStopPost=+/bin/sh -c 'echo $(basename $(realpath /run/booted-os)) ${EXIT_STATUS} >> /srv/disk/gates'\n",
    "modelguard-os@.service.d/test.conf": """[Service]
RootDirectory=/srv/root
MountAPIVFS=yes
Environment=OSTREE_SYSROOT_DEBUG=mutable-deployments
EnvironmentFile=/run/boot-id
# the unit's own, below that root
ReadWritePaths=
ReadWritePaths=-+/sysroot -+/boot -+/run/ostree
InaccessiblePaths=
InaccessiblePaths=-+/var/lib/modelguard
""",
    "digits.service": """[Unit]
Description=Model server of the test
Wants=boot-loader.service
After=boot-loader.service
StartLimitIntervalSec=0
[Service]
DynamicUser=yes
StateDirectory=digits
RuntimeDirectory=digits
RuntimeDirectoryPreserve=restart
# it ends with its standard input
ExecStart=/bin/bash -c 'exec /usr/bin/python3 /srv/test/model_on_driver.py --port 8080 --current /var/lib/modelguard/models/digits/current < <(sleep infinity)'
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
""",
}
MANIFEST = device.MANIFEST.replace("then: {{oip_repository: {{}}}}", "then: {{systemd: {{unit: digits.service, action: restart}}}}").format(
    port=8080, ready_within="10s", period="300ms", max_latency="300ms", samples=20, soak="300ms")


class OsRollback(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(device.Device(model_server=False))  # makes bundles
        cls.machine = cls.enterClassContext(machine.Machine())
        cls.rows = []
        cls.disk = cls.machine.place / "disk"
        cls.disk.mkdir()
        subprocess.run(["bash", "-c", SYSROOT, "sysroot", cls.disk, *SYSTEMS], env=dict(os.environ, BROKEN=" ".join(WITH_A_BROKEN_DRIVER)),
                       check=True, stdout=subprocess.DEVNULL)
        commits = {name: subprocess.run(["ostree", "rev-parse", f"--repo={cls.disk}/sysroot/ostree/repo", f"testos/{name}"], capture_output=True,
                                        text=True, check=True).stdout.strip() for name in SYSTEMS}
        cls.names = {commit: name for name, commit in commits.items()}
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env=dict(os.environ, DESTDIR=str(cls.machine.upper)), check=True,
                       stdout=subprocess.DEVNULL)
        cls.machine.write("/srv/test/boot-loader", BOOT_LOADER, 0o755)
        cls.machine.write("/srv/test/as-host", AS_HOST, 0o755)
        for program in (HERE / "model_on_driver.py", *(HERE.parent / "support" / name for name in ("repository_server.py", "model_server.py"))):
            cls.machine.write(f"/srv/test/{program.name}", program.read_text(), 0o755)
        for name, text in UNITS.items():
            cls.machine.write(f"/etc/systemd/system/{name}", text)
        cls.machine.write("/etc/modelguard/models.d/digits.yaml", MANIFEST)
        stand_in = cls.machine.upper / RPM_OSTREE.lstrip("/")
        stand_in.parent.mkdir(parents=True)
        shutil.copy(BUILD / "tests/ostree/rpm-ostree", stand_in)
        for label, behaviour in (("v1", {}), ("wrong", {"mode": "wrong_label"}), ("overheating", {"overheats": True}), ("hot", {"overheats": True, "n": 2})):
            shutil.copytree(cls.lab.bundle(label, **behaviour), cls.machine.upper / "srv/test" / label)
        cls.machine.boot()
        cls.machine.run("systemd-sysusers")
        cls.machine.run("systemd-tmpfiles", "--create", "modelguard.conf")
        cls.machine.run("systemctl", "daemon-reload")
        cls.machine.run("systemctl", "preset", "modelguardd.service", "modelguardd-api.socket", "modelguardd-control.socket",
                        "modelguard-gate.service", "modelguard-boot-complete.service")
        cls.machine.run("systemctl", "enable", "boot-loader.service", "ostree-finalize-staged.service", "digits.service")
        cls.machine.run("systemctl", "start", "boot-loader.service", "ostree-finalize-staged.service", "modelguardd-api.socket",
                        "modelguardd-control.socket", "modelguardd.service")

    @classmethod
    def tearDownClass(cls):
        rows = [("scenario", "booted", "order before", "order after", "verdicts"), *cls.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())

    # ---- the machine and its disk, seen from outside ----------------------------------------------------------

    @classmethod
    def named(cls, deployment):
        """os2 for testos-COMMIT.0 or COMMIT.0, os2.1 for the second of that commit."""
        commit, _, serial = deployment.rpartition("-")[2].partition(".")
        return cls.names.get(commit, commit) + ("" if serial == "0" else f".{serial}")

    def order(self):
        """As the boot loader reads it."""
        entries = []
        for entry in (self.disk / "sysroot/boot/loader/entries").glob("*.conf"):
            keys = dict(line.split(" ", 1) for line in entry.read_text().splitlines() if " " in line)
            link = next(word for word in keys["options"].split() if word.startswith("ostree=")).removeprefix("ostree=")
            entries.append((int(keys["version"]), self.named((self.disk / ("sysroot" + link)).resolve().name)))
        return " ".join(name for _, name in sorted(entries, reverse=True))

    def boots(self):
        return [self.named(name) for name in (self.disk / "boots").read_text().split()]

    def gates(self):
        """(what was booted, exit status) of the gate of each boot that has ended or failed."""
        with contextlib.suppress(FileNotFoundError):
            return [(self.named(line.split()[0]), line.split()[1]) for line in (self.disk / "gates").read_text().splitlines()]
        return []

    def cli(self, *arguments, check=None):
        return self.machine.run("modelguard", *arguments, check=check)

    def status(self):
        done = self.cli("status", "--json")
        return json.loads(done.stdout) if done.returncode in (0, 1) else None

    def history(self):
        """Oldest first."""
        return json.loads(self.cli("history", "--json", "--limit", "500", check=0).stdout)["items"][::-1]

    def told_since(self, mark):
        return [item["kind"] for item in self.history() if item["number"] > mark]

    def mark(self):
        return self.history()[-1]["number"]

    def wait(self, condition, what):
        deadline = time.monotonic() + machine.PATIENCE
        status = None
        while time.monotonic() < deadline:
            status = self.status()
            if status and condition(status):
                return status
        self.fail(f"not reached: {what}\n{json.dumps(status, indent=1)}\n"
                  + self.machine.run("journalctl", "-n", "60", "--no-pager", "-u", "modelguard*", check=None).stdout)

    def wait_healthy(self, system):
        """It booted, its required model passed here, and the boot is complete."""
        return self.wait(lambda status: self.named(status["os"]["booted"]) == system and status["boot_complete"]
                         and status["models"][0]["phase"] == "steady" and status["healthy"], f"{system} is well")

    def wait_until_known_good_on(self, system):
        """The metrics name the newest OS on which the known-good version has passed."""
        def told(_):
            lines = self.machine.run("curl", "-s", "--unix-socket", "/run/modelguard/api.sock", "http://modelguard/metrics").stdout.splitlines()
            return any(line.startswith("modelguard_known_good") and any(commit in line for commit, name in self.names.items() if name == system)
                       for line in lines)
        self.wait(told, f"known-good on {system}")

    def stage(self, system):
        """As an updater does: it is deployed at the next shutdown."""
        self.machine.run("/srv/test/as-host", "ostree", "admin", "deploy", "--stage", "--os=testos", f"testos/{system}")

    def go_down(self):
        self.machine.run("systemctl", "reboot", check=None)
        self.machine.wait_until_down()

    def row(self, scenario, booted, before, after, verdicts):
        self.rows.append((scenario, booted, before, after, verdicts))

    # ---- scenarios --------------------------------------------------------------------------------------------

    def test_1_an_os_that_breaks_the_known_good_model_is_rolled_back_where_nobody_else_watches(self):
        self.assertEqual(self.cli("deploy", "digits", "/srv/test/v1", "--wait").returncode, 0)
        self.wait_healthy("os1")
        self.wait_until_known_good_on("os1")
        mark, boots = self.mark(), len(self.boots())
        self.stage("os2")
        self.go_down()
        before = self.order()
        self.assertEqual(before, "os2 os1")  # the boot loader's default is the new one

        self.machine.power_on()
        self.machine.wait_until_down()  # by itself
        self.assertEqual(self.order(), "os1 os2")

        self.machine.boot()
        status = self.wait_healthy("os1")
        self.assertEqual(self.boots()[boots:], ["os2", "os1"])
        self.assertEqual(self.gates()[-1], ("os2", "1"))  # that of the boot that goes on has not ended
        self.assertEqual([self.named(name) for name in status["os"]["rejected"]], ["os2"])
        self.assertEqual((status["os_backend"], status["models"][0]["current"]["label"]), ("ostree", "v1"))
        told = self.told_since(mark)
        self.assertLess(told.index("os_rollback_ordered"), told.index("os_rolled_back"))
        self.assertNotIn("rejected", told)
        degraded = next(item for item in self.history() if item["number"] > mark and item["kind"] == "degraded" and item["code"] == "os")
        self.assertEqual(degraded["blame"], "os")
        self.assertEqual(self.cli("gate").returncode, 0)
        self.row("1 the OS breaks the model", "os2 os1", before, self.order(), "gate fail on os2, pass on os1; os2 rejected; v1 serves")

    def test_2_the_rejected_os_comes_again_and_is_not_booted(self):
        mark, boots = self.mark(), len(self.boots())
        self.stage("os2")
        staged = self.machine.run("/srv/test/as-host", "ostree", "admin", "status").stdout
        self.assertIn("staged", staged)
        self.wait(lambda status: "staged_dropped" in self.told_since(mark) and not status["os"]["staged"], "what was staged is dropped")
        self.assertNotIn("staged", self.machine.run("/srv/test/as-host", "ostree", "admin", "status").stdout)
        self.machine.run("/srv/test/as-host", "ostree", "admin", "deploy", "--os=testos", "testos/os2")  # not staged: the default at once
        before = self.order()
        self.assertEqual(before.split()[0].split(".")[0], "os2")
        self.wait(lambda status: "os_default_confirmed" in self.told_since(mark) and self.order().startswith("os1"), "the default is os1 again")
        self.go_down()
        self.machine.boot()
        self.wait_healthy("os1")
        self.assertEqual(self.boots()[boots:], ["os1"])
        self.row("2 the rejected OS again", "os1", before, self.order(), "staged: dropped; pending: os1 confirmed as the default")

    def test_3_a_bad_version_on_a_new_good_os_is_blamed_itself(self):
        boots = len(self.boots())
        self.stage("os3")
        self.go_down()
        before = self.order()
        self.machine.boot()
        mark = self.mark()
        self.assertEqual(self.cli("deploy", "digits", "/srv/test/wrong", "--wait").returncode, 1)
        status = self.wait_healthy("os3")
        self.assertEqual((status["models"][0]["current"]["label"], status["models"][0]["rejected_count"]), ("v1", 1))
        told = [item for item in self.history() if item["number"] > mark]
        self.assertEqual([item["blame"] for item in told if item["kind"] == "rejected"], ["model"])
        self.assertEqual([item["kind"] for item in told if item["kind"].startswith("os_")], [])
        self.assertEqual(self.cli("gate").returncode, 0)
        self.wait_until_known_good_on("os3")
        self.assertEqual((self.boots()[boots:], self.order()), (["os3"], before))
        self.assertEqual([self.named(name).split(".")[0] for name in status["os"]["rejected"]][:1], ["os2"])
        self.row("3 a bad model, a good OS", "os3", before, self.order(), "gate pass on os3; the version rejected, v1 serves")

    def test_4_nothing_passes_on_an_unchanged_os_and_the_os_is_left_alone(self):
        mark, boots, before = self.mark(), len(self.boots()), self.order()
        done = self.cli("deploy", "digits", "/srv/test/overheating", "--wait")
        self.assertEqual(done.returncode, 1, done.stderr)
        status = self.wait(lambda status: status["models"][0]["phase"] == "degraded" and status["models"][0]["code"] == "environment", "degraded")
        self.assertEqual(status["models"][0]["current"]["label"], "v1")
        self.assertEqual(self.cli("status").returncode, 1)
        told = [item for item in self.history() if item["number"] > mark]
        self.assertTrue(any(item["kind"] == "degraded" and item["blame"] == "environment" for item in told), told)
        self.assertEqual([item["kind"] for item in told if item["kind"].startswith("os_") or item["kind"] == "rejected"], [])
        # it stays so over a reboot: somebody's, not modelguard's
        self.assertEqual(len(self.boots()), boots)
        self.go_down()
        self.machine.boot()
        gate = json.loads(self.machine.run("modelguard", "gate", "--json", check=0).stdout)
        self.assertEqual((gate["verdict"], [reason["warning"] for reason in gate["reasons"]]), ("pass", [True]))
        self.assertEqual(self.cli("status").returncode, 1)
        self.assertEqual((self.boots()[boots:], self.order()), (["os3"], before))
        self.assertEqual([kind for kind in self.told_since(mark) if kind.startswith("os_")], [])
        self.machine.run("rm", "/var/lib/digits/accelerator-gone")
        self.wait_healthy("os3")
        self.row("4 nothing passes, same OS", "os3", before, self.order(), "gate pass with a warning; blame environment, status 1")

    def test_5_where_greenboot_has_the_os_on_trial_the_rollback_is_left_to_it(self):
        mark, boots = self.mark(), len(self.boots())
        self.stage("os4")
        self.machine.write(GREENBOOT, "#!/bin/bash\n", 0o755)
        self.machine.write(GRUBENV, "# GRUB Environment Block\nboot_counter=2\n" + "#" * 900)
        self.go_down()
        before = self.order()
        self.assertEqual(before, "os4 os3")
        self.machine.boot()  # and stays up
        gate = json.loads(self.machine.run("modelguard", "gate", "--json", check=1).stdout)
        self.assertEqual((gate["verdict"], gate["boot_trial"], gate["boot_complete"]), ("fail", "greenboot", False))
        self.assertEqual(self.machine.run("bash", "/usr/lib/greenboot/check/required.d/50_modelguard.sh", check=None).returncode, 1)
        status = self.status()
        self.assertEqual((status["models"][0]["code"], status["os"]["pending_target"]), ("os", ""))
        self.assertEqual(self.gates()[-1], ("os4", "1"))
        self.assertEqual([kind for kind in self.told_since(mark) if kind.startswith("os_")], [])
        self.assertEqual(self.order(), before)
        # what greenboot does when its tries are used up
        self.machine.run("/srv/test/as-host", RPM_OSTREE, "rollback")
        self.machine.write(GRUBENV, "# GRUB Environment Block\n" + "#" * 900)
        self.go_down()
        self.machine.boot()
        status = self.wait_healthy("os3")
        self.assertEqual(self.boots()[boots:], ["os4", "os3"])
        self.assertIn("os4", [self.named(name) for name in status["os"]["rejected"]])
        self.assertEqual(status["os"]["default"], status["os"]["booted"])
        self.assertNotIn("os_rollback_ordered", self.told_since(mark))
        self.assertIn("os_rolled_back", self.told_since(mark))
        self.row("5 greenboot watches", "os4 os3", before, self.order(), "gate fail on os4, pass on os3; os4 rejected; nothing ordered")

    def test_6_a_fault_that_was_there_before_the_os_came_is_not_blamed_on_it(self):
        self.assertEqual(self.cli("deploy", "digits", "/srv/test/overheating", "--wait").returncode, 1)
        self.wait(lambda status: status["models"][0]["code"] == "environment", "degraded")
        mark, boots = self.mark(), len(self.boots())
        self.stage("os5")
        self.go_down()
        before = self.order()
        self.machine.boot()
        self.assertEqual(self.cli("deploy", "digits", "/srv/test/hot", "--wait").returncode, 1)
        status = self.wait(lambda status: status["models"][0]["phase"] in ("degraded", "held") and status["models"][0]["code"] != "failing", "at rest")
        self.assertEqual([kind for kind in self.told_since(mark) if kind.startswith("os_")], [])
        self.assertEqual((self.boots()[boots:], self.order(), status["models"][0]["code"]), (["os5"], before, "environment"))
        self.machine.run("rm", "/var/lib/digits/accelerator-gone")
        self.wait_healthy("os5")
        self.row("6 a fault older than the OS", "os5", before, self.order(), "blame environment; the OS left alone")


if __name__ == "__main__":
    machine.skip_unless_possible("ostree.os_rollback_test", "cmake", "ostree")
    unittest.main(argv=sys.argv[:1], failfast=True)  # each begins where the one before ended
