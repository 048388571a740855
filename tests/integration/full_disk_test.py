#!/usr/bin/env python3
"""A full disk fails the update, never the way back. On a small tmpfs; needs root to mount it, and says so where it cannot."""
import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import DAEMON, Device  # noqa: E402

DISK = 100 << 20


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.disk = pathlib.Path(tempfile.mkdtemp(prefix="mg-disk-"))
        self.addCleanup(self.disk.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)
        self.addCleanup(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(self.disk)
        self.device = self.enterContext(Device())
        self.device.start()
        for label in ("v1", "v2"):
            self.device.cli("deploy", "digits", self.device.bundle(label), "--wait", check=0)
        self.device.wait_phase("steady")

    def fill(self, leave=0):
        """Takes all space but `leave` bytes; returns what gives it back."""
        filler = self.disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            free = os.statvfs(self.disk)
            size = free.f_bavail * free.f_frsize - leave
            try:
                while size > 0:
                    size -= file.write(bytes(min(size, 1 << 20)))
                while not leave:
                    file.write(bytes(4096))
            except OSError:
                pass
        return filler.unlink

    def test_an_update_without_room_is_refused_and_leaves_nothing(self):
        free_again = self.fill(leave=40 << 20)
        refused = self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=6)
        self.assertIn("no space", refused.stderr)
        self.assertEqual(self.device.linked(), "v2")
        self.device.check_promises()
        free_again()
        self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=0)
        self.assertEqual(self.device.linked(), "v3")

    def test_versions_that_nobody_needs_make_room_for_an_update(self):
        for label in ("b1", "b2", "b3"):  # as many as are kept for a look
            bundle = self.device.bundle(label, mode="wrong_label")
            (bundle / "weights.bin").write_bytes(os.urandom(4 << 20))
            self.device.cli("deploy", "digits", bundle, "--wait", check=1)
            shutil.rmtree(bundle)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
            bundle = pathlib.Path(shutil.move(self.device.bundle("v3"), elsewhere))
            (bundle / "weights.bin").write_bytes(os.urandom(6 << 20))
            self.fill(leave=68 << 20)  # 64 MiB stay free after an import
            self.device.cli("deploy", "digits", bundle, "--wait", check=0)
        self.assertEqual(self.device.linked(), "v3")
        self.assertEqual(sorted(item["label"] for item in self.device.get("/v1/models/digits/versions")["items"]), ["v1", "v2", "v3"])

    def test_a_rollback_works_on_a_full_disk(self):
        free_again = self.fill()
        self.device.cli("rollback", "digits", check=0)
        self.assertEqual(self.device.linked(), "v1")
        self.assertEqual(self.device.serving(), "v1")
        free_again()
        self.device.kill()
        self.device.start()
        self.assertEqual(self.device.wait_phase("steady")["current"]["label"], "v1")

    def test_a_model_ten_times_larger_than_the_free_space_is_refused_early(self):
        free_again = self.fill(leave=12 << 20)
        staging = self.device.root / "var/lib/modelguard/staging"
        with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
            bundle = pathlib.Path(elsewhere) / "large"
            bundle.mkdir()
            with open(bundle / "weights.bin", "wb") as file:
                for number in range(120):
                    file.write(number.to_bytes(1, "little") * (1 << 20))
            refused = self.device.cli("deploy", "digits", bundle, "--wait", check=6)
        print(f"\n{refused.stderr.strip()}")
        self.assertIn("no space", refused.stderr)
        self.assertEqual(list(staging.iterdir()), [])
        self.assertEqual(self.device.cli("status", check=0).returncode, 0)
        free_again()
        self.device.check_promises()

    def test_space_that_runs_out_at_each_step_of_an_upgrade_never_costs_the_served_version(self):
        """From nothing free at all to enough: the disk is full at another place of the upgrade each time."""
        ends = collections.Counter()
        for number, leave in enumerate([0, *(1 << bits for bits in (12, 13, 14, 15, 16, 17, 18, 20, 23))]):
            # the import leaves 64 MiB free for the way back: space runs out behind its back, while the trial is on
            label = f"n{number}"
            before = self.device.linked()
            self.device.cli("deploy", "digits", self.device.bundle(label), check=0)
            free_again = self.fill(leave=leave)
            self.device.wait_for(lambda model: model["phase"] in ("steady", "held"), "rest on a full disk")
            shown = self.device.cli("status")
            self.assertIn(shown.returncode, (0, 1))
            free_again()
            self.device.wait_phase("steady")
            self.assertIn(self.device.linked(), (before, label))
            self.assertEqual(self.device.serving(), self.device.linked())
            ends["accepted" if self.device.linked() == label else "kept the old one"] += 1
            self.device.check_promises()
        print(f"\nfull at 10 places of an upgrade: {dict(ends)}")
        self.assertEqual(self.device.cli("status", check=0).returncode, 0)

    def test_a_start_on_a_read_only_file_system_says_so_and_costs_nothing(self):
        def remount(how):
            subprocess.run(["mount", "-o", f"remount,{how}", self.disk], check=True)

        self.device.kill()
        remount("ro")
        try:
            started = subprocess.run([DAEMON, "--root", self.device.root], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(started.returncode, 6)
            self.assertIn("Read-only file system", started.stderr)
            shown = self.device.cli("status", check=4)
            print(f"\n{started.stderr}{shown.stdout}{shown.stderr}")
            self.assertIn("v2", shown.stdout)
            self.assertEqual(self.device.serving(), "v2")
        finally:
            remount("rw")
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=0)
        self.assertEqual(self.device.linked(), "v3")

    def test_the_daemon_starts_on_a_full_disk_and_goes_back(self):
        self.device.log = pathlib.Path("/dev/null")
        free_again = self.fill()
        self.device.kill()
        self.device.start()
        self.device.cli("rollback", "digits", check=0)
        self.assertEqual(self.device.serving(), "v1")
        free_again()

    def test_current_that_goes_bad_on_a_full_disk_goes_back_by_itself(self):
        self.fill()
        self.device.control(mode="broken500", sticks_to="v2")
        self.device.wait_for(lambda model: model["phase"] == "steady" and model["current"]["label"] == "v1", "v1 serves again")
        self.assertEqual(self.device.serving(), "v1")


if __name__ == "__main__":
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("could not run here (needs root to mount a tmpfs): integration.full_disk_test")
        sys.exit(77)
    unittest.main(verbosity=2)
