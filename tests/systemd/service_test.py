#!/usr/bin/env python3
"""modelguard as installed, on a machine with a real systemd and polkit: its units, its users, a model that a unit serves.

argv: the build tree. Skipped by name (77) where no such machine can be made."""
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
os.environ.setdefault("MODELGUARD_BIN", "build/dev")
import device  # noqa: E402
import machine  # noqa: E402

BUILD = pathlib.Path(os.environ["MODELGUARD_BIN"]).resolve()
MODELGUARD = "/usr/bin/modelguard"
# systemd-analyze security
# modelguard-check@ runs what root has written, as the user that root names: it is held from little.
MOST_EXPOSED = {"modelguard-check@x.service": 8.5, "modelguardd.service": 1.3, "modelguard-gate.service": 1.3, "modelguard-boot-complete.service": 1.3, "modelguard-os@list.service": 2.0}
GATE_BOUND = 10  # seconds, the least that greenboot.conf may ask for

SERVER = f"""\
[Unit]
Description=Model server of the test
[Service]
DynamicUser=yes
# it ends with its standard input
ExecStart=/bin/bash -c 'exec /usr/bin/python3 /srv/test/repository_server.py --port 8080 --current /var/lib/modelguard/models/digits/current < <(sleep infinity)'
Restart=always
RestartSec=100ms
StartLimitIntervalSec=0
[Install]
WantedBy=multi-user.target
"""
MANIFEST = device.MANIFEST.replace("then: {{oip_repository: {{}}}}", "then: {{systemd: {{unit: digits.service, action: restart}}}}").format(
    port=8080, ready_within="10s", period="300ms", max_latency="300ms", samples=20, soak="300ms")


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(device.Device())  # makes bundles; its daemon and server are not started
        cls.machine = cls.enterClassContext(machine.Machine())
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env=dict(os.environ, DESTDIR=str(cls.machine.upper)), check=True,
                       stdout=subprocess.DEVNULL)
        for name in ("repository_server.py", "model_server.py"):
            cls.machine.write(f"/srv/test/{name}", (HERE.parent / "support" / name).read_text(), 0o755)
        cls.machine.write("/etc/systemd/system/digits.service", SERVER)
        cls.machine.write("/etc/modelguard/models.d/digits.yaml", MANIFEST)
        # A hung daemon is found in seconds, not in half a minute.
        cls.machine.write("/etc/systemd/system/modelguardd.service.d/test.conf", "[Service]\nWatchdogSec=2s\n")
        cls.machine.boot()
        cls.machine.run("systemd-sysusers")
        cls.machine.run("systemd-tmpfiles", "--create", "modelguard.conf")
        cls.machine.run("useradd", "--system", "--groups", "modelguard", "keeper")
        cls.machine.run("useradd", "--system", "stranger")
        cls.machine.run("systemctl", "daemon-reload")
        cls.machine.run("systemctl", "preset", "modelguardd.service", "modelguardd-api.socket", "modelguardd-control.socket",
                        "modelguard-gate.service", "modelguard-boot-complete.service")
        cls.machine.run("systemctl", "enable", "digits.service")
        cls.machine.run("systemctl", "start", "modelguardd-api.socket", "modelguardd-control.socket", "modelguardd.service")
        cls.deploy("v1")

    @classmethod
    def bundle(cls, label, **behaviour):
        """Carried into the machine, where the test's own directory is not."""
        folder = cls.lab.bundle(label, **behaviour)
        place = f"/srv/test/{label}"
        if cls.machine.run("test", "-d", place, check=None).returncode:
            tar = subprocess.run(["tar", "-C", folder, "-cf", "-", "."], capture_output=True, check=True).stdout
            cls.machine.run("mkdir", "-p", place)
            subprocess.run(["nsenter", "-t", str(cls.machine.init), "-m", "-p", "-i", "-u", "-n", "-C", "-r", "-w", "tar", "-C", place, "-xf", "-"],
                           input=tar, check=True)
        return place

    @classmethod
    def cli(cls, *arguments, check=0, user=None):
        return cls.machine.run(MODELGUARD, *arguments, check=check, user=user)

    @classmethod
    def deploy(cls, label, check=0, **behaviour):
        return cls.cli("deploy", "digits", cls.bundle(label, **behaviour), "--wait", check=check)

    def model(self):
        return json.loads(self.cli("status", "digits", "--json", check=None).stdout)["models"][0]

    def wait(self, condition, what):
        deadline = time.monotonic() + machine.PATIENCE
        while time.monotonic() < deadline:
            done = self.cli("status", "digits", "--json", check=None)
            if done.returncode in (0, 1) and condition(json.loads(done.stdout)["models"][0]):
                return
        self.fail(f"not reached: {what}\n" + self.machine.run("journalctl", "-u", "modelguardd", "-n", "40", "--no-pager").stdout)

    def steady(self, label):
        self.wait(lambda model: model["phase"] == "steady" and model["current"]["label"] == label, f"steady with {label}")

    def pid(self):
        return self.machine.run("systemctl", "show", "-P", "MainPID", "modelguardd").stdout.strip()

    def test_systemd_finds_nothing_wrong_with_the_units(self):
        units = sorted(path.name for path in (self.machine.upper / "usr/lib/systemd/system").glob("modelguard*") if path.is_file())
        done = self.machine.run("systemd-analyze", "verify", "--man=no", *units)
        self.assertEqual([line for line in done.stderr.splitlines() if "modelguard" in line], [])

    def test_no_unit_is_more_exposed_than_it_must_be(self):
        for unit, most in MOST_EXPOSED.items():
            if not (BUILD / "rollback/modelguard-os").exists() and "os@" in unit:
                print(f"not asked without libostree: {unit}")
                continue
            told = self.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout.splitlines()[-1]
            print(told)
            self.assertLessEqual(float(re.search(r"(\d+\.\d) ", told)[1]), most)

    def test_it_runs_as_its_own_user_without_capabilities(self):
        status = self.machine.run("cat", f"/proc/{self.pid()}/status").stdout
        self.assertNotIn("Uid:\t0", status)
        for line in ("CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"):
            self.assertIn(line, status)

    def test_a_bad_version_is_rolled_back_and_a_good_one_stays(self):
        self.deploy("bad", check=1, mode="wrong_label")
        self.steady("v1")
        self.deploy("v2")
        self.steady("v2")
        self.cli("rollback", "digits")
        self.steady("v1")
        self.cli("unreject", "digits", "v2")

    def test_one_that_does_not_start_is_rolled_back(self):
        self.deploy("crashes", check=1, load="crash")
        self.steady("v1")

    def test_what_was_decided_is_in_the_journal(self):
        entries = [json.loads(line) for line in self.machine.run("journalctl", "MODELGUARD_MODEL=digits", "-o", "json", "--no-pager").stdout.splitlines()]
        self.assertTrue(entries)
        self.assertTrue(all(entry["_SYSTEMD_UNIT"] == "modelguardd.service" for entry in entries))
        told = self.cli("logs", "digits", "--lines", "500").stdout
        self.assertIn("digits", told)
        self.assertIn("Model server of the test", told)  # its unit's own lines, too

    def test_the_journal_explains_a_decision(self):
        self.machine.run("journalctl", "--update-catalog")
        told = self.machine.run("journalctl", "-x", "-n", "1", "MODELGUARD_DECISION=accepted", "--no-pager").stdout
        self.assertIn("modelguard decided", told)
        number = self.machine.run("journalctl", "-n", "1", "MODELGUARD_DECISION=accepted", "-o", "json", "--no-pager").stdout
        self.assertIn(f"--decision {json.loads(number)['MODELGUARD_NUMBER']}", told)

    def test_who_may_change_something(self):
        self.cli("status", user="stranger")
        self.assertIn("group modelguard", self.cli("check", "digits", check=5, user="stranger").stderr)
        self.cli("check", "digits", user="keeper")

    def test_only_the_units_that_root_has_listed(self):
        self.assertEqual(self.machine.run("/usr/libexec/modelguard/modelguardd", "--units").stdout, "digits.service\n")
        call = ("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StopUnit", "ss")
        denied = self.machine.run(*call, "systemd-journald.service", "replace", check=1, user="modelguard")
        self.assertRegex(denied.stderr.lower(), "denied|authentication")
        transient = self.machine.run("systemd-run", "--wait", "true", check=None, user="modelguard")
        self.assertNotEqual(transient.returncode, 0)
        self.machine.run("busctl", "call", *call[2:5], "RestartUnit", "ss", "digits.service", "replace", user="modelguard")
        self.steady("v1")

    def test_of_the_os_helper_it_may_start_its_verbs_and_nothing_else(self):
        def asked(method, instance):
            return self.machine.run("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                    method, "ss", f"modelguard-os@{instance}.service", "replace", check=None, user="modelguard").stderr.lower()

        # Whether there is such a unit is the same to polkit.
        for instance in ("list", "drop_staged:iot-5b77.0", r"order_os:my\x20os-5b77.0", "confirm_os_default:a", "reboot:a"):
            self.assertNotRegex(asked("StartUnit", instance), "denied|authentication", instance)
        for method, instance in (("StartUnit", "list:a"), ("StartUnit", "lists"), ("StartUnit", "order_os"), ("StartUnit", "order_os:"),
                                 ("StartUnit", "sysroot:a"), ("StartUnit", "a-list"), ("StartUnit", "order_os:a@b"), ("StopUnit", "list"),
                                 ("RestartUnit", "reboot:a"), ("ReloadUnit", "list")):
            self.assertRegex(asked(method, instance), "denied|authentication", f"{method} {instance}")

    def test_of_commands_and_scripts_it_may_start_and_stop_those_that_are_there(self):
        def asked(method, unit):
            return self.machine.run("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                    method, "ss", unit, "replace", check=None, user="modelguard").stderr.lower()

        for method in ("StartUnit", "StopUnit"):
            self.assertNotRegex(asked(method, "modelguard-check@other.service"), "denied|authentication", method)
        for method, unit in (("RestartUnit", "modelguard-check@other.service"), ("StartUnit", "modelguard-check@a.socket"), ("StartUnit", "modelguard-check@a@b.service")):
            self.assertRegex(asked(method, unit), "denied|authentication", f"{method} {unit}")
        self.machine.write("/run/modelguard/commands/other.env", "MODELGUARD_X=1\n")
        self.machine.run("systemctl", "start", "modelguard-check@other.service")
        self.assertIn("lists no command", self.machine.run("cat", "/run/modelguard-check/other.json").stdout)

    def test_a_command_runs_in_a_unit_of_its_own_as_its_own_user(self):
        self.machine.write("/usr/local/bin/look", "#!/bin/sh\nid -un\necho $MODELGUARD_MODEL $LD_PRELOAD\nsetsid sleep 1000 &\n", 0o755)
        self.machine.write("/etc/modelguard/modelguard.yaml",
                           "commands:\n  look: {argv: [/usr/local/bin/look]}\n  look-as-keeper: {argv: [/usr/local/bin/look], user: keeper}\n"
                           "  look-as-root: {argv: [/usr/local/bin/look], user: root}\n")
        self.machine.write("/run/modelguard/commands/look.env", "LD_PRELOAD=/tmp/x.so\nMODELGUARD_MODEL=digits\n")
        try:
            for name, user in (("look", "modelguard"), ("look-as-keeper", "keeper"), ("look-as-root", "root")):
                self.machine.run("systemctl", "start", f"modelguard-check@{name}.service")
                result = json.loads(self.machine.run("cat", f"/run/modelguard-check/{name}.json", user="modelguard").stdout)
                self.assertEqual(result["exit_status"], 0, result)
                lines = result["output"].splitlines()
                self.assertEqual(lines[:2], [user, "digits" if name == "look" else ""])
                self.machine.run("cat", f"/run/modelguard-check/{name}.json", check=1, user="stranger")
            self.assertEqual(self.machine.run("pgrep", "-f", "sleep 1000", check=None).stdout, "")
            # and as checks of the model, twice the same command among them
            checks = "".join(f"- {{name: {name}{more}, kind: exec, run: {name}}}\n" for name in ("look", "look-as-keeper", "look-as-root") for more in ("", "-too"))
            self.machine.write("/etc/modelguard/models.d/digits.yaml", MANIFEST.replace("trial:", checks + "trial:"))
            self.machine.run("systemctl", "restart", "modelguardd.service")
            self.steady("v1")
            told = json.loads(self.cli("check", "digits", "--json").stdout.strip().splitlines()[-1])
            reports = {report["check"]: report["text"] for report in told["checks"]}
            for name, user in (("look", "modelguard"), ("look-as-keeper", "keeper"), ("look-as-root", "root")):
                for more in ("", "-too"):
                    self.assertIn(f"{name} ended with status 0: {user}", reports[name + more])
        finally:
            self.machine.run("rm", "-f", "/etc/modelguard/modelguard.yaml")
            self.machine.write("/etc/modelguard/models.d/digits.yaml", MANIFEST)
            self.machine.run("systemctl", "restart", "modelguardd.service")
            self.steady("v1")

    def test_the_gate_runs_drop_in_scripts_as_root_beside_each_other_and_leaves_nothing_of_them(self):
        for number in range(10):
            self.machine.write(f"/etc/modelguard/checks/required.d/{number}_slow.sh", "sleep 1; id -un\n")
        self.machine.write("/etc/modelguard/checks/wanted.d/escapes", "#!/bin/sh\nsetsid sleep 2000 &\nsleep 2000\n", 0o755)
        self.machine.write("/etc/modelguard/modelguard.yaml", "gate: {script_timeout: 3s}\n")
        try:
            self.machine.run("rm", "-f", "/run/modelguard/gate.json")
            self.machine.run("systemctl", "restart", "modelguardd.service")
            answer = json.loads(self.cli("gate", "--json").stdout)
            told = {reason.get("script"): (reason["verdict"], reason["text"]) for reason in answer["reasons"]}
            self.assertEqual(told.pop("wanted.d/escapes"), ("pass", "no end within 3s"))
            self.assertEqual(told.pop(None), ("pass", ""))
            self.assertEqual(told, {f"required.d/{number}_slow.sh": ("pass", "") for number in range(10)})
            self.assertEqual(self.machine.run("pgrep", "-f", "sleep 2000", check=None).stdout, "")
            ends = [int(json.loads(self.machine.run("cat", f"/run/modelguard-check/required:{number}_slow.sh.json").stdout)["began_boottime_usec"]) for number in range(10)]
            print(f"ten scripts of 1 s began within {(max(ends) - min(ends)) / 1e6:.2f} s")
            self.assertLess(max(ends) - min(ends), 1_000_000)
            self.assertIn("root", self.machine.run("journalctl", "-u", "modelguard-check@required:0_slow.sh.service", "--no-pager").stdout)
        finally:
            self.machine.run("rm", "-rf", "/etc/modelguard/modelguard.yaml", "/run/modelguard/gate.json")
            self.machine.run("bash", "-c", "rm -f /etc/modelguard/checks/*/*")
            self.machine.run("systemctl", "restart", "modelguardd.service")
            self.steady("v1")

    def test_killed_and_hung_it_comes_back_by_itself(self):
        for signal in ("KILL", "STOP"):
            before = self.pid()
            self.machine.run("kill", f"-{signal}", before)
            self.wait(lambda model: self.pid() not in ("0", before), f"a new daemon after SIG{signal}")
            self.steady("v1")
        self.assertIn("watchdog", self.machine.run("journalctl", "-u", "modelguardd", "--no-pager").stdout.lower())

    def test_stopped_it_leaves_the_last_known_state(self):
        self.machine.run("systemctl", "stop", "modelguardd.service", "modelguardd-api.socket", "modelguardd-control.socket")
        self.assertIn("Last known state", self.cli("status", check=4).stdout)
        self.machine.run("systemctl", "start", "modelguardd-api.socket", "modelguardd-control.socket")
        self.cli("status", check=None)  # which starts it
        self.steady("v1")

    def state_of(self, unit):
        return self.machine.run("systemctl", "show", "-P", "ActiveState", unit).stdout.strip()

    def wait_for_unit(self, unit, state):
        deadline = time.monotonic() + machine.PATIENCE
        while self.state_of(unit) != state:
            self.assertLess(time.monotonic(), deadline, f"{unit} is {self.state_of(unit)}, not {state}")

    def as_bash_greenboot(self, script, check=None):
        return self.machine.run("bash", f"/usr/lib/greenboot/{script}", check=check)

    def as_rs_greenboot(self, script, check=None):
        """Its output is read to the end of the pipe: a child that held it would hold the boot."""
        how = ("bash", "-C") if script.endswith(".sh") else ()
        return self.machine.run(*how, f"/usr/lib/greenboot/{script}", check=check)

    def test_the_gate_passes_and_the_boot_is_complete(self):
        self.wait_for_unit("modelguard-boot-complete.service", "active")
        self.assertEqual(self.state_of("boot-complete.target"), "active")
        self.assertEqual(self.state_of("modelguard-gate.service"), "active")
        answer = json.loads(self.cli("gate", "--json").stdout)
        self.assertEqual((answer["verdict"], answer["boot_trial"], answer["boot_complete"]), ("pass", "", True))
        self.assertEqual(self.machine.run("cat", "/run/motd.d/50-modelguard").stdout.count("\n"), 1)

    def test_both_greenboots_hear_the_gate(self):
        for run in (self.as_bash_greenboot, self.as_rs_greenboot):
            began = time.monotonic()
            self.assertIn("pass", run("check/required.d/50_modelguard.sh", check=0).stdout)
            self.assertIn("digits", run("check/wanted.d/50_modelguard.sh").stdout)
            self.assertIn("pass", run("green.d/50_modelguard.sh", check=0).stdout)
            self.assertIn("== modelguard explain", run("red.d/50_modelguard.sh", check=0).stdout)
            self.assertLess(time.monotonic() - began, 30)
        self.assertIn("pass", self.as_rs_greenboot("check/required.d/50_modelguard", check=0).stdout)

    def test_a_dead_daemon_fails_a_boot_only_where_an_os_is_on_trial(self):
        self.machine.write("/etc/greenboot/greenboot.conf", f'MODELGUARD_GATE_TIMEOUT_SEC="{GATE_BOUND}"\n')
        self.machine.write("/usr/libexec/greenboot/greenboot", "#!/bin/bash\n", 0o755)
        units = ("modelguardd.service", "modelguardd-api.socket", "modelguardd-control.socket")
        self.machine.run("systemctl", "stop", *units)
        try:
            began = time.monotonic()
            passed = self.as_bash_greenboot("check/required.d/50_modelguard.sh", check=0)
            self.assertIn("no OS is on trial", passed.stderr)
            self.assertLess(time.monotonic() - began, 2 * GATE_BOUND)
            self.machine.write("/boot/grub2/grubenv", "# GRUB Environment Block\nboot_counter=2\n" + "#" * 900)
            for run in (self.as_bash_greenboot, self.as_rs_greenboot):
                self.assertIn("this OS is on trial", run("check/required.d/50_modelguard.sh", check=1).stderr)
            self.machine.run("systemctl", "disable", "modelguardd.service")
            self.assertIn("no say", self.as_bash_greenboot("check/required.d/50_modelguard.sh", check=0).stdout)
        finally:
            self.machine.run("rm", "-f", "/boot/grub2/grubenv", "/usr/libexec/greenboot/greenboot", "/etc/greenboot/greenboot.conf")
            self.machine.run("systemctl", "enable", "modelguardd.service")
            self.machine.run("systemctl", "start", *units)
            self.steady("v1")

    def interrupted(self, label, wanted, how, **behaviour):
        """A deploy that `how` hits in the phase `wanted`, or in the one it was in when that was over; the phase, or nothing if it had ended."""
        before = json.loads(self.cli("history", "digits", "--json", "--limit", "1").stdout)["items"][0]["number"]
        self.cli("deploy", "digits", self.bundle(label, **behaviour))
        deadline = time.monotonic() + machine.PATIENCE
        while time.monotonic() < deadline:
            phase = self.model()["phase"]
            if phase == wanted:
                break
            newest = json.loads(self.cli("history", "digits", "--json", "--limit", "1").stdout)["items"][0]
            if newest["number"] > before and newest["kind"] in ("accepted", "rejected", "rolled_back"):
                break
        how()
        return phase

    def test_zy_power_cuts_and_kills_in_each_phase_lose_nothing(self):
        def cut():
            self.machine.power_cut()
            self.machine.boot()

        def kill():
            self.machine.run("kill", "-KILL", self.pid())

        hit, current = [], "v1"
        for how, phase in ((cut, "switching"), (cut, "trial"), (kill, "trial"), (cut, "soaking"), (cut, "reverting"), (kill, "verifying")):
            label = f"{phase}-{how.__name__}"
            if phase in ("reverting", "verifying"):
                hit.append((how.__name__, self.interrupted(label, phase, how, mode="wrong_label", load_ms=300)))
                self.steady(current)
                versions = json.loads(self.cli("versions", "digits", "--json").stdout)["items"]
                self.assertTrue(next(version for version in versions if version["label"] == label)["rejected"], label)
            else:
                hit.append((how.__name__, self.interrupted(label, phase, how, load_ms=300)))
                current = label
                self.steady(current)
        print(f"hit in: {hit}")
        self.assertLessEqual({"switching", "trial"}, {phase for _, phase in hit})
        self.deploy("v1")
        self.steady("v1")

    def test_zz_after_a_reboot_and_after_a_power_cut_the_same_version_serves(self):
        for down in (self.machine.power_off, self.machine.power_cut):
            down()
            self.machine.boot()
            self.steady("v1")
            self.wait_for_unit("modelguard-boot-complete.service", "active")
        self.machine.power_cut()
        self.machine.boot()
        self.deploy("v3")
        self.steady("v3")


if __name__ == "__main__":
    machine.skip_unless_possible("systemd.service_test", "cmake")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
