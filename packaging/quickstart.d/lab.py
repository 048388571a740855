"""A device in a directory: modelguardd --root, a real MLServer, and questions asked of both from outside.

Used by the quick start and by tests/realserver. Standard library only, so that any python3 runs it.
"""

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

MODEL = "digits"
PR_SET_PDEATHSIG = 1
MANIFEST = """\
model: digits
serve:
  switch: files
  then: {{oip_repository: {{}}}}
  endpoint: http://127.0.0.1:{port}
  protocol: oip
  ready_within: 20s
  period: 2s
checks:
- name: ready
  kind: ready
  canary: canary/digits.jsonl
  input: {{name: predict, datatype: FP32, shape: ["1", "64"]}}
- name: latency
  kind: latency
  canary: canary/digits.jsonl
  percentile: 95
  max: {limit_ms}ms
  samples: 100
  input: {{name: predict, datatype: FP32, shape: ["1", "64"]}}
- name: accuracy
  kind: accuracy
  canary: canary/digits.jsonl
  score: top1
  min: 0.85
  max_drop: 0.02
  input: {{name: predict, datatype: FP32, shape: ["1", "64"]}}
  output: {{name: predict_proba, reduce: argmax}}
trial: {{deadline: 60s, soak: 2s}}
"""


class LabError(Exception):
    """Something that the lab itself needs did not work; the text says what and where to look."""


@dataclass
class Served:
    """What the model server itself answers to the held-out items, asked without modelguard."""

    items: int = 0
    right: int = 0
    not_numbers: int = 0
    median_ms: float = 0.0

    @property
    def accuracy(self) -> float:
        return self.right / self.items if self.items else 0.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are bound at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def die_with_parent() -> None:
    """In a new child: end when the lab ends, even if that is by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for(what: str, seconds: float, ask, log: Path | None = None):
    """The first true answer of `ask`; LabError with the end of `log` when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log and log.exists() else ""
            raise LabError(f"{what}: not within {seconds:.0f} s" + (f"; the end of {log}:\n{tail}" if tail else ""))
        time.sleep(0.02)


