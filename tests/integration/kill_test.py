#!/usr/bin/env python3
"""kill -9 of modelguardd in each phase of a good upgrade, a bad one and a manual rollback: the right end, every time.

The model server is slow on purpose, so that every phase lasts long enough to be seen and hit.
Prints a line per kill and a table at the end. `--all` makes more random kills; the seed is printed and can be given.
"""
import argparse
import collections
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402

SLOW = dict(mode="slow", ms=4)
GOOD_PHASES = ["baselining", "switching", "trial", "soaking"]
BAD_PHASES = ["baselining", "switching", "trial", "reverting", "verifying"]
ROLLBACK_PHASES = ["reverting", "verifying"]


class Matrix:
    def __init__(self):
        self.done = collections.Counter()
        self.right = collections.Counter()

    def count(self, scenario, phase, device, expected):
        device.wait_phase("steady")
        linked, serving = device.linked(), device.serving()
        ok = linked == expected and serving == expected
        self.done[scenario, phase] += 1
        self.right[scenario, phase] += ok
        device.check_promises()
        if not ok:
            print(f"WRONG: {scenario}, killed in {phase}: expected {expected}, current {linked}, served {serving}")
            print(device.cli("history", "digits").stdout)

    def report(self):
        print(f"\n{'scenario':<18}{'killed in':<14}{'kills':>6}{'right end':>11}")
        for key in self.done:
            print(f"{key[0]:<18}{key[1]:<14}{self.done[key]:>6}{self.right[key]:>11}")
        total, right = sum(self.done.values()), sum(self.right.values())
        print(f"{'total':<32}{total:>6}{right:>11}")
        return total == right


def new_device():
    device = Device(items=30, soak="400ms", samples=20)
    device.start()
    device.control(every_load_ms=150)
    return device


def install(device, label):
    device.cli("deploy", "digits", device.bundle(label, **SLOW), "--wait", check=0)


def kill_in(device, phase):
    device.wait_phase(phase)
    device.kill()
    device.start()


def phases(matrix):
    with new_device() as device:
        install(device, "v0")
        for number, phase in enumerate(GOOD_PHASES, 1):
            device.cli("deploy", "digits", device.bundle(f"v{number}", **SLOW), check=0)
            kill_in(device, phase)
            matrix.count("good upgrade", phase, device, f"v{number}")
        good = device.linked()
        for number, phase in enumerate(BAD_PHASES):
            device.cli("deploy", "digits", device.bundle(f"bad{number}", mode="wrong_label"), check=0)
            kill_in(device, phase)
            matrix.count("bad upgrade", phase, device, good)
        for number, phase in enumerate(ROLLBACK_PHASES):
            install(device, f"w{number}")
            device.cli("rollback", "digits", "--no-wait", check=0)
            kill_in(device, phase)
            matrix.count("manual rollback", phase, device, good)
        # One upgrade, killed in each of its phases in turn.
        device.cli("deploy", "digits", device.bundle("x1", **SLOW), check=0)
        for phase in GOOD_PHASES:
            kill_in(device, phase)
        matrix.count("good upgrade", "each in turn", device, "x1")
        device.cli("deploy", "digits", device.bundle("x2", mode="wrong_label"), check=0)
        for phase in BAD_PHASES:
            kill_in(device, phase)
        matrix.count("bad upgrade", "each in turn", device, "x1")
    with new_device() as device:  # no version to go back to
        for number, phase in enumerate(["switching", "trial"]):
            device.cli("deploy", "digits", device.bundle(f"first{number}", mode="wrong_label"), check=0)
            device.wait_phase(phase)
            device.kill()
            device.start()
            device.wait_phase("empty")
            matrix.done["bad first install", phase] += 1
            matrix.right["bad first install", phase] += device.linked() is None
            device.check_promises()


def imports(matrix):
    """Killed while a bundle is being received: nothing is left, and the next deploy works."""
    with new_device() as device:
        install(device, "v0")
        bundle = device.bundle("v1", **SLOW)
        archive = subprocess.run(["tar", "-C", bundle, "-cf", "-", "."], capture_output=True, check=True).stdout
        for share in (0.01, 0.5, 0.99):
            from device import CLI
            sender = subprocess.Popen([CLI, "--root", device.root, "deploy", "digits", "-"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            sender.stdin.write(archive[: int(len(archive) * share)])
            sender.stdin.flush()
            staging = device.root / "var/lib/modelguard/staging"
            deadline = time.monotonic() + 10
            while not list(staging.iterdir()) and time.monotonic() < deadline:
                pass
            device.kill()
            sender.stdin.close()
            sender.wait(timeout=30)
            device.start()
            matrix.count("import", f"{share:.0%} sent", device, "v0")
        install(device, "v1")
        matrix.count("import", "afterwards", device, "v1")


def random_kills(matrix, rounds, seed):
    print(f"random kills: seed {seed}")
    generator = random.Random(seed)
    with new_device() as device:
        install(device, "v0")
        good = "v0"
        for number in range(rounds):
            bad = generator.random() < 0.5
            label = f"{'bad' if bad else 'good'}{number}"
            behaviour = dict(mode="wrong_label") if bad else SLOW
            before = device.last_number()
            device.cli("deploy", "digits", device.bundle(label, **behaviour), check=0)
            for _ in range(generator.randint(1, 3)):
                try:  # a moment of the upgrade; the process does not end by itself
                    device.daemon.wait(timeout=generator.uniform(0, 1.2))
                    raise AssertionError("modelguardd ended by itself")
                except subprocess.TimeoutExpired:
                    device.kill()
                    device.start()
            device.wait_decision("rejected" if bad else "accepted", after=before)
            good = good if bad else label
            matrix.count("bad upgrade" if bad else "good upgrade", "random", device, good)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    began = time.monotonic()
    matrix = Matrix()
    phases(matrix)
    imports(matrix)
    random_kills(matrix, 60 if arguments.all else 12, arguments.seed)
    ok = matrix.report()
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
