#!/usr/bin/env python3
"""Adding a check kind takes one file and one line: a modelguardd linked with the template of tests/checks/template and one more line of
kinds.def has the kind in `kinds`, in errors of a manifest, in the schema, in the man page, and in a verdict of the running daemon."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
import device  # noqa: E402

device.DAEMON = pathlib.Path(sys.argv.pop(1))


def printed(*arguments):
    return subprocess.run([device.DAEMON, *arguments], capture_output=True, text=True, check=True).stdout


class AddKind(unittest.TestCase):
    def test_kinds_lists_it_with_its_parameters(self):
        kinds = {kind["name"]: kind for kind in json.loads(printed("--kinds"))["kinds"] if kind["category"] == "check"}
        self.assertIn("ready", kinds)  # it comes beside the others
        longest = next(param for param in kinds["example"]["params"] if param["name"] == "max")
        self.assertEqual((longest["type"], longest["unit"], longest["required"], longest["minimum"]), ("integer", "bytes", True, 0))

    def test_the_schema_and_the_man_page_have_it(self):
        rules = json.loads(printed("--schema"))["properties"]["checks"]["items"]["allOf"]
        [rule] = [each["then"] for each in rules if each["if"]["properties"]["kind"]["const"] == "example"]
        self.assertEqual(rule["properties"]["max"]["maximum"], 1 << 20)
        self.assertIn("max", rule["required"])
        page = printed("--man", ROOT / "packaging/man/modelguard-checks.7.in")
        self.assertIn("\n.SS example\n", page)
        self.assertIn("The longest answer that passes.", page)

    def test_what_architecture_shows_is_the_template(self):
        block = re.search(r"^```cpp\n(.*?)^```", (ROOT / "supervisor/ARCHITECTURE.md").read_text(), re.M | re.S)[1]
        shown = [line.split("  //")[0].strip() for line in block.splitlines() if line.strip()]
        template = {line.strip() for line in (ROOT / "tests/checks/template/example.cpp").read_text().splitlines()}
        self.assertGreater(len(shown), 8)
        self.assertEqual([line for line in shown if line not in template], [])

    def test_a_running_daemon_judges_by_it(self):
        with device.Device() as here:
            def add_check(longest):
                here.write_manifest()
                file = here.root / "etc/modelguard/models.d/digits.yaml"
                text = file.read_text().replace("trial:", f"- {{name: page, kind: example, path: /control, max: {longest}}}\ntrial:")
                file.write_text(text)
                return file

            file = add_check("many")
            told = subprocess.run([device.DAEMON, "--root", here.root, "--validate", file], capture_output=True, text=True, check=False)
            self.assertEqual(told.returncode, 1)
            self.assertIn("checks[3].max: found 'many'; expected a whole number (bytes) from 0 to 1048576", told.stdout)

            add_check(100000)
            here.start()
            here.cli("deploy", "digits", here.bundle("v1"), "--wait", check=0)
            [page] = [check for check in here.wait_phase("steady")["checks"] if check["check"] == "page"]
            self.assertEqual((page["kind"], page["verdict"], page["unit"]), ("example", "pass", "bytes"))

            add_check(1)
            here.daemon.send_signal(1)
            rejected = here.wait_decision("manifest_rejected")
            self.assertIn("too_long", [check["code"] for check in rejected["checks"]])


if __name__ == "__main__":
    unittest.main(verbosity=2)
