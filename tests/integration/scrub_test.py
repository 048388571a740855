#!/usr/bin/env python3
"""Known-good versions are read again while nothing else is under way: what a disk has lost is found, told, and never served again.

A byte is flipped behind the daemon's back, with size and times as they were: only a whole hash can see that.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402


def flip_a_byte(file):
    """As a flash card does it: content alone, no stamp that tells of it."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(before.st_mode & 0o777)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


class Scrub(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device(items=30, soak="100ms"))
        self.set_scrub("1s")
        self.device.start()
        for label in ("v1", "v2"):
            self.device.cli("deploy", "digits", self.device.bundle(label), "--wait", check=0)

    def set_scrub(self, period):
        (self.device.root / "etc/modelguard/modelguard.yaml").write_text(f"store: {{scrub: {period}}}\n")

    def restart(self, scrub):
        self.device.kill()
        self.set_scrub(scrub)
        self.device.start()

    def versions(self):
        return {item["label"]: item for item in self.device.get("/v1/models/digits/versions")["items"]}

    def tree(self, label):
        return self.device.models / "versions" / self.versions()[label]["digest"].replace(":", "-")

    def quarantined(self):
        return sorted(path.name for path in (self.device.models / "quarantine").glob("*"))

    def damage(self, label):
        tree = self.tree(label)
        flip_a_byte(tree / "canary/digits.jsonl")
        return tree

    def wait_out_of_the_way(self, tree):
        self.device.wait_for(lambda _: not tree.exists() and "v1" not in self.versions(), f"{tree.name} in quarantine and forgotten")

    def test_damage_of_a_version_that_does_not_serve_is_told_and_the_version_is_used_no_more(self):
        after = self.device.last_number()
        tree = self.damage("v1")
        told = self.device.wait_decision("corrupt", after)
        self.assertEqual((told["label"], told["code"]), ("v1", "corrupt"))
        self.assertIn("not intact on disk any more", told["text"])
        self.assertIn("another digest", told["text"])
        model = self.device.model()
        self.assertEqual((model["phase"], self.device.serving()), ("steady", "v2"), model)

        self.wait_out_of_the_way(tree)
        self.assertEqual(self.quarantined(), [tree.name + "-1"])
        log = self.device.log.read_text()
        self.assertIn("is damaged on the disk: its content has another digest", log)
        self.assertIn("was taken out of the way", log)
        refused = self.device.cli("rollback", "digits", check=1)
        self.assertIn("no other known-good version", refused.stdout + refused.stderr)

        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)  # the same digest again
        self.assertEqual(self.device.serving(), "v1")
        self.assertTrue(self.versions()["v1"]["lkg"])
        self.device.check_promises()

    def test_damage_of_what_serves_brings_the_next_older_known_good_version_back(self):
        after = self.device.last_number()
        tree = self.damage("v2")
        self.device.wait_decision("corrupt", after)
        back = self.device.wait_decision("rolled_back", after)
        self.assertEqual(back["code"], "corrupt")
        self.device.wait_phase("steady")
        self.assertEqual((self.device.linked(), self.device.serving()), ("v1", "v1"))
        self.device.check_promises()
        self.device.wait_for(lambda _: not tree.exists(), "the damaged version out of the way")
        explained = self.device.cli("explain", "digits", check=0).stdout
        self.assertIn("corrupt", explained)

    def test_of_damaged_versions_only_the_newest_is_left_for_a_look(self):
        for number in (1, 2):
            tree = self.damage("v1")
            self.wait_out_of_the_way(tree)
            self.device.wait_for(lambda _, n=number: self.quarantined() == [f"{tree.name}-{n}"], f"only number {number} in quarantine")
            if number == 1:
                self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
                self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=0)

    def deploy_big(self):
        """A version that takes a while to read."""
        big = self.device.bundle("big")
        os.truncate(os.open(big / "weights.bin", os.O_CREAT | os.O_WRONLY), 128 << 20)
        self.device.cli("deploy", "digits", big, "--wait", check=0)

    def stopped_child(self):
        """The pid of a scrub under way, stopped so that it does not end by itself."""
        found = []

        def is_there(_):
            for folder in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    if words[1:2] != [b"--child-hash"] or b"idle" not in words or not words[2].startswith(bytes(self.device.root)):
                        continue
                    os.kill(int(folder.name), signal.SIGSTOP)
                except (FileNotFoundError, ProcessLookupError):
                    continue
                found.append(int(folder.name))
                return True
            return False

        self.device.wait_for(is_there, "a scrub")
        return found[0]

    def is_running(self, child):
        return pathlib.Path(f"/proc/{child}/cmdline").exists() and pathlib.Path(f"/proc/{child}/cmdline").read_bytes() != b""

    def test_a_deploy_ends_a_scrub_at_once_and_it_goes_on_later(self):
        self.deploy_big()
        child = self.stopped_child()
        self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=0)
        self.assertFalse(self.is_running(child))
        after = self.device.last_number()
        tree = self.damage("v1")
        self.device.wait_decision("corrupt", after)
        self.wait_out_of_the_way(tree)

    def test_a_request_to_measure_ends_it_too(self):
        self.deploy_big()
        child = self.stopped_child()
        self.device.cli("check", "digits", check=0)
        self.assertFalse(self.is_running(child))

    def test_it_ends_with_the_daemon(self):
        self.deploy_big()
        child = self.stopped_child()
        self.device.kill()
        self.device.start()
        self.device.wait_for(lambda _: not self.is_running(child), "the end of the scrub")
        self.device.check_promises()

    def test_it_takes_only_what_nobody_else_wants(self):
        self.deploy_big()
        wanted, seen = ("idle", os.SCHED_IDLE, 19), None
        for _ in range(20):  # a commit may end it
            child = self.stopped_child()
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it ended
                os.kill(child, signal.SIGCONT)  # it may have been caught before it took its place behind the others
                while self.is_running(child):
                    disk = subprocess.run(["ionice", "-p", str(child)], capture_output=True, text=True, check=False).stdout.strip()
                    seen = (disk, os.sched_getscheduler(child), os.getpriority(os.PRIO_PROCESS, child))
                    if seen == wanted:
                        return
        self.fail(f"a scrub at priority {seen}")

    def test_a_crash_before_or_after_the_damaged_tree_is_moved_is_made_good(self):
        for moved in (False, True):
            with self.subTest(moved=moved):
                after = self.device.last_number()
                tree = self.damage("v1")
                self.device.wait_decision("corrupt", after)
                self.device.kill()  # it is moved a second after the decision
                self.assertTrue(tree.exists())
                if moved:
                    tree.chmod(0o755)
                    tree.rename(self.device.models / "quarantine" / (tree.name + "-2"))
                self.device.start()
                self.wait_out_of_the_way(tree)
                self.assertEqual(self.quarantined(), [tree.name + ("-2" if moved else "-1")])
                self.assertEqual(self.device.serving(), "v2")
                self.device.check_promises()
                self.assertEqual(len([item for item in self.device.history(after) if item["kind"] == "corrupt"]), 1)
                self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
                self.device.cli("deploy", "digits", self.device.bundle("v2"), "--wait", check=0)

    def test_kills_at_any_moment_lose_nothing(self):
        tree = self.damage("v1")
        number = self.device.last_number()
        for moment in range(8):
            if moment % 2:
                self.device.get("/v1/history", model="digits", after=number, wait=1)
            self.device.kill()
            self.device.start()
            self.device.check_promises()
        self.wait_out_of_the_way(tree)
        self.assertEqual(len(self.quarantined()), 1)
        self.assertEqual(self.device.serving(), "v2")
        self.assertEqual(len([item for item in self.device.history() if item["kind"] == "corrupt"]), 1)

    def test_a_version_says_when_it_was_verified_last(self):
        before = self.versions()["v1"]["verified_wall_usec"]
        self.assertGreater(before, 0)
        self.device.wait_for(lambda _: self.versions()["v1"]["verified_wall_usec"] > before, "v1 verified again")

    def test_switched_off_nothing_is_read(self):
        self.restart("off")
        self.damage("v1")
        number = self.device.last_number()
        self.assertEqual(self.device.get("/v1/history", model="digits", after=number, wait=3)["items"], [])
        self.assertTrue(self.versions()["v1"]["known_good"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
