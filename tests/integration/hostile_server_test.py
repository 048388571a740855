#!/usr/bin/env python3
"""Model servers that answer as no server should: each trial ends with a verdict, in bounded time and memory, the known-good
version serves in the end, and `status` and `rollback` are answered meanwhile. Prints a table.

Every version brings its own misbehaviour (tests/support/hostile_server.py). Some devices work side by side, since most of the time
is waited for answers that do not come. MODELGUARD_ALL=1 adds each fault once more where only `ready` is asked, and later in the trial.
"""
import collections
import contextlib
import http.client
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import HERE, Device, UnixConnection  # noqa: E402
import hostile_server  # noqa: E402

EVERYTHING = bool(os.environ.get("MODELGUARD_ALL"))
DEVICES = 5
READY_WITHIN = "2s"
CASE_SECONDS = 45  # a trial: 2 s to become ready, checks of at most 3 unanswered requests of 10 s, and the way back
MOST_STATUS_MS = 3000  # five devices and their servers share two cores with whatever else runs; alone it is 1 to 3 ms
MOST_ROLLBACK_MS = 1000
MOST_PEAK_MIB = 160  # 16 MiB of text are at most 2 million JSON values; idle it is 12 MiB

# What does no harm: it is accepted, and that is right.
HARMLESS = {
    "closes_each": "the connection is opened anew",
    "other_name": "the specification lets a server name itself as it likes; the version is what is compared",
    "double_encoded": "opened once: a known habit of servers",
    "each third: fin": "a kept connection that ends before the answer is asked anew on another one, as HTTP has it",
    "each third: reset": "what breaks a connection is nobody's answer: it is asked again, up to three times",
}
Case = collections.namedtuple("Case", "name behaviour")


def cases():
    for mode in [*hostile_server.MODES, "double_encoded"]:
        yield Case(mode, dict(mode=mode))
    for mode in ["deep_in_error", "flood", "hang", "no_http", "redirect_file", "status_999", "many_headers"]:
        yield Case(f"load: {mode}", dict(load_answer=mode))
    for mode in ["flood", "hang", "html", "redirect_host", "status_0", "deep_in_error", "continue_storm"]:
        yield Case(f"ready: {mode}", dict(mode=mode, on="ready"))
    yield Case("later: hang", dict(mode="hang", after=6))
    yield Case("each third: fin", dict(mode="fin", every=3))
    yield Case("each third: reset", dict(mode="reset", every=3))
    yield Case("wrong version", dict(mode="wrong_version"))
    if EVERYTHING:
        for mode in hostile_server.MODES:
            yield Case(f"ready: {mode} (again)", dict(mode=mode, on="ready"))
            yield Case(f"later: {mode} (again)", dict(mode=mode, after=6))


class HostileDevice(Device):
    def __init__(self):
        super().__init__(items=12, soak="50ms", ready_within=READY_WITHIN, max_latency="2s", samples=20)

    def with_v1(self):
        self.start()
        self.cli("deploy", "digits", self.bundle("v1"), "--wait", check=0)
        self.wait_phase("steady")
        return self

    def start_server(self):
        self.server = subprocess.Popen([sys.executable, HERE / "hostile_server.py", "--port", str(self.port), "--current", self.current],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline().split()[1])

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")

    def peak_mib(self):
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM")

    def post(self, path, body):
        connection = UnixConnection(self.root / "run/modelguard/control.sock", 10)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextlib.contextmanager
