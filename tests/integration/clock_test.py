#!/usr/bin/env python3
"""The wall clock jumps by an hour and by ten years, stands at 1970 and beyond 2038, in the middle of each operation: the decisions are
the same and take as long. A suspend counts for soak and deadline, and rejects nothing by itself.

The clocks of daemon and CLI are shifted by tests/support/clock_shim.c. Prints a table of operation x jump. By default each operation
meets some of the jumps in turn; MODELGUARD_ALL=1 takes all. Where the shim has no effect (sanitizers), it is skipped.
"""
import os
import pathlib
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import BUILD, Device  # noqa: E402

EVERYTHING = bool(os.environ.get("MODELGUARD_ALL"))
PER_OPERATION = 2
HOUR, YEAR = 3600, 365 * 86400
SOAK = 0.5
SLOWER_SECONDS = 4  # than without a jump, on a busy machine
JUMPS = {
    "+1 h": lambda: HOUR,
    "-1 h": lambda: -HOUR,
    "+10 years": lambda: 10 * YEAR,
    "-10 years": lambda: -10 * YEAR,
    "1970": lambda: -int(time.time()) + 10,
    "before 1970": lambda: -int(time.time()) - HOUR,
    "beyond 2038": lambda: 2**31 + 1000 - int(time.time()),
    "-1 s, a leap": lambda: -1,
}
AT_REST = ("steady", "empty", "held")


