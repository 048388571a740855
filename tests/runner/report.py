"""What the parts of tests/run report to: counts, names, times; and how they run commands."""

import os
import subprocess
import time
from pathlib import Path


class Stop(Exception):
    """Something without which the rest makes no sense failed."""

    def __init__(self, what: str, detail: str = ""):
        super().__init__(what)
        self.what, self.detail = what, detail


class Report:
    def __init__(self, logs: Path, began: float):
        self.logs = logs
        self.logs.mkdir(parents=True, exist_ok=True)
        self.began = self.last = began
        self.passed_count = 0
        self.failures: list[str] = []
        self.skips: list[str] = []
        self.times: list[tuple[str, float]] = []

    def stage_done(self, name: str, text: str) -> None:
        now = time.time()
        seconds, self.last = now - self.last, now
        self.times.append((name, seconds))
        print(f"{name:<10} {text:<76} {seconds:7.1f} s", flush=True)

    def passed(self, count: int = 1) -> None:
        self.passed_count += count

    def failed(self, name: str, detail: str = "") -> None:
        self.failures.append(name)
        print(f"FAILED     {name}", flush=True)
        for line in detail.rstrip().splitlines()[-60:]:
            print(f"    {line}", flush=True)

    def skipped(self, name: str, why: str) -> None:
        self.skips.append(f"{name}: {why}")

    def gate(self, name: str, right: bool, text: str, detail: str = "") -> None:
        """One gate is one test."""
        self.stage_done(name, text if right else "FAILED: " + text)
        if right:
            self.passed()
        else:
            self.failed(name, detail)

    def finish(self) -> int:
        print()
        if self.skips:
            print("could not run here:", *self.skips, sep="\n  ")
        if self.failures:
            print("failed:", *self.failures, sep="\n  ")
            print(f"logs: {self.logs}")
        total = time.time() - self.began
        print(f"{total:.0f} s: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in self.times))
        skipped = f", {len(self.skips)} skipped" if self.skips else ""
        print(f"{self.passed_count} passed, {len(self.failures)} failed{skipped}", flush=True)
        return 1 if self.failures or self.passed_count == 0 else 0


def run(report: Report, name: str, command: list[str], *, may_fail: bool = False, environment: dict[str, str] | None = None,
        log: str = "") -> subprocess.CompletedProcess:
    """Runs to the end, output into build/logs/NAME.log. Stop where it fails, unless `may_fail`."""
    file = report.logs / f"{log or name}.log"
    with open(file, "ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                              env={**os.environ, **(environment or {})})
    if done.returncode != 0 and not may_fail:
        raise Stop(name, f"exit {done.returncode}; the end of {file}:\n" + tail(file, 50))
    return done


def tail(file: Path, lines: int) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
