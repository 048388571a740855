"""A device in /dev/shm whose daemon runs under fault_tracer: start states that are copied back, requests without the CLI.

The root keeps its path from run to run, so that one model server serves them all. Nothing sleeps: the daemon's "ready"
line, long polls and process ends are waited for, each with a deadline.
"""
import hashlib
import http.client
import io
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

import room

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import BUILD, DAEMON, Device, Unavailable, UnixConnection  # noqa: E402

TRACER = BUILD / "tests/fault/fault_tracer"
REST = {"empty", "steady", "degraded", "held"}
PATIENCE = 60.0
TROUBLE, AGAIN = b"the ledger cannot be written", b"the ledger can be written again"
ANOTHER_BOOT = "b007b007-0000-4000-8000-000000000001"


class Wrong(Exception):
    """A promise that is broken."""


def digest_of(tree):
    """The digest of a version, computed by other code than the product's; None: it cannot be a version."""
    lines = []
    for folder, _, files in os.walk(tree):
        for name in files:
            path = pathlib.Path(folder, name)
            if path.is_symlink() or not path.is_file():
                return None
            content = path.read_bytes()
            mark = "x" if path.stat().st_mode & 0o111 else "-"
            relative = str(path.relative_to(tree))
            lines.append((relative.encode(), f"{mark} {len(content)} {hashlib.sha256(content).hexdigest()} {relative}\0".encode()))
    return "sha256:" + hashlib.sha256(b"".join(line for _, line in sorted(lines))).hexdigest()


