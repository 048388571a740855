#!/usr/bin/env python3
"""What an operator sees: status during a trial, after a rejection, with the daemon dead, for an unknown model, as JSON."""
import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, DAEMON, Device  # noqa: E402


class Status(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        self.device.wait_phase("steady")

    def see(self, done):
        print(f"$ modelguard {' '.join(map(str, done.args[3:]))}   [exit {done.returncode}]\n{done.stdout}{done.stderr}")
        for line in (done.stdout + done.stderr).splitlines():
            if str(self.device.root) not in line:
                self.assertLessEqual(len(line), 80, line)
        return done

    def test_in_a_trial_the_model_is_healthy_and_both_versions_are_named(self):
        self.device.control(every_load_ms=0)
        self.device.write_manifest(soak="1h")
        self.device.daemon.send_signal(1)
        self.device.wait_decision("manifest_accepted")
        self.device.cli("deploy", "digits", self.device.bundle("v2"), check=0)
        self.device.wait_phase("soaking")
        told = self.see(self.device.cli("status", check=0)).stdout
        self.assertIn("soaking", told)
        self.assertIn("v2", told)
        self.assertIn("v1", told)

    def test_after_a_rejection_the_known_good_version_serves_and_history_says_why(self):
        self.device.cli("deploy", "digits", self.device.bundle("bad", mode="wrong_label"), "--wait", check=1)
        told = self.see(self.device.cli("status", check=0)).stdout
        self.assertIn("v1", told)
        self.assertIn("rejected", self.see(self.device.cli("history", check=0)).stdout)
        self.assertIn("accuracy", self.device.cli("explain", "digits", check=0).stdout)

    def test_with_the_daemon_dead_the_last_known_state_its_age_and_the_next_command(self):
        self.device.kill()
        told = self.see(self.device.cli("status", check=4))
        self.assertIn("v1", told.stdout)
        self.assertRegex(told.stdout, r"Last known state, (just now|\d+\w+ ago)")
        self.assertIn("modelguardd --root", told.stdout + told.stderr)
        self.see(self.device.cli("rollback", "digits", check=4))

    def test_an_unknown_model_is_3_and_the_known_ones_are_named(self):
        told = self.see(self.device.cli("status", "didgits", check=3))
        self.assertIn("digits", told.stderr)
        self.see(self.device.cli("deploy", "didgits", self.device.bundle("v2"), check=3))

    def test_json_is_one_document_with_a_schema(self):
        for command, schema in (("status", "status"), ("history", "history"), ("explain", "explanation"), ("kinds", "kinds"),
                                ("versions", "versions")):
            arguments = [command] + (["digits"] if command == "versions" else []) + ["--json"]
            document = json.loads(self.device.cli(*arguments, check=0).stdout)
            self.assertEqual(document["schema"], f"modelguard.{schema}/1")
        piped = subprocess.run(f"'{CLI}' --root '{self.device.root}' status --json | jq -r '.models[0].phase'", shell=True, text=True,
                               capture_output=True, check=True)
        self.assertEqual(piped.stdout.strip(), "steady")

    def test_a_decision_of_the_device_is_explained_by_its_number(self):
        self.device.cli("rollback", "--os", check=1)
        newest = json.loads(self.device.cli("history", "--json", "--limit", "1", check=0).stdout)["items"][0]
        told = self.see(self.device.cli("explain", "--decision", newest["number"], check=0)).stdout
        self.assertTrue(told.startswith("device\n"), told)
        self.assertIn("no_os_rollback", told)
        self.assertTrue(self.device.cli("explain", "--decision", 1, check=0).stdout.startswith("digits\n"))
        self.assertIn("no decision number 4000", self.see(self.device.cli("explain", "--decision", 4000, check=3)).stderr)

    def test_wrong_words_are_2(self):
        for arguments in (["statsu"], ["deploy"], ["status", "--nope"], ["rollback"], []):
            self.see(self.device.cli(*arguments, check=2))

    def test_a_second_daemon_is_told_who_runs_and_leaves_the_first_alone(self):
        second = subprocess.run([DAEMON, "--root", self.device.root], capture_output=True, text=True, timeout=30)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("another", second.stderr.lower())
        self.device.cli("status", check=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
