#!/usr/bin/env python3
"""Random operations, kills and faults against `modelguardd --root`, with the promises checked from outside all the while.

    tests/fault/endurance.py --minutes 60 [--seed N]

Operations: deploy (good, wrong, slow, NaN, one that does not load), the same bundle again, rollback, check, pin, unpin, unreject, a changed
manifest. Faults: SIGKILL and SIGSTOP of modelguardd and of its import child, a reboot, a model server that dies or goes bad, a known-good
version damaged on disk, a full disk (on a tmpfs of its own, where one can be mounted). A watcher reads `current` without pause: each version
it ever names must be complete and have the digest of its name, and no rejected one may come back by itself. After every few operations the
faults end, and then the device must come to rest by itself, serve a version that is good, have nothing left in staging, have told the end of
each trial that began, and take a good version.
"""
import argparse
import collections
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import CLI, Device  # noqa: E402

DISK_BYTES = 160 << 20
ON_ITS_WAY = 3  # seconds: from the verification of a version, through a baseline under load or a stopped daemon, to its link
ROUND = 6  # operations between two times of rest
BAD = {"wrong": dict(mode="wrong_label"), "slow": dict(mode="slow", ms=400), "nan": dict(mode="nan"), "refused": dict(load="refuse")}
ENDS = {"accepted", "rejected", "undecided", "superseded", "manifest_accepted", "manifest_rejected", "manifest_undecided"}
NO_END = {"asked_again", "already_current"}  # answers to a request, not ends of a trial


def digest_of(tree):
    """The digest of DESIGN.md section 6, computed by another program than the one that is tested."""
    lines = []
    for path in tree.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise OSError(f"neither file nor directory: {path}")
        if path.is_file():
            status, content = path.stat(), path.read_bytes()
            name = os.fsencode(path.relative_to(tree))
            lines.append((name, b"%s %d %s %s\0" % (b"x" if status.st_mode & 0o111 else b"-", len(content),
                                                    hashlib.sha256(content).hexdigest().encode(), name)))
    return hashlib.sha256(b"".join(line for _, line in sorted(lines))).hexdigest()


class Watcher(threading.Thread):
    """Looks at `current` from outside, all the time."""

    def __init__(self, device, violation):
        super().__init__(daemon=True)
        self.device, self.violation = device, violation
        self.rejected = set()  # digests; whoever lifts one takes it out first
        self.damaged = {}  # digest: when, the newest time
        self.damaged_on_its_way = 0
        self.looks = self.moves = 0
        self.over = threading.Event()

    def target(self):
        try:
            return os.readlink(self.device.current)
        except FileNotFoundError:
            return None

    def run(self):
        seen = None
        while not self.over.wait(0.002):
            self.looks += 1
            target = self.target()
            if target is None or target == seen:
                continue
            self.moves += 1
            name = target.removeprefix("versions/sha256-")
            try:
                found = digest_of(self.device.models / target)
            except OSError as error:
                found = str(error)
            if found != name and time.monotonic() - self.damaged.get(name, -ON_ITS_WAY) < ON_ITS_WAY:
                self.damaged_on_its_way += 1  # after it was verified: nobody could know
            elif found != name and self.target() == target:
                self.violation(f"current names {target}, whose digest is {found}")
            if name in self.rejected and self.target() == target and name in self.rejected:
                self.violation(f"current names {target}, which was rejected")
            seen = target


