#!/usr/bin/env python3
"""The switch `container` as it is used: a real systemd runs the container from a unit of the form that `podman generate systemd --new`
writes, makes it anew after each crash, and modelguard tags images and restarts the unit. Checks `container` and `systemd_unit`.
"""
import json
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, DAEMON  # noqa: E402
from machine import Machine, Missing  # noqa: E402

ROOT = "/var/lib/device"
PODMAN = "/usr/bin/podman"
UNIT = f"""\
[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=all
ExecStartPre=/bin/rm -f %t/%n.ctr-id
ExecStart={PODMAN} run --cidfile=%t/%n.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon -d --replace --pull=never --name digits \\
  localhost/modelguard/digits:current /serve
ExecStop={PODMAN} stop --ignore -t 0 --cidfile=%t/%n.ctr-id
ExecStopPost={PODMAN} rm -f --ignore -t 0 --cidfile=%t/%n.ctr-id
Restart=always
RestartSec=100ms
"""
MANIFEST = """\
model: digits
serve:
  switch: container
  then: {systemd: {unit: digits.service, action: restart}}
  ready_within: 10s
  period: 300ms
checks:
- {name: container, kind: container, container: digits, stable_for: 1s}
- {name: unit, kind: systemd_unit, unit: digits.service, stable_for: 0s}
trial: {deadline: 60s, soak: 300ms}
"""
CONTAINERS = """\
[containers]
netns = "host"
pids_limit = 0
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/containers/storage"\nrunroot = "/run/containers/storage"\n'
BAD = {"crash-loop": "exit 3", "crashes-later": "sleep 0.6; exit 4"}


class RealUnit(unittest.TestCase):
    machine = None  # booted below

    @classmethod
    def setUpClass(cls):
        cls.machine.write("/etc/systemd/system/digits.service", UNIT)
        cls.machine.write(f"{ROOT}/etc/modelguard/models.d/digits.yaml", MANIFEST)
        # podman's own socket, as its package has it
        cls.machine.write("/etc/systemd/system/api.socket", "[Socket]\nListenStream=/run/podman/podman.sock\n")
        cls.machine.write("/etc/systemd/system/api.service", f"[Service]\nExecStart={PODMAN} system service\n")
        cls.machine.run("systemctl", "daemon-reload")
        cls.machine.run("systemctl", "start", "api.socket")
        cls.machine.run("systemd-run", "--unit=modelguardd", "--service-type=notify", cls.daemon, "--root", ROOT)
        cls.deploy("good", "exec sleep 1000", 0)

    @classmethod
    def modelguard(cls, *arguments, check=0):
        return cls.machine.run(cls.cli, "--root", ROOT, *arguments, check=check).stdout

    @classmethod
    def deploy(cls, name, script, expected):
        tree, image = f"/var/trees/{name}", f"localhost/modelguard/digits:{name}"
        cls.machine.run("mkdir", "-p", *(f"{tree}/{folder}" for folder in ("bin", "proc", "sys", "dev", "etc", "tmp")))
        for applet in ("sh", "sleep"):
            cls.machine.run("cp", shutil.which("busybox"), f"{tree}/bin/{applet}")
        cls.machine.write(f"{tree}/serve", f"#!/bin/sh\n{script}\n", 0o755)
        cls.machine.run("sh", "-c", f"tar -C {tree} -c . | {PODMAN} import - {image}")
        digest = cls.machine.run(PODMAN, "image", "inspect", "--format", "{{.Digest}}", image).stdout.strip()
        cls.machine.write(f"/var/bundles/{name}/image.json", json.dumps({"reference": image, "digest": digest}))
        cls.machine.write(f"/var/bundles/{name}/modelguard-version.yaml", f'label: "{name}"\n')
        return cls.modelguard("deploy", "digits", f"/var/bundles/{name}", "--wait", check=expected)

    def runs(self):
        """The tag of the image that the container really runs."""
        running = self.machine.run(PODMAN, "inspect", "--format", "{{.Image}}", "digits").stdout
        return [name for name in ("good", *BAD, "better")
                if self.machine.run(PODMAN, "image", "inspect", "--format", "{{.Id}}", f"localhost/modelguard/digits:{name}", check=None).stdout == running]

    def test_bad_images_are_rejected_and_the_version_before_runs_again_unblamed(self):
        for name, script in BAD.items():
            with self.subTest(name):
                said = self.deploy(name, script, 1)
                self.assertIn("rejected", said)
                self.assertIn("now serving: good", said)
                self.assertEqual(self.runs(), ["good"])
        self.assertNotIn("degraded", self.modelguard("history", "digits"))

    def test_then_a_better_one_is_accepted(self):
        self.assertIn("accepted", self.deploy("better", "exec sleep 2000", 0))
        self.assertEqual(self.runs(), ["better"])


if __name__ == "__main__":
    missing = [name for name in ("podman", "runc", "busybox") if shutil.which(name) is None]
    try:
        if missing:
            raise Missing(", ".join(missing))
        with Machine() as RealUnit.machine:
            RealUnit.daemon, RealUnit.cli, _ = RealUnit.machine.bring(DAEMON, CLI, CLI.parent / "modelguard-pack")
            RealUnit.machine.write("/etc/containers/containers.conf", CONTAINERS)
            RealUnit.machine.write("/etc/containers/storage.conf", STORAGE)
            RealUnit.machine.boot()
            unittest.main(verbosity=2)
    except Missing as error:
        print(f"skipped, containers of a real unit: this host lacks {error}")
        sys.exit(77)