class Lab:
    def __init__(self, work: Path, programs: Path, venv: Path, limit_ms: int = 150):
        self.work, self.programs, self.venv, self.limit_ms = work, programs, venv, limit_ms
        self.root, self.bundles, self.logs = work / "root", work / "bundles", work / "logs"
        self.server: subprocess.Popen | None = None
        self.daemon: subprocess.Popen | None = None
        self.port = 0
        self.logs.mkdir(parents=True, exist_ok=True)

    # ---- what runs ----

    def train(self) -> None:
        here = Path(__file__).resolve().parent
        self._run_logged("training", [self.venv / "bin/python", here / "train.py", self.bundles, str(self.limit_ms)])

    def start_server(self) -> None:
        """MLServer over a repository whose only entry is a link to the model's `current`: nothing there before the first deploy."""
        repository = self.work / "serving"
        if not repository.exists():
            repository.mkdir()
            (repository / MODEL).symlink_to(self.root / "var/lib/modelguard/models" / MODEL / "current")
        if not self.port:
            self.port, grpc = free_ports(2)
            settings = {"host": "127.0.0.1", "http_port": self.port, "grpc_port": grpc, "metrics_endpoint": None,
                        "parallel_workers": 0, "debug": False}
            (repository / "settings.json").write_text(json.dumps(settings) + "\n")
        # no byte code beside the runtimes: a version on disk is immutable
        self.server = self._spawn("mlserver", [self.venv / "bin/mlserver", "start", repository], PYTHONDONTWRITEBYTECODE="1")
        wait_for("MLServer answers", 60, lambda: self._alive("mlserver", self.server) and self._get("/v2/health/live") == 200,
                 self.logs / "mlserver.log")

    def write_manifest(self, text: str = MANIFEST) -> Path:
        folder = self.root / "etc/modelguard/models.d"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{MODEL}.yaml"
        file.write_text(text.format(port=self.port, limit_ms=self.limit_ms))
        return file

    def start_daemon(self) -> None:
        self.daemon = self._spawn("modelguardd", [self.programs / "modelguardd", "--root", self.root])
        wait_for("modelguardd answers", 20, lambda: self._alive("modelguardd", self.daemon) and self._answers(),
                 self.logs / "modelguardd.log")

    def kill_daemon(self) -> None:
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()

    def stop(self) -> None:
        for process in (self.daemon, self.server):
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # ---- modelguard, asked ----

    def command(self, *arguments: str) -> list[str]:
        return [str(self.programs / "modelguard"), "--root", str(self.root), *arguments]

    def cli(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)

    def begin_deploy(self, bundle: str) -> subprocess.Popen:
        log = open(self.logs / f"deploy-{bundle}.log", "wb")
        return subprocess.Popen(self.command("deploy", MODEL, str(self.bundles / bundle), "--wait"), stdin=subprocess.DEVNULL,
                                stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def model_status(self) -> dict:
        """The model's part of `status --json`; {} while the daemon is down."""
        answer = self.cli("status", "--json")
        try:
            document = json.loads(answer.stdout) if answer.returncode in (0, 1) else {}
        except json.JSONDecodeError as error:
            raise LabError(f"status --json: {error}: {answer.stdout[:200]!r}") from error
        return next((model for model in document.get("models", []) if model["model"] == MODEL), {})

    def history(self) -> list[dict]:
        """Decisions, the newest first."""
        answer = self.cli("history", MODEL, "--json")
        if answer.returncode != 0:
            raise LabError(f"history --json: exit {answer.returncode}: {answer.stderr.strip()}")
        return json.loads(answer.stdout)["items"]

    # ---- the world, asked without modelguard ----

    def linked_label(self) -> str:
        """The label inside of the version that the `current` link names; empty: no link."""
        version = self.root / "var/lib/modelguard/models" / MODEL / "current" / "modelguard-version.yaml"
        return version.read_text().split('"')[1] if version.exists() else ""

    def ask_server(self) -> Served:
        """All held-out items, answered by the model server itself."""
        served, took = Served(), []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for line in (self.bundles / "v1/canary/digits.jsonl").read_text().splitlines():
            item = json.loads(line)
            body = {"inputs": [{"name": "predict", "datatype": "FP32", "shape": [1, 64], "data": item["input"]}]}
            started = time.perf_counter()
            connection.request("POST", f"/v2/models/{MODEL}/infer", json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
            took.append(time.perf_counter() - started)
            served.items += 1
            if reply.status != 200:
                continue
            scores = json.loads(text)["outputs"][0]["data"]
            if None in scores:
                served.not_numbers += 1
            elif scores.index(max(scores)) == item["label"]:
                served.right += 1
        connection.close()
        served.median_ms = sorted(took)[len(took) // 2] * 1000
        return served

    # ---- inside ----

    def _environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.work), **more}

    def _spawn(self, name: str, command: list, **environment: str) -> subprocess.Popen:
        with open(self.logs / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                    env=self._environment(**environment), cwd=self.work, preexec_fn=die_with_parent)

    def _run_logged(self, name: str, command: list) -> None:
        process = self._spawn(name, command)
        if process.wait() != 0:
            tail = "\n".join((self.logs / f"{name}.log").read_text().splitlines()[-15:])
            raise LabError(f"{name} failed (exit {process.returncode}):\n{tail}")

    def _alive(self, name: str, process: subprocess.Popen) -> bool:
        if process.poll() is not None:
            tail = "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-15:])
            raise LabError(f"{name} ended with {process.returncode}:\n{tail}")
        return True

    def _answers(self) -> bool:
        sock = self.root / "run/modelguard/api.sock"
        return sock.exists() and self.cli("status", "--json").returncode in (0, 1)

    def _get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()
