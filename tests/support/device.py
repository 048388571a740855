"""A device in a directory: modelguardd --root, a model server, bundles, and the means to look at them from outside.

Standard library only. MODELGUARD_BIN names the build directory. Nothing here sleeps to wait: the API's long polls,
pipes and process ends are waited for, each with a deadline.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("MODELGUARD_BIN", HERE.parent.parent / "build/dev"))
DAEMON = BUILD / "supervisor/daemon/modelguardd"
CLI = BUILD / "supervisor/cli/modelguard"
PATIENCE = 60.0

MANIFEST = """\
model: digits
required: true
serve:
  switch: files
  then: {{oip_repository: {{}}}}
  endpoint: http://127.0.0.1:{port}
  protocol: oip
  ready_within: {ready_within}
  period: {period}
checks:
- {{name: ready, kind: ready, canary: canary/digits.jsonl, input: {{name: input-0, datatype: FP32}}}}
- {{name: accuracy, kind: accuracy, canary: canary/digits.jsonl, score: top1, min: 0.90, max_drop: 0.02, input: {{name: input-0, datatype: FP32}}}}
- {{name: p90, kind: latency, percentile: 90, max: {max_latency}, samples: {samples}, canary: canary/digits.jsonl, input: {{name: input-0, datatype: FP32}}}}
trial: {{deadline: 60s, soak: {soak}}}
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("modelguard", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Unavailable(OSError):
    """The daemon answers that it cannot say at the moment."""


class Device(contextlib.AbstractContextManager):
    def __init__(self, items=40, soak="300ms", period="200ms", ready_within="3s", max_latency="50ms", samples=20, model_server=True):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="mg-"))
        self.models = self.root / "var/lib/modelguard/models/digits"
        self.current = self.models / "current"
        self.items = items
        self.options = dict(soak=soak, period=period, ready_within=ready_within, max_latency=max_latency, samples=samples)
        self.daemon = None
        self.server = None
        self.port = 0
        self.log = self.root / "modelguardd.log"
        (self.root / "etc/modelguard/models.d").mkdir(parents=True)
        if model_server:
            self.start_server()
            self.write_manifest()

    def __exit__(self, *exception):
        self.stop()
        if exception[0] is not None and os.environ.get("MODELGUARD_KEEP"):
            print(f"kept for a look: {self.root}", file=sys.stderr)
            return
        subprocess.run(["chmod", "-R", "u+w", self.root], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def stop(self):
        for process in (self.daemon, self.server):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    # ---- the model server and bundles --------------------------------------------------------------------------

    def start_server(self):
        self.server = subprocess.Popen([sys.executable, HERE / "repository_server.py", "--port", str(self.port), "--current", self.current],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline().split()[1])

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def control(self, **asked):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST" if asked else "GET", "/control", json.dumps(asked) if asked else None)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def serving(self):
        return self.control()["serving"]

    def write_manifest(self, **changes):
        text = MANIFEST.format(port=self.port, **dict(self.options, **changes))
        (self.root / "etc/modelguard/models.d/digits.yaml").write_text(text)

    def serve_models(self, count, period):
        """Starts the daemon with `count` models in place of the one, all known-good and on one server; returns their names."""
        folder = self.root / "etc/modelguard/models.d"
        (folder / "digits.yaml").unlink()
        names = [f"m{number}" for number in range(count)]
        for name in names:
            text = MANIFEST.format(port=self.port, **dict(self.options, period=period, soak="100ms"))
            text = text.replace("model: digits\n", f"model: {name}\n").replace("  protocol: oip\n", "  protocol: oip\n  model: digits\n")
            (folder / f"{name}.yaml").write_text(text.replace("  then: {oip_repository: {}}\n", ""))
        bundle = self.bundle("v1")
        self.kill_server()
        self.current = bundle  # the server serves it from the start
        self.start_server()
        self.start()
        for name in names:
            self.cli("deploy", name, bundle, "--wait", check=0)
        return names

    def bundle(self, version, seed=0, **behaviour):
        """A version whose behaviour the model server takes from it; every version has other bytes."""
        folder = self.root / "bundles" / version
        if folder.exists():
            return folder
        (folder / "canary").mkdir(parents=True)
        (folder / "behaviour.json").write_text(json.dumps(dict(behaviour, version=version)))
        (folder / "modelguard-version.yaml").write_text(f'label: "{version}"\nserved_version: "{version}"\n')
        generator = random.Random(seed)
        with open(folder / "canary/digits.jsonl", "w") as lines:
            for number in range(self.items):
                scores = [round(generator.random(), 3) for _ in range(10)]
                label = number % 10
                scores[label] = 2.0
                lines.write(json.dumps({"id": str(number), "input": scores, "label": label}) + "\n")
        return folder

    # ---- the daemon and the CLI --------------------------------------------------------------------------------

    def start(self, boot_id=None):
        """Starts modelguardd and waits until its sockets answer."""
        environment = dict(os.environ)
        if boot_id:
            environment["MODELGUARD_TEST_BOOT_ID"] = boot_id
        with open(self.log, "a") as log:
            self.daemon = subprocess.Popen([DAEMON, "--root", self.root], stderr=log, stdin=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.get("/v1/status", timeout=1)
                return self
            except OSError:
                if self.daemon.poll() is not None:
                    raise AssertionError(f"modelguardd ended with {self.daemon.returncode}:\n{self.log.read_text()[-2000:]}")
        raise AssertionError(f"modelguardd does not answer:\n{self.log.read_text()[-2000:]}")

    def kill(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()

    def cli(self, *arguments, check=None, timeout=PATIENCE):
        done = subprocess.run([CLI, "--root", self.root, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        if check is not None and done.returncode != check:
            raise AssertionError(f"modelguard {' '.join(map(str, arguments))}: exit {done.returncode}, expected {check}\n{done.stdout}{done.stderr}"
                                 f"\n--- log\n{self.log.read_text()[-3000:]}")
        return done

    def get(self, path, timeout=PATIENCE, **query):
        connection = UnixConnection(self.root / "run/modelguard/api.sock", timeout)
        try:
            connection.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
            response = connection.getresponse()
            return json.loads(response.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def model(self):
        document = self.get("/v1/status", model="digits")
        if document.get("status") == 503:
            raise Unavailable(document["title"])
        if "models" not in document:
            raise AssertionError(f"the status of digits is {json.dumps(document)}")
        return document["models"][0]

    def history(self, after=0, wait=0):
        """Oldest first."""
        return self.get("/v1/history", model="digits", after=after, wait=wait, limit=1000)["items"][::-1]

    def wait_for(self, condition, what):
        """Looks at the model again after every decision, and in between as fast as the API answers."""
        deadline = time.monotonic() + PATIENCE
        model = None
        while time.monotonic() < deadline:
            model = self.model()
            if condition(model):
                return model
        raise AssertionError(f"not reached: {what}; last seen {json.dumps(model)[:1500]}\n--- log\n{self.log.read_text()[-3000:]}")

    def wait_phase(self, phase):
        return self.wait_for(lambda model: model["phase"] == phase, f"phase {phase}")

    def wait_decision(self, kind, after=0):
        """The first decision of this kind with a number above `after`."""
        deadline = time.monotonic() + PATIENCE
        seen = after
        while time.monotonic() < deadline:
            for item in self.history(after=seen, wait=5):
                seen = max(seen, item["number"])
                if item["kind"] == kind:
                    return item
        raise AssertionError(f"no decision {kind}\n--- log\n{self.log.read_text()[-3000:]}")

    def last_number(self):
        items = self.history()
        return items[-1]["number"] if items else 0

    # ---- what is true, seen from outside -----------------------------------------------------------------------

    def linked(self):
        """The label of the version that `current` names, or None."""
        try:
            return json.loads((self.current / "behaviour.json").read_text())["version"]
        except FileNotFoundError:
            return None

    def check_promises(self):
        """Promise 1 and no leftovers: current names a complete version whose digest is right; staging is empty."""
        if self.current.is_symlink():
            target = os.readlink(self.current)
            assert target.startswith("versions/sha256-"), target
            digest = subprocess.run([DAEMON, "--digest", self.models / target], capture_output=True, text=True, check=True).stdout.strip()
            assert digest.replace(":", "-") == target.removeprefix("versions/"), f"current is {target} but its digest is {digest}"
        staging = list((self.root / "var/lib/modelguard/staging").iterdir())
        assert not staging, f"left behind in staging: {staging}"
