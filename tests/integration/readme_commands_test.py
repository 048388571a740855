#!/usr/bin/env python3
"""Every command that the README shows is typed here, in one story of a device; one that this test does not know, or that the README
shows no more, is a failure."""
import pathlib
import re
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from device import CLI, DAEMON, Device  # noqa: E402

README = (HERE.parent.parent / "README.md").read_text()
WITHOUT_JOURNAL = 6  # under --root nothing goes to the journal, and that is said


def shown():
    """Commands between backquotes: those that begin with a program of ours, with a command of it, or go on with its options."""
    commands = re.findall(r"^  ([a-z]+) ", subprocess.run([CLI, "--help"], capture_output=True, text=True, check=True).stdout, re.M)
    spans = re.findall(r"`([^`\n]+)`", README)
    own = re.compile(rf"(modelguardd? |({'|'.join(commands)})( |$)|--(decision|to|manifest)\b)")
    return {span for span in spans if own.match(span)}


class Readme(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.typed = set()
        file = self.device.root / "etc/modelguard/models.d/digits.yaml"
        self.manifest = file.rename(self.device.root / "digits.yaml")
        self.device.start()

    def type(self, span, *arguments, check=0):
        """`span` as the README has it, with `arguments` for its words in capitals."""
        self.typed.add(span)
        done = self.device.cli(*(arguments or span.removeprefix("modelguard ").split()), check=check)
        print(f"$ {span}   [exit {done.returncode}]\n{done.stdout[:400]}{done.stderr}")
        return done

    def deploy(self, label, **behaviour):
        return self.type("modelguard deploy digits BUNDLE --wait", "deploy", "digits", self.device.bundle(label, **behaviour), "--wait",
                         check=1 if behaviour else 0)

    def watch(self, span):
        self.typed.add(span)
        with subprocess.Popen([CLI, "--root", self.device.root, *span.split()], stdout=subprocess.PIPE, text=True) as watch:
            self.assertTrue(watch.stdout.readline())
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(timeout=10), 0)

    def test_every_command(self):
        canary = self.device.bundle("v1") / "canary/digits.jsonl"
        self.type("modelguard validate FILE", "validate", self.manifest)
        self.type("modelguard kinds")
        self.type("modelguard gate")
        self.type("modelguard rollback --os", check=1)  # this device has no OS to roll back
        self.type("modelguard canary lint FILE", "canary", "lint", canary)
        self.type("modelguard apply FILE", "apply", self.manifest)
        self.deploy("v1")
        self.type("canary score", "canary", "score", canary, "--manifest", self.manifest)
        self.type("canary record", "canary", "record", canary, "--manifest", self.manifest)
        self.typed.add("--manifest FILE")
        self.type("modelguard status")
        self.watch("status --watch")
        self.deploy("bad", mode="wrong_label")
        self.assertIn("accuracy", self.type("modelguard explain digits").stdout)
        number = self.device.history()[0]["number"]
        self.type("--decision N", "explain", "digits", "--decision", number)
        self.assertIn("rejected", self.type("modelguard history digits").stdout)
        self.type("modelguard check digits")
        self.deploy("v2")
        self.type("modelguard versions digits")
        self.type("modelguard rollback digits")
        self.assertEqual(self.device.linked(), "v1")
        self.type("modelguard unreject digits VERSION", "unreject", "digits", "v2")
        self.type("deploy", "deploy", "digits", self.device.bundle("v2"), "--wait")
        self.type("--to VERSION", "rollback", "digits", "--to", "v1")
        self.type("modelguard pin digits VERSION", "pin", "digits", "v1")
        self.type("unpin digits")
        self.type("modelguard logs digits", check=WITHOUT_JOURNAL)
        self.type("modelguard remove digits", check=1)  # says what would go
        for option in ("--schema", "--units"):
            self.typed.add(f"modelguardd {option}")
            subprocess.run([DAEMON, "--root", self.device.root, option], check=True, stdout=subprocess.DEVNULL)
        for word in ("status", "history"):  # mentioned by their names alone
            self.type(word)
        self.assertEqual(shown(), self.typed)


if __name__ == "__main__":
    unittest.main()