def status_asked_meanwhile(device, took):
    """Asks for the status over and over, as a watching operator would; the times in ms go to `took`."""
    over = threading.Event()

    def ask():
        while not over.wait(0.05):
            began = time.monotonic()
            try:
                device.get("/v1/status", timeout=20)
            except (OSError, http.client.HTTPException):
                if over.is_set():
                    return
                took.append(float("inf"))
                return
            took.append((time.monotonic() - began) * 1000)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run_case(device, number, case):
    """A line of the table, and what is wrong with it."""
    label = f"c{number}"
    took, wrong = [], []
    last = device.last_number()
    device.forget_peak()
    began = time.monotonic()
    with status_asked_meanwhile(device, took):
        done = device.cli("deploy", "digits", device.bundle(label, **case.behaviour), "--wait", timeout=2 * CASE_SECONDS)
        seconds = time.monotonic() - began
    peak = device.peak_mib()
    # Of what failed, the first check in its own words.
    ended = [item for item in device.history(after=last) if item["kind"] in ("accepted", "rejected", "undecided", "held")]
    verdict, code, text = (ended[0]["kind"], ended[0].get("code", ""), ended[0].get("text", "")) if ended else ("nothing", "", "")
    failed = [check for item in device.history(after=last) for check in item.get("checks", []) if check["verdict"] == "fail"]
    if failed and verdict == "rejected":
        code, text = f"{failed[0]['check']}: {failed[0]['code']}", failed[0]["text"]
    expected = "accepted" if case.name in HARMLESS else "rejected"
    serves = label if case.name in HARMLESS else "v1"
    model = device.wait_phase("steady")
    if verdict != expected or done.returncode != (0 if expected == "accepted" else 1):
        wrong.append(f"{verdict}, exit {done.returncode}, expected {expected}")
    if device.linked() != serves or device.serving() != serves or not model["healthy"]:
        wrong.append(f"current {device.linked()}, served {device.serving()}, expected {serves}")
    if seconds > CASE_SECONDS:
        wrong.append(f"took {seconds:.0f} s")
    if max(took, default=0) > MOST_STATUS_MS:
        wrong.append(f"status took {max(took):.0f} ms")
    if peak > MOST_PEAK_MIB:
        wrong.append(f"peak {peak:.0f} MiB")
    if any(ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c in "\u202e\u202a\u2066" for c in text + code):
        wrong.append(f"control characters in {text!r}")
    if case.name in HARMLESS:  # back to the good one for the next case
        device.cli("rollback", "digits", "--to", "v1", check=0)
    line = f"{case.name:<26}{verdict:<10}{code:<22}{seconds:>6.1f}{max(took, default=0):>8.0f}{peak:>8.0f}  {text[:100]}"
    return line, wrong


def rollback_meanwhile(device, mode):
    """In the middle of the trial an operator wants the old version back, and gets it."""
    device.cli("deploy", "digits", device.bundle(f"r-{mode}", mode=mode), check=0)
    device.wait_phase("trial")
    first = next(item["digest"] for item in device.get("/v1/models/digits/versions")["items"] if item["label"] == "v1")
    wanted = {"schema": "modelguard.rollback/1", "seen_current": device.model()["current"]["digest"], "to": first}
    began = time.monotonic()
    status, body = device.post("/v1/models/digits/rollback", wanted)
    answered = (time.monotonic() - began) * 1000
    assert status == 202, (status, body)
    device.wait_phase("steady")
    served = (time.monotonic() - began) * 1000
    assert device.linked() == "v1" and device.serving() == "v1", (device.linked(), device.serving())
    return answered, served


def worker(pending, report):
    with HostileDevice() as device:
        device.with_v1()
        while True:
            try:
                number, case = pending.get_nowait()
            except queue.Empty:
                break
            try:
                report(case, *run_case(device, number, case))
            except Exception as error:  # the other devices go on; this one is of no more use
                report(case, case.name, [f"{type(error).__name__}: {str(error)[:1500]}"])
                return
        hits = device.control()["sentinel"]
        if hits:
            report(None, "redirects", [f"a redirect was followed {hits} times"])
        device.check_promises()


def main():
    began = time.monotonic()
    failures = []
    count = 0
    lock = threading.Lock()

    def report(_case, line, wrong):
        nonlocal count
        with lock:
            count += 1
            print(line, flush=True)
            for text in wrong:
                failures.append(line.split("  ")[0])
                print(f"    WRONG: {text}", flush=True)

    pending = queue.Queue()
    for numbered in enumerate(cases()):
        pending.put(numbered)
    asked = pending.qsize()
    print(f"{'fault':<26}{'verdict':<10}{'code':<22}{'s':>6}{'status':>8}{'peak':>8}  reason   (status: slowest answer in ms; peak: RSS in MiB)")
    threads = [threading.Thread(target=worker, args=(pending, report)) for _ in range(DEVICES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not pending.empty():
        failures.append(f"{pending.qsize()} cases were not reached")
    with HostileDevice() as device:
        device.with_v1()
        for mode in ["hang", "flood", "slow_loris", "continue_storm", "many_values"]:
            answered, served = rollback_meanwhile(device, mode)
            print(f"rollback during {mode:<16} answered in {answered:.1f} ms, the old version serves after {served:.0f} ms")
            if answered > MOST_ROLLBACK_MS:
                failures.append(f"rollback during {mode}")
        device.check_promises()
    for name, why in HARMLESS.items():
        print(f"accepted: {name}: {why}")
    print(f"{count} of {asked} faults, {len(failures)} wrong; {time.monotonic() - began:.0f} s")
    for failure in failures:
        print(f"  wrong: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