class Lab(Device):
    def __init__(self, **options):
        tempfile.tempdir = "/dev/shm" if os.path.isdir("/dev/shm") else None
        super().__init__(items=10, **dict(dict(soak="20ms", period="100ms"), **options))
        self.state = self.root / "var/lib/modelguard"
        self.starts = pathlib.Path(str(self.root) + ".starts")
        self.starts.mkdir()
        self.own = tempfile.TemporaryDirectory(prefix="mg-fault-", dir="/tmp")  # 90 MB with symbols: not in memory
        # Copies: a build that goes on must not change what is tested.
        self.binary = pathlib.Path(shutil.copy2(os.environ.get("MODELGUARD_DAEMON", DAEMON), pathlib.Path(self.own.name) / "modelguardd"))
        self.tracer = pathlib.Path(shutil.copy2(TRACER, self.own.name))
        played = BUILD / "tests/fault/modelguardd_with_played_os"
        self.binary_with_os = pathlib.Path(shutil.copy2(played, self.own.name)) if played.exists() else None
        self.os_file = self.root / "var/os/os.json"
        self.report_file = self.starts / "report.json"
        self.log_file = self.starts / "oplog"
        self.errors = b""
        self.traced = False
        self.marks = False
        self.quiet = 0.0  # seconds for which nobody asks about an operation
        self.ended = []  # the operations of the last run as they ended
        self.tars = {}
        self.digests = {}

    def __exit__(self, *exception):
        super().__exit__(*exception)
        subprocess.run(["rm", "-rf", self.starts], check=False)
        self.own.cleanup()

    def write_manifest(self, **changes):
        """Without the latency check: its probes take most of an operation's time and change no file. And with a deadline that is never
        met: the state after a kill is gone back to again and again (all_pairs), while the time of this boot goes on."""
        super().write_manifest(**changes)
        file = self.root / "etc/modelguard/models.d/digits.yaml"
        file.write_text("".join(line for line in file.read_text().splitlines(True) if "name: p90" not in line).replace("deadline: 60s", "deadline: 1h"))

    # ---- start states ------------------------------------------------------------------------------------------

    def save(self, name):
        room.demand_small(self.root / "var")
        subprocess.run(["rm", "-rf", self.starts / name], check=True)  # cp would put it into one that is there
        subprocess.run(["cp", "-a", self.root / "var", self.starts / name], check=True)

    def restore(self, name):
        """The state directory as it was saved (nothing is there: empty); whatever ran has been stopped."""
        self.halt()
        subprocess.run(["rm", "-rf", self.root / "var", self.root / "run"], check=True)
        if name and (self.starts / name).exists():
            room.demand_small(self.starts / name)
            subprocess.run(["cp", "-a", self.starts / name, self.root / "var"], check=True)

    def serve_current(self, sticky=None, **asked):
        """The model server as after its own start: it serves what `current` names, and misbehaves as asked."""
        self.control(**dict(dict(mode="ok", sticks_to=sticky), **asked))
        verb = "load" if (self.current / "behaviour.json").exists() else "unload"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", f"/v2/repository/models/digits/{verb}")
        connection.getresponse().read()
        connection.close()

    # ---- the daemon ----------------------------------------------------------------------------------------------

    def launch(self, trace=(), boot_id=None, binary=None):
        """Starts modelguardd, under the tracer where `trace` holds its options; returns whether it got ready."""
        environment = dict(os.environ)
        if boot_id:
            environment["MODELGUARD_TEST_BOOT_ID"] = boot_id
        command = [binary or self.binary, "--root", self.root]
        if self.os_file.exists():
            environment["MODELGUARD_TEST_OS"] = str(self.os_file)
            command = [self.binary_with_os, "--root", self.root, "--os-backend", "played"]
        self.traced = bool(trace)
        if trace:
            command = [self.tracer, "--state", self.state, "--allow", self.root / "run", "--allow", self.os_file.parent, "--report", self.report_file, *map(str, trace), "--", *command]
        self.report_file.unlink(missing_ok=True)
        self.errors = b""
        self.daemon = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment)
        os.set_blocking(self.daemon.stderr.fileno(), False)
        return self.read_errors(lambda: b" ready: " in self.errors, PATIENCE)

    def read_errors(self, enough, patience):
        """Reads the daemon's messages until enough() or its end; returns whether enough() was reached."""
        deadline = time.monotonic() + patience
        while not enough():
            readable, _, _ = select.select([self.daemon.stderr], [], [], max(0, deadline - time.monotonic()))
            if not readable:
                return False
            part = self.daemon.stderr.read(65536)
            if part == b"":
                self.daemon.wait()
                return False
            self.errors += part or b""
        return True

    def ended_within(self, seconds):
        """Whether daemon and tracer end by themselves in this time."""
        self.read_errors(lambda: False, seconds)
        return self.daemon.poll() is not None

    def wait_until(self, condition, patience):
        """Looks at each message of the daemon and in between; returns whether the condition was met before this time or its end."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                return False
            self.read_errors(lambda: False, 0.05)
        return True

    def halt(self):
        """Ends the daemon at once, its children with it."""
        if self.daemon is None:
            return
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM if self.traced else signal.SIGKILL)
        self.read_errors(lambda: False, PATIENCE)
        self.daemon.wait(timeout=PATIENCE)
        self.daemon.stderr.close()
        self.daemon = None

    def stop(self):
        self.halt()
        super().stop()

    def report(self):
        return json.loads(self.report_file.read_text())

    def count_from_here(self):
        self.daemon.send_signal(signal.SIGUSR1)

    def mark(self):
        """A mark in the log of operations."""
        self.daemon.send_signal(signal.SIGUSR2)

    # ---- requests ------------------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, **query):
        """(HTTP status, document). OSError: the daemon is gone."""
        socket = "api" if method == "GET" else "control"
        connection = UnixConnection(self.root / f"run/modelguard/{socket}.sock", PATIENCE)
        try:
            connection.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def tar(self, label, **behaviour):
        if label not in self.tars:
            folder = self.bundle(label, **behaviour)
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as archive:
                for path in sorted(folder.rglob("*")):
                    archive.add(path, str(path.relative_to(folder)), recursive=False)
            self.tars[label] = content.getvalue()
            self.digests[label] = digest_of(folder)
        return self.tars[label]

    def deploy(self, label, **behaviour):
        return self.ask("POST", "/v1/models/digits/deploy", self.tar(label, **behaviour))

    def rollback(self):
        seen = self.model()["current"]["digest"]
        return self.ask("POST", "/v1/models/digits/rollback", json.dumps({"schema": "modelguard.rollback/1", "seen_current": seen, "to": ""}))

    def history(self, after=0, wait=0):
        """Oldest first, once the ledger can be read: under a fault it may be away."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            document = self.ask("GET", "/v1/history", model="digits", after=after, wait=wait, limit=1000)[1]
            if "items" in document:
                return document["items"][::-1]
            self.ended_within(0.05)
        raise Wrong(f"the history is not told: {document}")

    def await_ledger(self):
        """Where the ledger could not be written: until it can again, which each request would hasten."""
        if self.quiet and self.errors.count(TROUBLE) > self.errors.count(AGAIN):
            if not self.read_errors(lambda: self.errors.count(TROUBLE) <= self.errors.count(AGAIN), PATIENCE / 6):
                raise Wrong(f"the ledger does not come back by itself: {self.errors.decode()[-800:]}")

    def end_of(self, answer):
        """The operation document once it is over."""
        status, document = answer
        if status != 202:
            return document
        self.ended_within(self.quiet)
        self.await_ledger()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            asked = self.ask("GET", f"/v1/operations/{document['id']}", wait=5)[1]
            if "status" not in asked:
                self.ended_within(0.05)  # its ledger is away
            elif asked["status"] != "running":
                return asked
        raise Wrong(f"operation does not end: {document}")

    def at_rest(self, wanted=lambda model: True, patience=PATIENCE):
        """The model once it waits for nothing (and is as wanted); its history oldest first in self.decisions."""
        deadline = time.monotonic() + patience
        last, self.decisions, model = 0, [], None
        while time.monotonic() < deadline:
            try:
                model = self.model()
            except Unavailable:  # its ledger is away
                self.ended_within(0.05)
                continue
            if model["phase"] in REST and not model.get("candidate") and wanted(model):
                self.decisions = self.history()
                return model
            for item in self.history(last, wait=1):
                last = max(last, item["number"])
        raise Wrong(f"not at rest within {patience:.0f} s: {json.dumps(model)[:600]}\n{self.errors.decode()[-1500:]}")

    def name_of(self, digest):
        return next((label for label, known in self.digests.items() if known == digest), digest)
