"""A device with real model servers: every version is deployed, and what was decided is compared with what is right.

A test brings the servers, the bundles and a way to ask a server without modelguard; this is the rest. Standard library only.
"""
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/support"))
from device import Device  # noqa: E402

SKIPPED = 77
CACHE = pathlib.Path("/var/cache/modelguard") if os.geteuid() == 0 else pathlib.Path.home() / ".cache/modelguard"


def venv(requirements: pathlib.Path) -> pathlib.Path:
    """The folder of a venv with these packages; where it cannot be made, the test is skipped."""
    made = subprocess.run([TREE / "packaging/quickstart.d/venv", requirements, CACHE], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if made.returncode != 0:
        print(f"skipped: {made.stderr.strip().splitlines()[-1]}")
        sys.exit(SKIPPED)
    return pathlib.Path(made.stdout.strip())


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A program that this test starts and ends."""

    def __init__(self, command: list, log: pathlib.Path, answers, **environment: str):
        """`answers` is asked until it is true."""
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=out, stderr=out,
                                            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})
        self.answers = answers

    def wait(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server does not answer:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


@dataclasses.dataclass
class Upgrade:
    label: str
    what: str
    outcome: str  # accepted or rejected
    because: str = ""  # the check that says so


class Upgrades(Device):
    """Manifests and bundles are the test's; models go through the same upgrades side by side."""

    def __init__(self):
        super().__init__(model_server=False)
        self.bundles = self.root / "bundles"
        self.wrong: list[str] = []
        self.rows: list[tuple] = []

    def manifest(self, model: str, text: str) -> None:
        (self.root / f"etc/modelguard/models.d/{model}.yaml").write_text(text)

    def current_of(self, model: str) -> pathlib.Path:
        return self.root / "var/lib/modelguard/models" / model / "current"

    def model_status(self, model: str) -> dict:
        return self.get("/v1/status", model=model)["models"][0]

    def deploy(self, model: str, server: str, upgrade: Upgrade, served: str, right) -> None:
        """One upgrade of one model; `served` is the label that must serve in the end, `right(model)` says whether the server,
        asked by itself, answers as that version does."""
        began = time.monotonic()
        done = self.cli("deploy", model, self.bundles / model / upgrade.label, "--wait", timeout=60)
        while "try again in a moment" in done.stderr:  # other models' bundles are being imported
            done = self.cli("deploy", model, self.bundles / model / upgrade.label, "--wait", timeout=60)
        seconds = time.monotonic() - began
        assert done.returncode in (0, 1), f"deploy: exit {done.returncode}: {done.stderr}"
        items = self.get("/v1/history", model=model, limit=100)["items"]
        end = next((item for item in items if item["kind"] in ("accepted", "rejected", "undecided", "refused") and item.get("label") == upgrade.label), {})
        failed = [report for report in end.get("checks", []) if report["verdict"] != "pass"]
        status = self.model_status(model)
        current, good = ((status.get(name) or {}).get("label", "none") for name in ("current", "known_good"))
        answers = right(model)
        because = failed[0]["check"] if failed else ""
        told = failed[0].get("text", "") if failed else next((r.get("text", "") for r in end.get("checks", [])[::-1]), "")
        self.rows.append((server, upgrade.label, upgrade.what, end.get("kind", "nothing"), because, f"{seconds:.1f} s", current, told))
        for is_right, what in ((end.get("kind") == upgrade.outcome, f"{upgrade.outcome}, it was {end.get('kind')}: {end.get('text')} {done.stderr}"),
                               (because == upgrade.because, f"decided by {upgrade.because or 'nothing'}, it was {because}: {told}"),
                               (current == served and good == served, f"{served} serving and known-good, it was {current}, {good}"),
                               (answers, f"answered by the server as {served} does"),
                               (done.returncode == (0 if upgrade.outcome == "accepted" else 1), f"exit 0 or 1, it was {done.returncode}")):
            if not is_right:
                self.wrong.append(f"{server}, version {upgrade.label} ({upgrade.what}) should have been {what}")

    def go(self, plans: dict[str, tuple[str, list[Upgrade]]], right) -> None:
        """Every model, side by side, through its upgrades; a plan begins with what is printed."""
        def one(model: str, server: str, upgrades: list[Upgrade]) -> None:
            served = "none"
            try:
                for upgrade in upgrades:
                    served = upgrade.label if upgrade.outcome == "accepted" else served
                    self.deploy(model, server, upgrade, served, right)
            except Exception as error:  # told with the others; a thread's own would be lost
                self.wrong.append(f"{server}: {error!r}")

        threads = [threading.Thread(target=one, args=(model, *plan)) for model, plan in plans.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def conclude(self) -> int:
        self.rows.sort(key=lambda row: row[0])
        print(f"{'server':<22}{'version':<9}{'what':<38}{'outcome':<10}{'by':<10}{'took':>7}  {'serves':<8}measured")
        for server, label, what, outcome, because, seconds, current, told in self.rows:
            print(f"{server:<22}{label:<9}{what:<38}{outcome:<10}{because:<10}{seconds:>7}  {current:<8}{told[:110]}")
        print("\n".join(self.wrong) or "every outcome is the right one")
        if self.wrong:
            print(self.log.read_text()[-3000:], file=sys.stderr)
        return 1 if self.wrong else 0


def write_bundle(folder: pathlib.Path, files: dict[str, bytes | pathlib.Path], canary: str) -> None:
    (folder / "canary").mkdir(parents=True)
    (folder / "canary/set.jsonl").write_text(canary)
    (folder / "modelguard-version.yaml").write_text(f'label: "{folder.name}"\n')
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            shutil.copy(content, folder / name)
