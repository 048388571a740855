#!/usr/bin/env python3
"""The boot gate: what `modelguard gate` answers, to whom, within which time, and that it stays with it for the whole boot."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, Device  # noqa: E402

LONGER_THAN_ASKED = 4.0  # seconds: for the start of the program and the last question


class Gate(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())

    def gate(self, *arguments, check):
        return self.device.cli("gate", *arguments, check=check)

    def answer(self, check=0):
        return json.loads(self.gate("--json", check=check).stdout)

    def os_on_trial(self, conf=""):
        root = self.device.root
        for name, text in (("usr/libexec/greenboot/greenboot", "#!/bin/bash\n"), ("etc/greenboot/greenboot.conf", conf),
                           ("boot/grub2/grubenv", "# GRUB Environment Block\nboot_counter=2\n" + "#" * 960)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def test_a_device_without_versions_passes_with_a_warning(self):
        self.device.start()
        done = self.gate(check=0)
        self.assertIn("pass, with a warning", done.stdout)
        self.assertIn("digits: passes, but empty", done.stdout)

    def test_it_waits_for_the_verdict_of_this_boot_and_stays_with_it(self):
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        self.device.wait_phase("steady")
        self.device.kill()
        self.device.start("b007b007-0000-4000-8000-000000000001")
        answer = self.answer()
        self.assertEqual((answer["verdict"], answer["reasons"]), ("pass", [{"model": "digits", "verdict": "pass", "warning": False, "text": ""}]))
        self.assertEqual(self.gate(check=0).stdout, "pass: 1 required model, well\n  digits: pass\n")

        self.device.control(mode="broken500", sticks_to=None)
        self.device.wait_for(lambda model: model["phase"] != "steady", "not steady")
        self.assertEqual(self.answer(), answer)
        self.device.kill()
        self.device.start("b007b007-0000-4000-8000-000000000001")
        self.assertEqual(self.answer(), answer, "a restart of the daemon is no boot")
        self.device.kill()
        self.device.start("b007b007-0000-4000-8000-000000000002")
        self.assertNotEqual(self.answer()["boot_id"], answer["boot_id"])

    def test_what_is_not_decided_within_the_bound_fails_an_os_on_trial_only(self):
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        self.device.wait_phase("steady")
        self.device.kill()
        for check, words in ((0, "pass, with a warning: no answer"), (1, "this OS is on trial")):
            began = time.monotonic()
            done = self.gate("--timeout", "1s", check=check)
            self.assertIn(words, done.stderr)
            self.assertLess(time.monotonic() - began, 1 + LONGER_THAN_ASKED)
            self.os_on_trial()

    def test_its_bound_is_that_of_greenboot_conf_and_grows_from_boot_to_boot(self):
        self.os_on_trial("# MODELGUARD_GATE_TIMEOUT_SEC=600\nGREENBOOT_MAX_BOOT_ATTEMPTS=2\nMODELGUARD_GATE_TIMEOUT_SEC='10' # seconds\n")
        grubenv = self.device.root / "boot/grub2/grubenv"
        for counter, told in ((1, "within 10s"), (0, "within 20s")):
            grubenv.write_text(f"# GRUB Environment Block\nboot_counter={counter}\n")
            began = time.monotonic()
            self.assertIn(told, self.gate(check=1).stderr)
            self.assertLess(time.monotonic() - began, 20 + LONGER_THAN_ASKED)

    def test_the_line_for_those_who_log_in(self):
        self.device.start()
        motd = self.device.root / "motd"
        self.gate("--motd", motd, check=0)
        self.assertRegex(motd.read_text(), r"^modelguard: digits: empty.* \(see modelguard status\)\n$")
        self.assertEqual(motd.stat().st_mode & 0o777, 0o644)
        refused = self.gate("--motd", self.device.root / "no/such", check=0)
        self.assertIn("could not be written", refused.stderr)

    def test_that_the_boot_is_complete_may_be_told_again_and_again(self):
        self.device.start()
        for _ in range(2):
            self.assertTrue(json.loads(self.gate("--boot-complete", "--json", check=0).stdout)["boot_complete"])

    def script(self, name, text, mode=0o755):
        file = self.device.root / "etc/modelguard/checks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def test_its_drop_in_scripts_run_beside_each_other_and_once_a_boot(self):
        for number in range(10):
            self.script(f"required.d/{number}_slow.sh", f"sleep 1; echo {number} >> '{self.device.root}/ran'\n", 0o644)
        self.script("wanted.d/README", "no script\n", 0o644)
        self.script("wanted.d/.hidden.sh", "exit 1\n")
        self.script("wanted.d/x.sh.rpmsave", "exit 1\n")
        began = time.monotonic()
        self.device.start()
        answer = self.answer()
        self.assertLess(time.monotonic() - began, 3.0)
        print(f"\nten scripts of 1 s, from the start of the daemon to the gate's answer: {time.monotonic() - began:.2f} s")
        self.assertEqual([reason["script"] for reason in answer["reasons"][1:]], [f"required.d/{number}_slow.sh" for number in range(10)])
        self.assertEqual({reason["verdict"] for reason in answer["reasons"]}, {"pass"})
        self.device.kill()
        self.device.start()
        self.assertEqual(self.answer(), answer)
        self.assertEqual(sorted((self.device.root / "ran").read_text().split()), list("0123456789"))

    def test_a_script_that_fails_hangs_floods_or_leaves_a_child_behind(self):
        (self.device.root / "etc/modelguard/modelguard.yaml").write_text("gate: {script_timeout: 1s}\n")
        left = self.device.root / "left"
        self.script("wanted.d/fails", "#!/bin/sh\necho a >&2\necho 'no disk \033[31mat all'\nexit 3\n")
        self.script("wanted.d/floods", "#!/bin/sh\nhead -c 50000000 /dev/zero | tr '\\0' x\n")
        self.script("wanted.d/hangs", "#!/bin/sh\nsleep 1000\n")
        self.script("wanted.d/holds_the_pipe", f"#!/bin/sh\n(sleep 20; touch '{left}') &\n")
        self.script("wanted.d/may_be_written", "#!/bin/sh\n", 0o777)
        self.script("wanted.d/not_a_program", "\x7fELF\n")
        self.script("required.d/passes.sh", "exit 0\n")
        began = time.monotonic()
        self.device.start()
        done = self.gate("--motd", self.device.root / "motd", check=0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertNotIn("\033", done.stdout)
        lines = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines()[1:])
        self.assertRegex(lines["wanted.d/fails"], r"^passes, but exit status 3: no disk \S*at all$")
        self.assertEqual(lines["wanted.d/floods"], "pass")
        self.assertEqual(lines["wanted.d/hangs"], "passes, but no end within 1s")
        self.assertEqual(lines["wanted.d/holds_the_pipe"], "pass")
        self.assertIn("chmod go-w", lines["wanted.d/may_be_written"])
        self.assertIn("could not be run", lines["wanted.d/not_a_program"])
        self.assertEqual(lines["required.d/passes.sh"], "pass")
        self.assertFalse(subprocess.run(["pgrep", "-f", f"touch {left}"], capture_output=True, text=True, check=False).stdout)
        self.assertIn("modelguard: digits: empty", (self.device.root / "motd").read_text())

        self.device.kill()
        self.script("required.d/fails.sh", "exit 1\n")
        self.device.start("b007b007-0000-4000-8000-000000000001")
        done = self.gate(check=1)
        self.assertIn("fail: a required script says so\n", done.stdout)
        self.assertIn("required.d/fails.sh: fail exit status 1\n", done.stdout)

    def test_told_to_end_it_answers_at_once(self):
        # the second: the longest bound that there is, which the unit and the script rely on
        for conf, bound in (("", "5m"), ("GREENBOOT_MAX_BOOT_ATTEMPTS=9\nMODELGUARD_GATE_TIMEOUT_SEC=600\n", "30m")):
            self.os_on_trial(conf)
            asking = subprocess.Popen([CLI, "--root", self.device.root, "gate"], stderr=subprocess.PIPE, text=True)
            self.assertRaises(subprocess.TimeoutExpired, asking.wait, 0.5)
            asking.terminate()
            self.assertIn(f"no answer from modelguardd within {bound},", asking.communicate(timeout=LONGER_THAN_ASKED)[1])
            self.assertEqual(asking.returncode, 1)


if __name__ == "__main__":
    unittest.main()
