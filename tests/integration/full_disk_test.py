#!/usr/bin/env python3
"""A full disk fails the update, never the way back. On a small tmpfs; needs root to mount it, and says so where it cannot."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402

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

    def test_a_rollback_works_on_a_full_disk(self):
        free_again = self.fill()
        self.device.cli("rollback", "digits", check=0)
        self.assertEqual(self.device.linked(), "v1")
        self.assertEqual(self.device.serving(), "v1")
        free_again()
        self.device.kill()
        self.device.start()
        self.assertEqual(self.device.wait_phase("steady")["current"]["label"], "v1")

    def test_current_that_goes_bad_on_a_full_disk_goes_back_by_itself(self):
        self.fill()
        self.device.control(mode="broken500", sticks_to="v2")
        self.device.wait_for(lambda model: model["phase"] == "steady" and model["current"]["label"] == "v1", "v1 serves again")
        self.assertEqual(self.device.serving(), "v1")


if __name__ == "__main__":
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("could not run here (needs root to mount a tmpfs): integration.full_disk_test")
        sys.exit(0)
    unittest.main(verbosity=2)
