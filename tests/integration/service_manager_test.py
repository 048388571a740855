#!/usr/bin/env python3
"""modelguardd as a service: readiness, status and watchdog on NOTIFY_SOCKET, sockets handed over, decisions in the journal.

The service manager's and the journal's ends are played by this test over the real protocols (sd_notify(3), sd_listen_fds(3),
the journal's native datagrams). The journal part mounts a /run of its own and needs root; where it cannot, its name is printed.
"""
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import DAEMON, Device, UnixConnection  # noqa: E402

JOURNAL_SCRIPT = r"""
import os, pathlib, socket, subprocess, sys
daemon, cli, bundle, manifest = sys.argv[1:]
for place in ("/run", "/var/lib", "/etc/modelguard"):
    pathlib.Path(place).mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
pathlib.Path("/run/systemd/journal").mkdir(parents=True)
pathlib.Path("/etc/modelguard/models.d").mkdir()
pathlib.Path("/etc/modelguard/models.d/digits.yaml").write_text(pathlib.Path(manifest).read_text())
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
journal.settimeout(30)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind("/run/notify")
notify.settimeout(30)
running = subprocess.Popen([daemon], env=dict(os.environ, NOTIFY_SOCKET="/run/notify"), stderr=subprocess.DEVNULL)
try:
    while b"READY=1" not in notify.recv(4096):
        pass
    subprocess.run([cli, "deploy", "digits", bundle], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        record = journal.recv(65536).decode()
        print(record)
        if "MODELGUARD_DECISION=cleared" in record:
            break
finally:
    running.kill()
"""


class ServiceManager(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())

    def notify_socket(self):
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(receiver.close)
        receiver.bind(str(self.device.root / "notify"))
        receiver.settimeout(30)
        return receiver

    def start(self, **environment):
        with open(self.device.log, "a") as log:
            self.device.daemon = subprocess.Popen([DAEMON, "--root", self.device.root], stderr=log, env=dict(os.environ, **environment))

    def test_ready_comes_after_the_sockets_answer_and_status_names_phase_and_version(self):
        receiver = self.notify_socket()
        self.start(NOTIFY_SOCKET=str(self.device.root / "notify"))
        told = ""
        while "READY=1" not in told:
            told = receiver.recv(4096).decode()
        self.device.get("/v1/status")
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        while "digits steady" not in told:
            told = receiver.recv(4096).decode()
        self.assertIn("STATUS=digits steady", told)
        self.device.daemon.terminate()
        while "STOPPING=1" not in told:
            told = receiver.recv(4096).decode()
        self.assertEqual(self.device.daemon.wait(30), 0)

    def test_the_watchdog_is_fed_from_the_loop(self):
        receiver = self.notify_socket()
        # WATCHDOG_PID is left out: then the variable is meant for whoever reads it (sd_watchdog_enabled(3)).
        self.start(NOTIFY_SOCKET=str(self.device.root / "notify"), WATCHDOG_USEC="400000")
        fed = 0
        while fed < 3:
            fed += receiver.recv(4096).decode().count("WATCHDOG=1")

    def test_sockets_that_are_handed_over_are_used(self):
        listeners = []
        for name in ("api", "control"):
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(str(self.device.root / f"{name}.handed"))
            listener.listen(8)
            listeners.append(listener)
        pid = os.fork()
        if pid == 0:
            try:
                for number, listener in enumerate(listeners):
                    os.dup2(listener.fileno(), 3 + number)
                    os.set_inheritable(3 + number, True)
                os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="api:control")
                os.execv(DAEMON, [str(DAEMON), "--root", str(self.device.root)])
            finally:
                os._exit(127)
        try:
            connection = UnixConnection(self.device.root / "api.handed", 30)
            connection.request("GET", "/v1/status")
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            changing = UnixConnection(self.device.root / "control.handed", 30)
            changing.request("POST", "/v1/models/digits/check")
            self.assertEqual(changing.getresponse().status, 409)  # nothing is served yet
            changing.close()
            reading = UnixConnection(self.device.root / "api.handed", 30)
            reading.request("POST", "/v1/models/digits/check")
            self.assertEqual(reading.getresponse().status, 403)
            reading.close()
            self.assertFalse((self.device.root / "run/modelguard/api.sock").exists())
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)

    def test_each_decision_is_one_journal_record_with_fields(self):
        from device import CLI
        can_mount = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
        if not can_mount:
            print("could not run here (needs root to mount a /run): each_decision_is_one_journal_record_with_fields")
            return
        bundle = self.device.bundle("bad", mode="wrong_label")
        # The server looks at the --root of this device; what counts here is the verdict on a version that never answers.
        done = subprocess.run(["unshare", "-m", sys.executable, "-c", JOURNAL_SCRIPT, DAEMON.resolve(), CLI.resolve(), bundle,
                               self.device.root / "etc/modelguard/models.d/digits.yaml"], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        rejected = next(record for record in done.stdout.split("\n\n") if "MODELGUARD_DECISION=rejected" in record)
        for field in ("MESSAGE=digits: rejected", "MESSAGE_ID=", "PRIORITY=4", "MODELGUARD_MODEL=digits", "MODELGUARD_VERSION=sha256:",
                      "MODELGUARD_REASON=", "MODELGUARD_BLAME=model", "MODELGUARD_VERDICT=fail", "MODELGUARD_EVIDENCE="):
            self.assertIn(field, rejected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
