#!/usr/bin/env python3
"""Upgrades end to end: the real daemon, CLI and sockets, a model server whose behaviour comes with each version."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402


class Upgrades(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.device.start()

    def deploy(self, label, exit_status, **behaviour):
        return self.device.cli("deploy", "digits", self.device.bundle(label, **behaviour), "--wait", check=exit_status)

    def assert_serves(self, label):
        self.assertEqual(self.device.linked(), label)
        if label:
            self.assertEqual(self.device.serving(), label)
        model = self.device.model()
        self.assertEqual(model["phase"], "steady" if label else "empty")
        self.device.check_promises()

    def test_first_install_that_is_good_becomes_known_good(self):
        self.deploy("v1", 0)
        self.assert_serves("v1")
        self.assertEqual(self.device.model()["known_good"]["label"], "v1")

    def test_first_install_that_is_bad_leaves_nothing_served_and_no_loop(self):
        self.deploy("bad", 1, mode="wrong_label")
        self.assert_serves(None)
        rejected = self.device.cli("deploy", "digits", self.device.bundle("bad"), "--wait", check=1)
        self.assertIn("unreject", rejected.stdout + rejected.stderr)
        self.deploy("v1", 0)
        self.assert_serves("v1")

    def test_each_kind_of_bad_version_is_rejected_and_the_known_good_one_serves(self):
        self.deploy("v1", 0)
        # What the version does -> a word that must stand in what explain says.
        faults = {
            "wrong": (dict(mode="wrong_label"), "accuracy"),
            "slow": (dict(mode="slow", ms=120), "p90"),
            "nan": (dict(mode="nan"), "NaN"),
            "null": (dict(mode="null"), "NaN"),
            "constant": (dict(mode="constant"), "accuracy"),
            "refused": (dict(load="refuse"), "pickle data was truncated"),
            "loading": (dict(mode="loading"), "ready"),
            "broken": (dict(mode="broken500"), "ready"),
            "impostor": (dict(mode="wrong_version"), "version"),
            "halfbody": (dict(mode="half_body"), "ready"),
        }
        for label, (behaviour, word) in faults.items():
            with self.subTest(label):
                self.deploy(label, 1, **behaviour)
                self.assert_serves("v1")
                told = self.device.cli("explain", "digits").stdout
                self.assertIn("rejected", told)
                self.assertIn(word, told)

    def test_a_server_that_dies_of_the_new_version_is_brought_back_by_the_old_one(self):
        self.deploy("v1", 0)
        device = self.device
        bundle = device.bundle("killer", load="crash")
        device.cli("deploy", "digits", bundle)
        device.server.wait(timeout=30)
        # A service manager starts it again and again, and it dies each time of what `current` names, until that is v1.
        device.wait_decision("rolling_back")
        for _ in range(100):
            device.server.stdout.close()
            try:
                device.start_server()
                break
            except IndexError:
                device.server.wait()
        device.wait_decision("rejected")
        device.wait_phase("steady")
        self.assert_serves("v1")

    def test_a_better_version_is_accepted_and_a_second_deploy_of_it_is_done_at_once(self):
        self.deploy("v1", 0)
        self.deploy("v2", 0)
        self.assert_serves("v2")
        again = self.device.cli("deploy", "digits", self.device.bundle("v2"), "--wait", "--json", check=0)
        self.assertEqual(json.loads(again.stdout.strip().splitlines()[-1])["status"], "done")

    def test_the_newest_of_two_deploys_wins(self):
        device = self.device
        self.deploy("v1", 0)
        device.control(every_load_ms=300)
        first = device.bundle("v2")
        second = device.bundle("v3")
        device.cli("deploy", "digits", first, check=0)
        device.cli("deploy", "digits", second, "--wait", check=0)
        self.assert_serves("v3")
        kinds = [(item["kind"], item.get("label")) for item in device.history()]
        self.assertIn(("superseded", "v2"), kinds)

    def test_rollback_goes_to_the_version_before_and_that_one_only_with_to_further(self):
        device = self.device
        for label in ("v1", "v2", "v3"):
            self.deploy(label, 0)
        device.cli("rollback", "digits", check=0)
        self.assert_serves("v2")
        refused = device.cli("rollback", "digits", check=1)
        self.assertIn("--to", refused.stdout + refused.stderr)
        device.cli("rollback", "digits", "--to", "v1", check=0)
        self.assert_serves("v1")
        self.assertIn("rejected", (lambda done: done.stdout + done.stderr)(device.cli("deploy", "digits", device.bundle("v3"), "--wait", check=1)))

    def test_rollback_during_a_trial_rejects_the_candidate(self):
        device = self.device
        self.deploy("v1", 0)
        device.write_manifest(soak="1h")
        device.daemon.send_signal(1)  # SIGHUP: read the manifests again
        device.wait_decision("manifest_accepted")
        device.cli("deploy", "digits", device.bundle("v2"), check=0)
        device.wait_phase("soaking")
        device.cli("rollback", "digits", check=0)
        self.assert_serves("v1")

    def test_tighter_thresholds_that_current_fails_are_rejected_and_the_version_stays(self):
        device = self.device
        self.deploy("v1", 0, mode="slow", ms=10)
        device.write_manifest(max_latency="5ms")
        device.daemon.send_signal(1)
        device.wait_decision("manifest_rejected")
        device.wait_phase("steady")
        self.assert_serves("v1")

    def test_pinned_versions_are_not_moved(self):
        device = self.device
        self.deploy("v1", 0)
        device.cli("pin", "digits", check=0)
        self.deploy("v2", 1)
        self.assert_serves("v1")
        device.cli("unpin", "digits", check=0)
        self.deploy("v2", 0)
        self.assert_serves("v2")

    def test_current_that_goes_bad_later_goes_back_to_the_older_known_good(self):
        device = self.device
        self.deploy("v1", 0)
        self.deploy("v2", 0)
        device.control(mode="broken500", sticks_to="v2")  # loaded again by the restart rung, it is still broken
        device.wait_decision("restarted")
        device.wait_decision("rolled_back")
        device.wait_phase("steady")
        self.assert_serves("v1")

    def test_a_server_that_is_down_for_a_while_is_nobodys_rejection(self):
        device = self.device
        self.deploy("v1", 0)
        device.kill_server()
        device.wait_phase("degraded")
        device.start_server()
        device.wait_phase("steady")
        self.assert_serves("v1")
        self.assertEqual(device.model()["rejected_count"], 0)

    def test_check_reports_numbers_and_changes_nothing(self):
        self.deploy("v1", 0)
        before = self.device.last_number()
        checked = json.loads(self.device.cli("check", "digits", "--json", check=0).stdout.strip().splitlines()[-1])
        self.assertEqual([c["verdict"] for c in checked["checks"]], ["pass"] * 3)
        self.assertEqual(self.device.last_number(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
