#!/usr/bin/env python3
"""CPU per probe, and memory and CPU at idle, side by side with blackbox_exporter (Debian) in the same run.

A probe here is one inference over HTTP against the same model server. Back to back: for us `modelguard check` over a large canary set, on
kept connections, every answer parsed, classified and scored; for blackbox_exporter a POST of the same inference with a regular expression
on the body. Once a second: the steady watch (`ready`, then an inference) against as many probes of the exporter, caches cold on both sides.
Idle: 10 models at a period of 10 s; the exporter is asked for 10 targets every 10 s.

    bench/probe_cost.py --bin build/release [--seconds 20] [--idle 60]
"""
import argparse
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/support"))


def cpu_seconds(pid):
    """Over all threads, in nanoseconds' resolution: a tick of /proc/PID/stat is 200 of our probes."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory(pid):
    values = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) / 1024
    return values["Private_Dirty"], values["Pss"]


def wait(seconds):
    """A measuring time: the clock is what is waited for."""
    time.sleep(seconds)


class Blackbox:
    def __init__(self, item):
        self.folder = tempfile.TemporaryDirectory()
        body = json.dumps({"inputs": [{"name": "input-0", "shape": [1, 10], "datatype": "FP32", "data": item}]})
        config = {"modules": {"infer": {"prober": "http", "timeout": "5s", "http": {
            "method": "POST", "headers": {"Content-Type": "application/json"}, "body": body,
            "fail_if_body_not_matches_regexp": ['"data": \\[[0-9]+\\]']}}}}
        path = pathlib.Path(self.folder.name) / "blackbox.yml"
        path.write_text(json.dumps(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(["prometheus-blackbox-exporter", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{self.port}",
                                         "--log.level=error"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                self.connection.connect()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise

    def probe(self, port):
        target = urllib.parse.quote(f"http://127.0.0.1:{port}/v2/models/digits/infer", safe="")
        self.connection.request("GET", f"/probe?module=infer&target={target}")
        answer = self.connection.getresponse().read()
        assert b"probe_success 1" in answer, answer.decode()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--idle", type=int, default=60)
    arguments = parser.parse_args()
    os.environ["MODELGUARD_BIN"] = arguments.bin
    from device import Device

    def compare(what, device, ours, theirs):
        """Both run for the same time, one after the other; each returns how many probes it made."""
        blackbox = Blackbox(item(device))
        costs = []
        for pid, work in ((device.daemon.pid, ours), (blackbox.process.pid, lambda: theirs(blackbox))):
            before = cpu_seconds(pid)
            count = work()
            costs.append(((cpu_seconds(pid) - before) / count * 1000, count))
        blackbox.stop()
        (our_cost, our_count), (their_cost, their_count) = costs
        print(f"CPU per probe, {what}: modelguardd {our_cost:.3f} ms ({our_count} probes), blackbox_exporter {their_cost:.3f} ms "
              f"({their_count} probes): {their_cost / our_cost:.1f} times less", flush=True)

    def item(device):
        return json.loads((device.bundle("v1") / "canary/digits.jsonl").read_text().splitlines()[0])["input"]

    def until_over(step):
        count, end = 0, time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            count += step()
        return count

    with Device(period="60s", soak="100ms", items=2000) as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
        device.wait_phase("steady")

        def check_all():
            before = device.control()["requests"]
            device.cli("check", "digits", check=0)
            return device.control()["requests"] - before

        def probe_once(blackbox):
            blackbox.probe(device.port)
            return 1

        compare("back to back", device, lambda: until_over(check_all), lambda blackbox: until_over(lambda: probe_once(blackbox)))

    with Device(period="1s", soak="100ms") as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
        device.wait_phase("steady")

        def watch():
            before = device.control()["requests"]
            wait(arguments.seconds)
            return device.control()["requests"] - before

        def probe_slowly(blackbox):
            blackbox.probe(device.port)
            wait(0.5)
            return 1

        compare("two a second", device, watch, lambda blackbox: until_over(lambda: probe_slowly(blackbox)))

    with Device() as device:
        names = device.serve_models(10, period="10s")
        device.kill()  # what an import leaves in the heap is not what an idle daemon holds
        device.start()
        blackbox = Blackbox(item(device))
        pids = device.daemon.pid, blackbox.process.pid
        before = [cpu_seconds(pid) for pid in pids]
        end = time.monotonic() + arguments.idle
        while time.monotonic() < end:
            for _ in names:
                blackbox.probe(device.port)
            wait(10)
        spent = [(cpu_seconds(pid) - start) / arguments.idle * 100 for pid, start in zip(pids, before)]
        for name, pid, share in zip(("modelguardd", "blackbox_exporter"), pids, spent):
            private, pss = memory(pid)
            print(f"idle, 10 models every 10 s, {arguments.idle} s: {name:<18} private dirty {private:.1f} MiB, PSS {pss:.1f} MiB, "
                  f"{share:.2f} % of a core")
        blackbox.stop()


if __name__ == "__main__":
    main()
