#!/usr/bin/env python3
"""Canary sets in the author's hand: lint, score against a running server, record from one. No daemon runs."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402


class Canary(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.manifest = self.device.root / "etc/modelguard/models.d/digits.yaml"
        self.set = self.serve("v1")

    def serve(self, version, **behaviour):
        """The set of a version that the server serves now."""
        bundle = self.device.bundle(version, **behaviour)
        self.device.kill_server()
        self.device.current = bundle
        self.device.start_server()
        return bundle / "canary/digits.jsonl"

    def canary(self, verb, file, *more, check=0):
        return self.device.cli("canary", verb, file, *more, check=check)

    def write(self, *lines):
        file = self.device.root / "set.jsonl"
        file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return file

    def test_a_sound_set_is_valid(self):
        self.assertIn("40 items, valid", self.canary("lint", self.set).stdout)
        document = json.loads(self.canary("lint", self.set, "--manifest", self.manifest, "--json").stdout)
        self.assertEqual((document["schema"], document["valid"], document["items"]), ("modelguard.canary_lint/1", True, 40))

    def test_all_that_is_wrong_is_said_at_once_with_its_line(self):
        told = self.canary("lint", self.write(
            {"id": 1, "input": [1, 2], "label": 3}, "{", {"id": 1, "input": [5], "label": 3}, {"id": 2, "input": [1, 2], "label": 4},
            {"id": 3, "input": [7]}, {"id": 4, "input": [8], "label": {"no": 1}}), check=1).stdout
        for place, words in ((2, "not JSON"), (3, "second time"), (4, "another label"), (5, "label"), (6, "label")):
            self.assertRegex(told, rf"set\.jsonl:{place}: error: .*{words}")
        self.assertIn("not valid", told)

    def test_what_is_weak_is_a_warning(self):
        items = [{"id": number, "input": [number % 4], "label": 1} for number in range(8)]
        told = self.canary("lint", self.write(*items)).stdout
        for words in ("every label is 1", "repeat an input", "8 items: one wrong answer moves the score by 0.125"):
            self.assertIn(words, told)

    def test_an_item_that_cannot_be_asked_is_found_with_the_manifest(self):
        items = [{"id": 1, "input": [1.0] * 4, "label": 1}, {"id": 2, "input": {"text": "hello"}, "label": 2}]
        self.assertNotIn("cannot be asked", self.canary("lint", self.write(*items)).stdout)
        self.assertIn(":2: error: it cannot be asked", self.canary("lint", self.write(*items), "--manifest", self.manifest, check=1).stdout)

    def test_score_is_that_of_the_check(self):
        told = self.canary("score", self.set, "--manifest", self.manifest).stdout
        self.assertIn("accuracy 1.000 on 40 items", told)
        self.assertNotIn("not right", told)
        wrong = self.serve("bad", mode="wrong_label")
        told = self.canary("score", wrong, "--manifest", self.manifest, check=1).stdout
        self.assertIn("not right", told)
        document = json.loads(self.canary("score", wrong, "--manifest", self.manifest, "--json", check=1).stdout)
        self.assertEqual(document["verdict"], "fail")
        self.assertEqual(sum(label["items"] for label in document["labels"]), 40)
        self.assertTrue(document["wrong"])

    def test_a_server_that_is_away_is_no_verdict(self):
        self.device.kill_server()
        self.canary("score", self.set, "--manifest", self.manifest, check=6)
        self.canary("record", self.set, "--manifest", self.manifest, check=6)

    def test_a_recorded_set_scores_1(self):
        inputs = [json.loads(line)["input"] for line in self.set.read_text().splitlines()]
        recorded = self.device.root / "recorded.jsonl"
        file = self.write({"input": inputs[0], "label": 7}, *inputs[1:])
        told = self.canary("record", file, "--manifest", self.manifest, "--output", recorded).stdout
        self.assertIn("40 items, 1 with a label of yours", told)
        lines = [json.loads(line) for line in recorded.read_text().splitlines()]
        self.assertEqual(lines[0]["label"], 7)
        self.assertNotIn("label", lines[1])
        self.assertIn("on 40 items", self.canary("score", recorded, "--manifest", self.manifest).stdout)
        self.canary("record", file, "--manifest", self.manifest, "--output", recorded, check=1)  # it is there already
        self.assertEqual(len(self.canary("record", file, "--manifest", self.manifest).stdout.splitlines()), 40)

    def test_wrong_words(self):
        self.canary("lint", self.device.root / "missing", check=6)
        self.assertIn("--manifest", self.canary("score", self.set, check=1).stderr)
        self.assertIn("p90x", self.canary("score", self.set, "--manifest", self.manifest, "--check", "p90x", check=1).stderr)
        self.device.cli("canary", "sing", self.set, check=2)
        self.device.cli("canary", check=2)


if __name__ == "__main__":
    unittest.main()
