#!/usr/bin/env python3
"""Bytes that modelguardd writes to its disk: at rest, per day (10 models, one probe each 10 s), and for each trial.

The kernel's own count (write_bytes of /proc/PID/io: pages dirtied, the import's child process included), on the file system of --dir,
which must be one that counts (not a tmpfs). At rest the period is 1 s, so that a minute is worth ten. The file system's own journal
comes on top.

    bench/flash_wear.py --bin build/release [--seconds 60] [--dir /var/tmp]
"""
import argparse
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/support"))

DAY = 86400
SPEED_UP = 10  # a period of 1 s instead of 10 s


def written(device):
    for line in pathlib.Path(f"/proc/{device.daemon.pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise AssertionError("no write_bytes")


def settle(device):
    """Until what comes a moment after a decision (the copy for when the daemon is dead) is written, too."""
    before, since = written(device), time.monotonic()
    while time.monotonic() - since < 0.5:
        if (now := written(device)) != before:
            before, since = now, time.monotonic()
    return before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--dir", default="/var/tmp")
    arguments = parser.parse_args()
    os.environ["MODELGUARD_BIN"] = arguments.bin
    tempfile.tempdir = arguments.dir
    from device import Device

    with Device(period="60s", soak="200ms") as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("v0"), "--wait", check=0)
        begun = settle(device)
        if begun == 0:
            sys.exit(f"the file system of {arguments.dir} does not count what is written; name another with --dir")
        for what, label, code, behaviour in (("good upgrade", "v1", 0, {}), ("bad upgrade, rolled back", "v2", 1, dict(mode="wrong_label"))):
            bundle = device.bundle(label, **behaviour)
            size = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
            before = settle(device)
            device.cli("deploy", "digits", bundle, "--wait", check=code)
            print(f"{what}: {(settle(device) - before) / 1024:.0f} KiB written, of which {size / 1024:.0f} KiB are the bundle itself", flush=True)
        before = settle(device)
        device.cli("rollback", "digits", check=0)
        print(f"manual rollback: {(settle(device) - before) / 1024:.0f} KiB written", flush=True)

    with Device() as device:
        device.serve_models(10, period="1s")
        before, requests = settle(device), device.control()["requests"]
        time.sleep(arguments.seconds)  # a measuring time: the clock is what is waited for
        bytes_, probes = written(device) - before, device.control()["requests"] - requests
        print(f"at rest, 10 models every 10 s: {bytes_ / SPEED_UP / arguments.seconds * DAY / 1e6:.2f} MB a day "
              f"({bytes_} bytes over {probes} probes in {arguments.seconds} s at ten times that pace)")


if __name__ == "__main__":
    main()
