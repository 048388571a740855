#!/usr/bin/env python3
"""Manifests that are sent: a new model, new thresholds on trial, who describes a model, and its removal, killed half-way too."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, Device  # noqa: E402


class Applied(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.file = self.device.root / "etc/modelguard/models.d/digits.yaml"
        self.text = self.file.read_text()
        self.file.unlink()
        self.device.start()

    def manifest(self, name="digits.yaml", **changes):
        path = self.device.root / name
        text = self.text
        for old, new in changes.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        path.write_text(text)
        return path

    def apply(self, path, *arguments, check=0):
        return self.device.cli("apply", path, *arguments, check=check)

    def serve(self, *labels):
        for label in labels:
            self.device.cli("deploy", "digits", self.device.bundle(label), "--wait", check=0)

    def test_a_model_begins_with_a_manifest_and_outlives_a_restart(self):
        done = self.apply(self.manifest())
        self.assertIn("is in force", done.stdout)
        self.assertIn("deploy digits BUNDLE", done.stdout)
        self.serve("v1")
        again = self.apply(self.manifest())
        self.assertIn("is in force", again.stdout)

        self.device.kill()
        self.device.start()
        model = self.device.wait_phase("steady")
        self.assertTrue(model["managed"])
        self.device.daemon.send_signal(signal.SIGHUP)  # no file describes it, and it stays
        self.serve("v2")
        self.assertTrue(self.device.model()["managed"])

    def test_new_thresholds_are_tried_with_what_serves(self):
        self.apply(self.manifest())
        self.serve("v1")
        harder = self.manifest("harder.yaml", **{"checks:": "checks:\n- {name: floor, kind: accuracy, canary: canary/digits.jsonl, min: 1.0}"})
        done = self.apply(harder, "--wait")
        self.assertIn("is in force", done.stdout)

        never = self.manifest("never.yaml", **{"checks:": "checks:\n- {name: never, kind: latency, canary: canary/digits.jsonl, max: 1us}"})
        refused = self.apply(never, "--wait", check=1)
        self.assertIn("previous revision stays in force", " ".join(refused.stdout.split()))
        again = self.apply(never, check=1)
        self.assertIn("unreject", again.stderr)
        self.assertEqual(self.device.model()["phase"], "steady")

    def test_what_is_wrong_with_a_manifest_is_said_and_nothing_done(self):
        wrong = self.manifest("wrong.yaml", **{"checks:": "chekcs:"})
        done = self.apply(wrong, check=1)
        self.assertIn("did you mean", done.stdout.lower() + done.stderr.lower())
        self.assertIn("wrong.yaml:", done.stdout)
        self.assertEqual(self.device.get("/v1/status")["models"], [])
        self.apply(self.device.root / "missing.yaml", check=6)

    def test_one_origin_describes_a_model(self):
        self.apply(self.manifest())
        self.file.write_text(self.text)  # a second one comes
        self.device.daemon.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not self.device.get("/v1/status")["notes"] and time.monotonic() < deadline:
            pass
        notes = " ".join(self.device.get("/v1/status")["notes"])
        self.assertIn(str(self.file), notes)
        self.assertIn("was applied", notes)
        self.device.cli("remove", "digits", "--yes", check=0)
        self.device.daemon.send_signal(signal.SIGHUP)  # now the file counts
        while not self.device.get("/v1/status")["models"]:
            self.assertLess(time.monotonic(), deadline + 10)
        refused = self.apply(self.manifest(), check=1)
        self.assertIn(str(self.file), refused.stderr)
        refused = self.device.cli("remove", "digits", "--yes", check=1)
        self.assertIn(str(self.file), refused.stderr)

    def test_a_removed_model_leaves_nothing_and_may_come_back(self):
        self.apply(self.manifest())
        self.serve("v1", "v2")
        said = self.device.cli("remove", "digits", check=1)
        self.assertIn("nothing was done", said.stdout)
        self.assertIn("2 versions", said.stdout)
        self.assertEqual(self.device.model()["current"]["label"], "v2")
        self.device.cli("remove", "digits", "--yes", check=0)
        self.assertFalse(self.device.models.exists())
        self.device.cli("remove", "digits", "--yes", check=3)
        self.assertEqual(self.device.get("/v1/status")["models"], [])

        self.apply(self.manifest())
        self.assertEqual(self.device.get("/v1/models/digits/versions")["items"], [])
        self.serve("v3")
        self.device.check_promises()

    def test_a_removal_that_was_decided_is_carried_out_after_a_kill(self):
        self.apply(self.manifest())
        self.serve("v1")
        # What stands in its way: the directory cannot be moved while staging/ is not there.
        staging = self.device.root / "var/lib/modelguard/staging"
        staging.rmdir()
        staging.write_text("")
        self.device.cli("remove", "digits", "--yes", check=0)
        self.assertTrue(self.device.models.is_dir())
        self.device.kill()
        staging.unlink()
        self.device.start()
        self.assertFalse(self.device.models.exists())
        self.assertEqual(self.device.get("/v1/status")["models"], [])

    def test_status_is_watched_until_interrupted(self):
        self.apply(self.manifest())
        with subprocess.Popen([CLI, "--root", self.device.root, "status", "--watch"], stdout=subprocess.PIPE, text=True) as watch:
            os.set_blocking(watch.stdout.fileno(), True)
            self.assertRegex(watch.stdout.readline(), r"^\d{4}-\d\d-\d\d ")
            self.serve("v1")
            seen = ""
            while "v1" not in seen or "steady" not in seen:
                line = watch.stdout.readline()
                self.assertTrue(line, seen)
                seen += line
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(timeout=10), 0)

    def test_any_past_decision_is_explained(self):
        self.apply(self.manifest())
        self.serve("v1", "v2")
        story = self.device.history()
        first = next(item for item in story if item["kind"] == "accepted")
        told = self.device.cli("explain", "digits", "--decision", first["number"], check=0).stdout
        self.assertIn("v1", told)
        self.assertNotIn("v2", told)
        self.assertIn(f"#{first['number']} ", self.device.cli("history", check=0).stdout)
        self.device.cli("explain", "digits", "--decision", 9999, check=3)

    def test_logs_say_where_they_are_not(self):
        self.apply(self.manifest())
        self.assertIn("history digits", self.device.cli("logs", "digits", check=6).stderr)
        document = json.loads(self.device.cli("logs", "didgits", "--json", check=3).stdout)
        self.assertEqual(document["kind"], "not_found")


if __name__ == "__main__":
    unittest.main()