class Endurance:
    def __init__(self, device, seed, disk):
        self.device, self.disk = device, disk
        self.random = random.Random(seed)
        self.operations, self.faults, self.answers = collections.Counter(), collections.Counter(), collections.Counter()
        self.violations = []
        self.watcher = Watcher(device, self.violation)
        self.made = 0
        self.boot = 0
        self.decision = 0
        self.open_trials = collections.Counter()
        self.newest_bundle = None
        self.filler = None

    def violation(self, text):
        self.violations.append(text)
        print(f"VIOLATION after {sum(self.operations.values())} operations: {text}", flush=True)

    # ---- operations: what the CLI answers is counted; what it must never do is crash -------------------------------

    def cli(self, *arguments):
        self.operations[arguments[0]] += 1
        process = subprocess.Popen([CLI, "--root", self.device.root, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.fault_while(process)
        output = process.communicate(timeout=120)[0]
        self.answers[process.returncode] += 1
        if process.returncode not in range(0, 7):
            self.violation(f"modelguard {' '.join(map(str, arguments))}: exit {process.returncode}: {output[-500:]}")

    def bundle(self):
        self.made += 1
        kind = self.random.choice(["good"] * 4 + list(BAD))
        behaviour = {} if kind == "good" else BAD[kind]
        return self.device.bundle(f"{kind}{self.made}", seed=self.made % 7, **behaviour)

    def deploy(self):
        self.newest_bundle = self.bundle()
        self.cli("deploy", "digits", self.newest_bundle, *self.random.choice([[], ["--wait"]]))

    def deploy_again(self):
        if self.newest_bundle:
            self.cli("deploy", "digits", self.newest_bundle)

    def rollback(self):
        self.cli("rollback", "digits", *self.random.choice([[], ["--no-wait"]]))

    def check(self):
        self.cli("check", "digits")

    def pin(self):
        self.cli("pin", "digits", *([self.random.choice(sorted(self.known()))] if self.known() and self.random.random() < 0.5 else []))

    def unpin(self):
        self.cli("unpin", "digits")

    def unreject(self):
        if self.watcher.rejected:
            digest = self.random.choice(sorted(self.watcher.rejected))
            self.watcher.rejected.discard(digest)
            self.cli("unreject", "digits", f"sha256:{digest}")

    def manifest(self):
        self.operations["manifest"] += 1
        self.device.write_manifest(soak=f"{self.random.randint(100, 400)}ms", max_latency=self.random.choice(["300ms", "350ms"]))
        self.device.daemon.send_signal(signal.SIGHUP)

    def known(self):
        versions = self.device.models / "versions"
        return {path.name.replace("sha256-", "sha256:") for path in versions.iterdir()} if versions.exists() else set()

    # ---- faults ----------------------------------------------------------------------------------------------------

    def fault_while(self, process):
        """While an operation is under way, perhaps at its beginning, perhaps when the trial has long begun."""
        if self.random.random() < 0.3:
            return
        try:
            process.wait(timeout=self.random.uniform(0, 1.0) ** 2)
        except subprocess.TimeoutExpired:
            pass
        fault = self.random.choice([self.kill, self.kill, self.kill, self.kill_child, self.stop, self.reboot, self.kill_server, self.server_goes_bad,
                                    self.damage, self.fill])
        fault()

    def kill(self):
        self.faults["SIGKILL of modelguardd"] += 1
        self.device.kill()
        self.start()

    def start(self):
        self.device.start(boot_id=f"boot-{self.boot}")

    def reboot(self):
        self.faults["reboot"] += 1
        self.boot += 1
        self.device.kill()
        self.start()

    def kill_child(self):
        children = subprocess.run(["pgrep", "-P", str(self.device.daemon.pid)], capture_output=True, text=True).stdout.split()
        for child in children:
            self.faults["SIGKILL of a child"] += 1
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self):
        self.faults["SIGSTOP"] += 1
        self.device.daemon.send_signal(signal.SIGSTOP)
        try:  # it does not end by itself
            self.device.daemon.wait(timeout=self.random.uniform(0, 1.5))
        except subprocess.TimeoutExpired:
            pass
        self.device.daemon.send_signal(signal.SIGCONT)

    def kill_server(self):
        self.faults["model server dies"] += 1
        self.device.kill_server()
        self.device.start_server()

    def server_goes_bad(self):
        self.faults["served version goes bad"] += 1
        self.device.control(mode="broken500", sticks_to=self.device.linked() or "")

    def damage(self):
        """A byte of a version that is not served: it must not be relied on any more."""
        current = self.watcher.target() or ""
        others = [path for path in (self.device.models / "versions").glob("sha256-*") if path.name not in current]
        if not others:
            return
        file = self.random.choice(others) / "behaviour.json"
        try:
            content = file.read_bytes()
            self.watcher.damaged[file.parent.name.removeprefix("sha256-")] = time.monotonic()
            os.chmod(file, 0o644)
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            self.faults["version damaged"] += 1
        except OSError:
            pass  # it was removed meanwhile, or the disk is full

    def fill(self):
        if not self.disk or self.filler:
            return
        self.faults["full disk"] += 1
        self.filler = self.disk / "filler"
        leave = self.random.choice([0, 0, 4096, 65536, 1 << 20])
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                file.truncate(max(0, file.tell() - leave))

    def faults_end(self):
        if self.filler:
            self.filler.unlink()
            self.filler = None
        self.device.control(mode="ok", sticks_to="")
        self.device.kill_server()  # what misbehaves by itself does so again after a start, the rest is well
        self.device.start_server()

    # ---- at rest ---------------------------------------------------------------------------------------------------

    def read_history(self):
        for item in self.device.history(after=self.decision):
            self.decision = item["number"]
            digest = (item.get("version") or "").removeprefix("sha256:")
            if item["kind"] == "rejected":
                self.watcher.rejected.add(digest)
            elif item["kind"] == "unrejected":
                self.watcher.rejected.discard(digest)
            if item["kind"] == "trial_started":
                self.open_trials[digest] += 1
            elif item["kind"] in ENDS and item.get("code") not in NO_END and self.open_trials[digest] > 0:
                self.open_trials[digest] -= 1

    def rest(self):
        self.faults_end()
        try:
            model = self.device.wait_for(lambda model: model["phase"] in ("steady", "empty", "held"), "rest")
            if model.get("pinned"):
                self.device.cli("unpin", "digits")
            self.made += 1
            label = f"good{self.made}"
            self.device.cli("deploy", "digits", self.device.bundle(label, seed=self.made % 7), "--wait", check=0)
            self.device.wait_phase("steady")
            self.read_history()
            if self.device.linked() != label or self.device.serving() != label:
                self.violation(f"{label} was accepted, but current is {self.device.linked()} and {self.device.serving()} is served")
            self.device.check_promises()
            unfinished = {digest: count for digest, count in self.open_trials.items() if count}
            if unfinished:
                told = [(item["number"], item["kind"], item.get("code")) for item in self.device.history()
                        if (item.get("version") or "").removeprefix("sha256:") in unfinished]
                self.violation(f"trials without an end in history: {unfinished}: {told}")
                self.open_trials.clear()
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            self.violation(f"not at rest: {error}")
            if self.device.daemon.poll() is not None:
                self.start()

    def run(self, seconds):
        self.start()
        self.watcher.start()
        self.rest()
        steps = [self.deploy] * 6 + [self.deploy_again, self.rollback, self.rollback, self.check, self.pin, self.unpin, self.unreject, self.manifest]
        end = time.monotonic() + seconds
        told = time.monotonic()
        while time.monotonic() < end:
            for _ in range(ROUND):
                self.random.choice(steps)()
                if self.device.daemon.poll() is not None:
                    self.violation(f"modelguardd ended by itself with {self.device.daemon.returncode}: {self.device.log.read_text()[-1500:]}")
                    self.start()
            self.rest()
            if time.monotonic() - told > 300:
                told = time.monotonic()
                print(f"  {sum(self.operations.values())} operations, {sum(self.faults.values())} faults, {len(self.violations)} violations", flush=True)
        self.watcher.over.set()
        self.watcher.join()

    def report(self, seconds):
        for title, counts in (("operations", self.operations), ("faults", self.faults), ("exit codes of the CLI", self.answers)):
            print(f"{title}: {sum(counts.values())} (" + ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=str)) + ")")
        print(f"looks at current: {self.watcher.looks}, of which it had moved: {self.watcher.moves}; decisions: {self.decision}")
        print(f"damaged within {ON_ITS_WAY} s before they became current, after their verification: {self.watcher.damaged_on_its_way}, not judged")
        print(f"{seconds:.0f} s, violations: {len(self.violations)}")


@contextlib.contextmanager
def small_disk(place):
    """A small tmpfs for the daemon's state; yields None where none can be mounted."""
    place.mkdir(parents=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], capture_output=True).returncode:
        print("no tmpfs can be mounted here, therefore not among the faults: full disk")
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60 if os.environ.get("MODELGUARD_ALL") == "1" else 0.4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"endurance: {arguments.minutes:g} minutes, --seed {arguments.seed}", flush=True)
    began = time.monotonic()
    with Device(items=10, soak="200ms", period="200ms", samples=20, max_latency="300ms", ready_within="2s") as device, \
            small_disk(device.root / "var/lib/modelguard") as disk:
        endurance = Endurance(device, arguments.seed, disk)
        endurance.run(arguments.minutes * 60)
        if endurance.violations:
            print(device.log.read_text()[-4000:])
        device.stop()
    endurance.report(time.monotonic() - began)
    return 1 if endurance.violations else 0


if __name__ == "__main__":
    sys.exit(main())
