#!/usr/bin/env python3
"""From the decisive probe to the LKG being current: the distribution over many automatic rollbacks.

The clock starts when the model server begins to send the answer that decides (the last item of the canary set) and stops when a
second process, which reads the link without pause, sees `current` name the known-good version again. All of our own work
lies between: the verdict, two durable commits, the comparison of the LKG's stamps, the link with its fsync.

    bench/rollback_time.py --bin build/release [--rounds 100]
"""
import argparse
import multiprocessing
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/support"))


def watch(link, good, orders, seen):
    """Answers each order with the instant at which the link, having left `good`, names it again."""
    while orders.get():
        left = False
        while True:
            target = os.readlink(link)
            if target != good:
                left = True
            elif left:
                break
        seen.put(time.monotonic_ns() // 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    os.environ["MODELGUARD_BIN"] = arguments.bin
    from device import Device
    with Device(items=30, samples=20, period="10s") as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("good"), "--wait", check=0)
        device.wait_phase("steady")
        good = os.readlink(device.current)
        orders, seen = multiprocessing.Queue(), multiprocessing.Queue()
        watcher = multiprocessing.Process(target=watch, args=(device.current, good, orders, seen), daemon=True)
        watcher.start()
        times = []
        for number in range(arguments.rounds):
            bundle = device.bundle(f"bad{number}", mode="wrong_label")
            device.control(every_load_ms=200)  # the way back's own load is slow, so that the decisive answer stays the last one
            before = device.last_number()
            orders.put(True)
            device.cli("deploy", "digits", bundle, check=0)
            back = seen.get(timeout=60)
            decisive = device.control()["last_infer_usec"]
            assert decisive < back, "an answer came after the way back"
            times.append((back - decisive) / 1000)
            device.wait_decision("rejected", after=before)
            device.wait_phase("steady")
        orders.put(False)
        watcher.join()
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print(f"decisive probe -> LKG current, {len(times)} rollbacks: min {times[0]:.2f} ms, median {at(.5):.2f} ms, "
          f"p90 {at(.9):.2f} ms, p99 {at(.99):.2f} ms, max {times[-1]:.2f} ms")


if __name__ == "__main__":
    main()
