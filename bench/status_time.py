#!/usr/bin/env python3
"""How long `modelguard status` takes on a device with ten models, beside the commands that an operator types for the same question:
`podman ps`, and `ostree admin status` on a sysroot with a deployment. Wall time from the start of the process to its end, the three in
turn, after one round to warm up. A peer that is not installed is named and left out (packaging/install-deps bench).

    bench/status_time.py --bin build/release [--rounds 200]
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/support"))


def timed(command):
    began = time.monotonic_ns()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(process, 0)
    took = (time.monotonic_ns() - began) / 1e6
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return took


def ostree_sysroot(folder):
    """One OS deployment of an almost empty tree."""
    def ostree(*arguments):
        subprocess.run(["ostree", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    tree = folder / "tree"
    for path in ("usr/lib/modules/1", "usr/etc", "boot"):
        (tree / path).mkdir(parents=True)
    (tree / "usr/lib/modules/1/vmlinuz").write_text("kernel")
    (tree / "usr/lib/os-release").write_text("ID=bench\n")
    sysroot = folder / "sysroot"
    sysroot.mkdir()
    ostree("admin", "init-fs", "--modern", sysroot)
    ostree("admin", "os-init", "bench", f"--sysroot={sysroot}")
    ostree("commit", f"--repo={sysroot}/ostree/repo", "--branch=bench", f"--tree=dir={tree}")
    ostree("admin", "deploy", "--os=bench", f"--sysroot={sysroot}", "bench")
    return sysroot


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    os.environ["MODELGUARD_BIN"] = arguments.bin
    from device import CLI, Device
    with Device(items=10, samples=20) as device, tempfile.TemporaryDirectory() as folder:
        device.serve_models(10, "10s")
        commands = {"modelguard status, 10 models": [str(CLI), "--root", str(device.root), "status"]}
        if shutil.which("podman"):
            commands["podman ps"] = [shutil.which("podman"), "ps"]
        if shutil.which("ostree"):
            commands["ostree admin status"] = [shutil.which("ostree"), "admin", "status", f"--sysroot={ostree_sysroot(pathlib.Path(folder))}"]
        for peer in ("podman", "ostree"):
            if not shutil.which(peer):
                print(f"{peer} is not installed and left out")
        took = {name: [] for name in commands}
        for turn in range(arguments.rounds + 1):
            for name, command in commands.items():
                spent = timed(command)
                if turn:
                    took[name].append(spent)
        # a deployment is immutable, also for who removes the folder
        subprocess.run(["chattr", "-i", *pathlib.Path(folder).glob("sysroot/ostree/deploy/bench/deploy/*.0")], check=True)
    for name, times in took.items():
        times.sort()
        at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
        print(f"{name:<30} {len(times)} times: min {times[0]:.2f} ms, median {at(.5):.2f} ms, p90 {at(.9):.2f} ms, p99 {at(.99):.2f} ms")


if __name__ == "__main__":
    main()
