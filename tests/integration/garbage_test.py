#!/usr/bin/env python3
"""Versions that nobody needs: a kill at any instant of their removal leaves nothing behind, and what was rejected stays rejected."""
import pathlib
import shutil
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import PATIENCE, Device  # noqa: E402

BAD = ("bad0", "bad1", "bad2", "bad3", "bad4")  # three of them are kept
FILES = 600  # more than are deleted at once
INSTANTS_MS = (0, 1, 2, 3, 5, 8, 12, 20)


class Garbage(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device(items=30, soak="100ms"))
        self.state = self.device.root / "var/lib/modelguard"
        self.versions = self.device.models / "versions"
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)

    def reject(self, label, files=FILES):
        bundle = self.device.bundle(label, mode="wrong_label")
        (bundle / "parts").mkdir()
        for number in range(files):
            (bundle / "parts" / str(number)).write_text(f"{label} {number}")
        self.device.cli("deploy", "digits", bundle, "--wait", check=1)
        return bundle

    def on_disk(self):
        return {path.name for path in self.versions.iterdir()}

    def known(self):
        return {item["digest"].replace(":", "-") for item in self.device.get("/v1/models/digits/versions")["items"]}

    def staged(self):
        return [path.name for path in (self.state / "staging").iterdir()]

    def wait_until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)

    def test_a_kill_during_a_collection_leaves_nothing_behind(self):
        small = self.reject("small", files=1)
        first, *_ = (self.reject(label) for label in BAD)
        self.device.kill()  # before the collection, which comes a second after the last decision
        before = self.device.root / "before"
        shutil.copytree(self.state, before, symlinks=True)
        collected = 0
        for delay in INSTANTS_MS:
            with self.subTest(killed_ms_after_the_first_rename=delay):
                shutil.rmtree(self.state)
                shutil.copytree(before, self.state, symlinks=True)
                self.device.start()
                full = self.on_disk()
                self.device.cli("deploy", "digits", small)  # refused, which is a decision
                self.wait_until(lambda: self.on_disk() < full, "a collection")
                time.sleep(delay / 1000)  # the instant of the kill, not a wait
                self.device.kill()
                self.device.start()
                self.wait_until(lambda: not self.staged(), f"an empty staging: {self.staged()}")
                self.assertEqual(self.on_disk(), self.known())
                self.assertLess(len(self.on_disk()), len(full))
                collected += len(full) - len(self.on_disk())
                self.device.check_promises()
                self.device.kill()
        self.device.start()
        again = self.device.cli("deploy", "digits", first, "--wait", check=1)
        self.assertIn("rejected", again.stdout + again.stderr)
        print(f"\n{len(INSTANTS_MS)} kills, {collected} versions of {FILES} files gone, nothing left")

    def test_a_tree_without_a_row_is_removed_at_start_and_one_that_a_link_names_is_not(self):
        self.device.kill()
        orphan = self.versions / ("sha256-" + "0" * 64)
        linked = self.versions / ("sha256-" + "1" * 64)
        for tree in (orphan, linked):
            tree.mkdir()
            (tree / "file").write_text("x")
        (self.device.models / "known-good").unlink()
        (self.device.models / "known-good").symlink_to(f"versions/{linked.name}")
        self.device.start()
        self.wait_until(lambda: not orphan.exists() and not self.staged(), "the orphan to be gone")
        self.assertTrue(linked.exists())
        self.assertEqual(self.device.serving(), "v1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