class Clock:
    """The offsets of the daemon and the CLI, in seconds."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "clock"
        self.wall = self.boot = 0
        self.path.write_bytes(bytes(16))
        self.file = open(self.path, "r+b", buffering=0)
        os.environ["MODELGUARD_TEST_CLOCK"] = str(self.path)
        os.environ["LD_PRELOAD"] = str(BUILD / "tests/integration/libclock_shim.so")

    def set(self, wall=None, boot=None):
        self.wall = self.wall if wall is None else wall
        self.boot = self.boot if boot is None else boot
        os.pwrite(self.file.fileno(), struct.pack("=qq", int(self.wall * 1e6), int(self.boot * 1e6)), 0)


class Run:
    """One operation on a device, with a jump where it is under way."""

    def __init__(self, clock, operation, jump):
        self.clock, self.operation, self.jump = clock, operation, jump
        self.jumped_at = None

    def leap(self):
        self.jumped_at = time.time()
        if self.jump is not None:
            self.clock.set(wall=self.clock.wall + self.jump)

    def of(self, device):
        """The kinds of the decisions, and the seconds that they took."""
        self.clock.set(wall=0)
        if self.operation != "first install":
            device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
        if self.operation == "manual rollback":
            device.cli("deploy", "digits", device.bundle("v2"), "--wait", check=0)
        last = device.last_number()
        began = time.monotonic()
        expected = self.carry_out(device)
        device.wait_for(lambda model: model["phase"] in AT_REST, "at rest")
        seconds = time.monotonic() - began
        device.check_promises()
        assert device.linked() == expected, f"current is {device.linked()}, expected {expected}"
        self.look_at_history(device, last)
        return [item["kind"] for item in device.history(after=last)], seconds

    def carry_out(self, device):
        if self.operation == "manual rollback":
            device.cli("rollback", "digits", "--no-wait", check=0)
            self.leap()
            device.wait_decision("rolled_back")
            return "v1"
        behaviour = dict(mode="wrong_label") if self.operation == "bad upgrade" else dict(mode="slow", ms=5)
        label = "bad" if self.operation == "bad upgrade" else "good"
        device.cli("deploy", "digits", device.bundle(label, **behaviour), check=0)
        if self.operation == "soak":
            device.wait_phase("soaking")
            self.leap()
            began = time.monotonic()
            device.wait_phase("steady")
            assert time.monotonic() - began > SOAK / 3, "the soak was cut short"
            return label
        device.wait_for(lambda model: model["phase"] not in AT_REST and model["phase"] != "kept", "under way")
        self.leap()
        if self.operation == "reboot":
            device.kill()
            device.start(boot_id=f"boot-{time.monotonic_ns()}")
        return "v1" if label == "bad" else label

    def look_at_history(self, device, last):
        items = device.history()
        numbers = [item["number"] for item in items]
        assert numbers == sorted(set(numbers)), numbers
        shifts = {0.0, float(self.jump or 0)}
        for item in items:  # each stands at a moment that the shown clock has had
            shown = item["wall_usec"] / 1e6
            assert any(abs(shown - shift - time.time()) < 120 for shift in shifts), (item, shifts)
        for command in (["history", "digits"], ["status"], ["explain", "digits"], ["versions", "digits"]):
            told = device.cli(*command, check=0).stdout
            assert "unknown" not in told.lower(), told
        assert device.last_number() >= last


def new_device():
    return Device(items=20, soak=f"{int(SOAK * 1000)}ms", period="200ms", max_latency="1s", samples=20)


def has_effect(clock):
    with new_device() as device:
        clock.set(wall=-HOUR, boot=HOUR)
        device.start()
        status = device.get("/v1/status")
        clock.set(wall=0, boot=0)
        wall = abs(status["wall_usec"] / 1e6 + HOUR - time.time()) < 60
        boot = abs(status["boottime_usec"] / 1e6 - HOUR - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
        return wall and boot


def jumps(clock):
    wrong = 0
    names = list(JUMPS)
    count = 0
    for number, operation in enumerate(["first install", "good upgrade", "bad upgrade", "manual rollback", "soak", "reboot"]):
        with new_device() as device:
            device.start(boot_id="boot-1")
            expected, usual = Run(clock, operation, None).of(device)
        chosen = names if EVERYTHING else [names[(number * PER_OPERATION + i) % len(names)] for i in range(PER_OPERATION)]
        print(f"{operation:<17}{'no jump':<14}{usual:>5.1f} s  {' '.join(expected)}")
        for name in chosen:
            count += 1
            try:
                with new_device() as device:
                    device.start(boot_id="boot-1")
                    decided, seconds = Run(clock, operation, JUMPS[name]()).of(device)
                ok = decided == expected and seconds < usual + SLOWER_SECONDS
                text = f"{seconds:>5.1f} s  {'the same' if decided == expected else ' '.join(decided)}"
            except AssertionError as error:
                ok, text = False, str(error)[:1500]
            wrong += not ok
            print(f"{operation:<17}{name:<14}{text}{'' if ok else '  WRONG'}", flush=True)
    # The clock of a device without a battery: 1970 from the start, and the right time comes in the middle of the first trial.
    with new_device() as device:
        clock.set(wall=JUMPS["1970"]())
        device.start()
        device.cli("deploy", "digits", device.bundle("v1", mode="slow", ms=5), check=0)
        device.wait_phase("soaking")
        clock.set(wall=0)
        device.wait_phase("steady")
        device.cli("deploy", "digits", device.bundle("bad", mode="wrong_label"), "--wait", check=1)
        kinds = [item["kind"] for item in device.history()]
        ok = device.linked() == "v1" and "accepted" in kinds and "rejected" in kinds and device.history()[0]["wall_usec"] < YEAR * 10**6
        wrong += not ok
        print(f"{'booted in 1970':<17}{'to now':<14}{'accepted, then a bad one rejected' if ok else kinds}{'' if ok else '  WRONG'}")
    return wrong, count + 1


def suspends(clock):
    """CLOCK_BOOTTIME goes on by hours while nothing runs; then something wakes the daemon, here each look at its status."""
    wrong = 0
    for phase, soak in [("soaking", "8h"), ("trial", "300ms"), ("baselining", "300ms"), ("verifying", "300ms")]:
        clock.set(wall=0, boot=0)
        with new_device() as device:
            device.start()
            device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
            device.write_manifest(soak=soak)
            last = device.last_number()
            device.daemon.send_signal(1)
            device.wait_decision("manifest_accepted", after=last)
            bad = phase == "verifying"
            device.cli("deploy", "digits", device.bundle("new", **(dict(mode="wrong_label") if bad else dict(mode="slow", ms=8))), check=0)
            device.wait_phase(phase)
            left = device.model()["phase_left_usec"] / 1e6
            began = time.monotonic()
            clock.set(wall=9 * HOUR, boot=9 * HOUR)
            model = device.wait_phase("steady")
            seconds = time.monotonic() - began
            kinds = [item["kind"] for item in device.history(after=last)]
            ended = next((kind for kind in kinds if kind in ("accepted", "rejected", "undecided")), "nothing")
            right = ["rejected"] if bad else ["accepted"] if phase == "soaking" else ["accepted", "undecided"]
            ok = ended in right and seconds < 20 and model["healthy"] and device.linked() == ("new" if ended == "accepted" else "v1")
            ok = ok and model["rejected_count"] == (1 if bad else 0)
            if phase == "soaking":
                ok = ok and left > 7 * HOUR
            wrong += not ok
            print(f"suspended for 9 h in {phase:<12}with {left:.0f} s left on its timer: {ended} {seconds:.1f} s after it woke, "
                  f"rejected {model['rejected_count']}{'' if ok else '  WRONG ' + ' '.join(kinds)}")
            device.check_promises()
    clock.set(wall=0, boot=0)
    return wrong, 4


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(folder)
        if not has_effect(clock):
            print("skipped: the clocks of this build cannot be shifted from outside (a sanitizer has them)")
            return 77
        wrong, count = jumps(clock)
        more_wrong, more = suspends(clock)
    print(f"{count + more} runs, {wrong + more_wrong} wrong; {time.monotonic() - began:.0f} s")
    return 1 if wrong + more_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
