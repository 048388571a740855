#!/usr/bin/env python3
"""A real systemd: a unit that crashes in several ways with each bad version, restarted by systemd all the while, and judged by the
check `systemd_unit` alone. The version before is served again and is not blamed for the restarts of the one that it replaced.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, DAEMON  # noqa: E402
from machine import Machine, Missing  # noqa: E402

ROOT = "/var/lib/device"
UNIT = f"""\
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh {ROOT}/var/lib/modelguard/models/digits/current/run
Restart=always
RestartSec=100ms
"""
MANIFEST = """\
model: digits
serve:
  switch: files
  then: {systemd: {unit: digits.service, action: restart}}
  ready_within: 5s
  period: 200ms
checks:
- {name: unit, kind: systemd_unit, unit: digits.service, sub_state: running, stable_for: 1s}
- {name: nobody, kind: systemd_unit, unit: nobody.service, severity: wanted}
- {name: timer, kind: systemd_unit, unit: systemd-tmpfiles-clean.timer, severity: wanted}
trial: {deadline: 30s, soak: 300ms}
"""
BAD = {"loop": "exit 3", "slow": "sleep 0.6; exit 4", "killed-1": "kill -9 $$", "killed-2": "sleep 0.05; kill -9 $$", "killed-3": "sleep 0.1; kill -9 $$"}


class RealUnit(unittest.TestCase):
    machine = None  # booted below

    @classmethod
    def setUpClass(cls):
        cls.machine.write("/etc/systemd/system/digits.service", UNIT)
        cls.machine.write(f"{ROOT}/etc/modelguard/models.d/digits.yaml", MANIFEST)
        cls.machine.run("systemctl", "daemon-reload")
        cls.machine.write(f"{ROOT}/etc/modelguard/modelguard.yaml", "units: [nobody.service, systemd-tmpfiles-clean.timer]\n")
        # Its sockets are there once it has said that it is ready.
        cls.machine.run("systemd-run", "--unit=modelguardd", "--service-type=notify", cls.daemon, "--root", ROOT)
        cls.deploy("good", "exec sleep 1000", 0)

    @classmethod
    def modelguard(cls, *arguments, check=0):
        return cls.machine.run(cls.cli, "--root", ROOT, *arguments, check=check).stdout

    @classmethod
    def deploy(cls, name, script, expected):
        cls.machine.write(f"/var/bundles/{name}/run", script + "\n")
        cls.machine.write(f"/var/bundles/{name}/modelguard-version.yaml", f'label: "{name}"\n')
        return cls.modelguard("deploy", "digits", f"/var/bundles/{name}", "--wait", check=expected)

    def test_each_crash_is_rejected_and_the_version_before_is_not_blamed_for_it(self):
        for name, script in BAD.items():
            with self.subTest(name):
                said = self.deploy(name, script, 1)
                self.assertIn("rejected", said)
                self.assertIn("now serving: good", said)
        self.assertNotIn("degraded", self.modelguard("history", "digits"))
        self.assertEqual(self.machine.run("systemctl", "is-active", "digits.service").stdout, "active\n")

    def test_what_runs_passes_and_what_is_not_there_is_inconclusive(self):
        said = self.modelguard("check", "digits")
        self.assertRegex(said, r"pass +unit +digits.service is active \(running\)")
        self.assertRegex(said, r"inconclusive +nobody +nobody.service cannot be loaded \(not-found\)")
        self.assertRegex(said, r"pass +timer +systemd-tmpfiles-clean.timer is active \(waiting\)")


if __name__ == "__main__":
    try:
        with Machine() as RealUnit.machine:
            RealUnit.daemon, RealUnit.cli, _ = RealUnit.machine.bring(DAEMON, CLI, CLI.parent / "modelguard-pack")
            RealUnit.machine.boot()
            unittest.main(verbosity=2)
    except Missing as error:
        print(f"skipped, a real unit: this host lacks {error}")
        sys.exit(77)
