#!/usr/bin/env python3
"""Requests as no honest client sends them, on api.sock and control.sock of the real daemon: each is refused or closed, nothing changes,
and `status` and `rollback` are answered meanwhile, also beside 1,000 idle and 100 slow connections on each socket.

Prints a table of the requests and the times. MODELGUARD_ALL=1 asks more often.
"""
import json
import os
import pathlib
import resource
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device, UnixConnection  # noqa: E402

EVERYTHING = bool(os.environ.get("MODELGUARD_ALL"))
ROLLBACKS = 8 if EVERYTHING else 3  # in each crowd, each to the version before: what is left is rejected
IDLE, SLOW = 1000, 100
MOST_MS = 1000  # of a rollback's answer among all of them; alone it is about 2 ms
MOST_PEAK_MIB = 96
ANSWER_SECONDS = 5  # the idle timeout, 10 s, ends what gets no answer
CHANGE = "POST /v1/models/digits/rollback HTTP/1.1\r\nHost: x\r\n"


def get(path, headers=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


def post(path, body=b"", headers=""):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def rollback(body, headers=""):
    return post("/v1/models/digits/rollback", body, headers)


# name -> (socket, bytes, statuses that are right; 0: closed or no answer)
REQUESTS = {
    "status, as it should be": ("api", get("/v1/status"), [200]),
    "target of 64 KiB": ("api", get("/" + "a" * 65536), [414]),
    "header of 64 KiB": ("api", get("/v1/status", "X: " + "a" * 65536 + "\r\n"), [431]),
    "10,000 headers": ("api", get("/v1/status", "X: a\r\n" * 10000), [431, 400]),
    "1,000 query arguments": ("api", get("/v1/history?" + "&".join(f"a{i}=1" for i in range(1000))), [200, 414, 431, 0]),
    "body of 2 MiB": ("api", post("/v1/validate", b"x" * (2 << 20)), [413]),
    "body of 2 MiB in chunks": (
        "api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 32, [413]),
    "body that is announced only": ("api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", [413]),
    "length of 2^64": ("api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n", [400, 413]),
    "length below zero": ("api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", [400, 413]),
    "length that is no number": ("api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nContent-Length: banana\r\n\r\n", [400, 413]),
    "length and chunks": (
        "control",
        b"POST /v1/models/digits/rollback HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400, 411, 502]),
    "chunk that lies": ("api", b"POST /v1/validate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", [400, 0]),
    "TLS": ("api", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), [400, 0]),
    "HTTP/2": ("api", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 405, 505, 0]),
    "HTTP/0.9": ("api", b"GET /v1/status\r\n\r\n", [400, 505, 0]),
    "HTTP/9.9": ("api", b"GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n", [400, 505, 0]),
    "random bytes": ("control", bytes((i * 73 + 41) % 256 for i in range(4096)) + b"\r\n\r\n", [400, 405, 505, 0]),
    "no Host": ("api", b"GET /v1/status HTTP/1.1\r\n\r\n", [200, 400]),
    "header without a colon": ("api", get("/v1/status", "nonsense\r\n"), [200, 400]),
    "NUL in a header": ("api", b"GET /v1/status HTTP/1.1\r\nHost: x\0y\r\n\r\n", [200, 400]),
    "method BREW": ("api", b"BREW /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", [405]),
    "method TRACE": ("control", b"TRACE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", [405]),
    "method CONNECT": ("control", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", [400, 405]),
    "method PATCH": ("control", b"PATCH /v1/models/digits HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", [405]),
    "method of 4 KiB": ("control", b"A" * 4096 + b" / HTTP/1.1\r\nHost: x\r\n\r\n", [400, 405]),
    "PUT": ("control", b"PUT /v1/models/digits/pin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", [405]),
    "DELETE of what a file describes": ("control", b"DELETE /v1/models/digits HTTP/1.1\r\nHost: x\r\n\r\n", [409]),
    "escaped path out": ("api", get("/v1/models/..%2f..%2f..%2fetc/versions"), [404]),
    "path out": ("api", get("/v1/models/../../../../etc/passwd"), [404]),
    "path without /": ("api", get("v1/status"), [400, 404]),
    "absolute target": ("api", get("http://evil/v1/status"), [400, 404, 200]),
    "NUL in the path": ("api", get("/v1/status%00"), [400]),
    "broken escape": ("api", get("/v1/%zz"), [400]),
    "broken UTF-8 in the path": ("api", get("/v1/models/%ff%fe/versions"), [404]),
    "model with a path": ("control", post("/v1/models/..%2f..%2fx/deploy", b"x"), [404]),
    "numbers out of range": ("api", get("/v1/history?limit=99999999999999999999&after=-5&wait=-1"), [200]),
    "operation that is no number": ("api", get("/v1/operations/..%2f1"), [400]),
    "operation out of range": ("api", get("/v1/operations/99999999999999999999999"), [400, 404]),
    "change on api.sock": ("api", rollback(b"{}"), [403]),
    "deploy on api.sock": ("api", post("/v1/models/digits/deploy", b"x" * 100000), [403]),
    "rollback without a body": ("control", rollback(b""), [400, 502]),
    "rollback with half a JSON": ("control", rollback(b'{"schema": "modelguard.rollback/1", "to'), [400, 502]),
    "rollback with wrong types": ("control", rollback(b'{"schema": "modelguard.rollback/1", "seen_current": 7, "to": []}'), [400, 502]),
    "rollback with broken UTF-8": ("control", rollback(b'{"schema": "modelguard.rollback/1", "seen_current": "\xff\xfe", "to": ""}'), [400, 502]),
    "rollback with deep JSON": ("control", rollback(b"[" * 500_000), [400, 502]),
    "rollback with deep JSON that ends": ("control", rollback(b'{"schema": ' + b"[" * 400_000 + b"]" * 400_000 + b"}"), [400, 502]),
    "rollback to a path": ("control", rollback(b'{"schema": "modelguard.rollback/1", "seen_current": "", "to": "../../etc"}'), [400]),
    "rollback as XML": ("control", rollback(b"<rollback/>", "Content-Type: text/xml\r\n"), [400, 502]),
    "pin of no digest": ("control", post("/v1/models/digits/pin?version=sha256:zz"), [400]),
    "change that there is not": ("control", post("/v1/models/digits/explode"), [404]),
    "Idempotency-Key of 20 KiB": ("control", post("/v1/models/digits/check", b"", "Idempotency-Key: " + "k" * 20480 + "\r\n"), [400, 431]),
    "validate of binary": ("api", post("/v1/validate", bytes(range(256)) * 100), [200]),
    "validate of 1 MiB of brackets": ("api", post("/v1/validate", b"[" * ((1 << 20) - 10)), [200]),
    "validate of 1 MiB of keys": ("api", post("/v1/validate", b"a: 1\n" * 200_000), [200]),
    "validate with a file name that is a path": ("api", post("/v1/validate?file=%1b%5b2J..%2f..%2fetc", b"x"), [200, 400]),
    "deploy of nothing": ("control", post("/v1/models/digits/deploy"), [400]),
    "deploy of HTML": ("control", post("/v1/models/digits/deploy", b"<html>" * 1000), [400]),
}


def connect(device, name):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_SECONDS)
    connection.connect(str(device.root / f"run/modelguard/{name}.sock"))
    return connection


def ask(device, name, data):
    """The first status line's number, or 0 where the connection was closed without one."""
    with connect(device, name) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # an answer may be there all the same
        received = b""
        try:
            while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
                received += piece
        except OSError:
            pass
        return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") and received[9:12].isdigit() else 0


def pipelined(device, count):
    """All answers, in order."""
    paths = ["/v1/kinds", "/v1/nothing", "/v1/status?model=digits"]
    with connect(device, "api") as connection:
        sender = threading.Thread(target=lambda: connection.sendall(b"".join(get(paths[i % 3]) for i in range(count))))
        sender.start()
        stream = connection.makefile("rb")
        for i in range(count):
            status = int(stream.readline().split()[1])
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
            assert status == (404 if i % 3 == 1 else 200), (i, status)
        sender.join()


def milliseconds(action):
    began = time.monotonic()
    result = action()
    return (time.monotonic() - began) * 1000, result


class Crowd:
    """Idle connections, and slow ones that say a byte of a request now and then; who is thrown out comes again, as an attacker would."""

    def __init__(self, device, name, idle, slow, slow_bytes):
        self.device, self.name, self.slow_bytes = device, name, slow_bytes
        self.idle = [self.connection() for _ in range(idle)]
        self.slow = [[self.connection(), 0] for _ in range(slow)]
        self.returned = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def connection(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(str(self.device.root / f"run/modelguard/{self.name}.sock"))
        except BlockingIOError:
            connection.close()  # the backlog is full: this one stays outside
            return None
        return connection

    def run(self):
        while not self.over.wait(0.1):
            for one in self.slow:
                connection, sent = one
                try:
                    if connection is None:
                        raise OSError
                    connection.send(self.slow_bytes[sent:sent + 1] or b"x")
                    one[1] += 1
                except OSError:
                    if connection:
                        connection.close()
                    one[:] = [self.connection(), 0]
                    self.returned += 1

    def close(self):
        self.over.set()
        self.thread.join()
        for connection in [*self.idle, *(one[0] for one in self.slow)]:
            if connection:
                connection.close()


def change(device, verb, body):
    connection = UnixConnection(device.root / "run/modelguard/control.sock", 120)
    try:
        connection.request("POST", f"/v1/models/digits/{verb}", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def roll_back(device):
    """To the version before the current one; the time until it is answered, in ms."""
    current = device.model()["current"]
    before = f"v{int(current['label'][1:]) - 1}"
    wanted = next(item["digest"] for item in device.get("/v1/models/digits/versions")["items"] if item["label"] == before)
    body = {"schema": "modelguard.rollback/1", "seen_current": current["digest"], "to": wanted}
    took, (status, text) = milliseconds(lambda: change(device, "rollback", body))
    assert status == 202, (status, text)
    device.wait_for(lambda model: model["phase"] == "steady" and model["current"]["label"] == before, f"{before} serves")
    return took


def crowded(device, failures):
    for what, slow_bytes in [("slow heads", b"POST /v1/models/digits/rollback HTTP/1.1\r\nHost: x\r\n"),
                             ("slow bodies", b"POST /v1/validate HTTP/1.1\r\nContent-Length: 99999\r\n\r\n")]:
        if what == "slow bodies":  # the head at once, then a byte of the body at a time
            crowds = [Crowd(device, name, IDLE, 0, b"") for name in ("api", "control")]
            heads = []
            for name in ("api", "control"):
                for _ in range(SLOW):
                    connection = crowds[0].connection() if name == "api" else crowds[1].connection()
                    if connection:
                        connection.send(slow_bytes)
                        heads.append(connection)
        else:
            crowds = [Crowd(device, name, IDLE, SLOW, slow_bytes) for name in ("api", "control")]
            heads = []
        open_now = sum(1 for crowd in crowds for one in [*crowd.idle, *(entry[0] for entry in crowd.slow)] if one) + len(heads)
        statuses, rollbacks = [], []
        try:
            for _ in range(ROLLBACKS):
                statuses.append(milliseconds(lambda: device.get("/v1/status"))[0])
                rollbacks.append(roll_back(device))
        finally:
            for crowd in crowds:
                crowd.close()
            for connection in heads:
                connection.close()
        print(f"{open_now} connections ({IDLE} idle, {SLOW} {what} on each socket asked for): rollback answered in {max(rollbacks):.1f} ms at most "
              f"({', '.join(f'{ms:.1f}' for ms in rollbacks)}), status in {max(statuses):.1f} ms at most")
        if max(rollbacks + statuses) > MOST_MS:
            failures.append(f"{what}: {max(rollbacks + statuses):.0f} ms, at most {MOST_MS}")


def uploads(device, failures):
    """Many uploads at once, all cut in the middle: two are taken, the others are told to come again, and nothing is left."""
    senders = [connect(device, "control") for _ in range(30)]
    told = []
    for sender in senders:
        try:
            sender.sendall(b"POST /v1/models/digits/deploy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n" + b"x" * 100)
        except OSError:
            pass
    for sender in senders:
        if select.select([sender], [], [], 0.2)[0]:
            told.append(sender.recv(4096)[9:12])
    took, _ = milliseconds(lambda: roll_back(device))
    for sender in senders:
        sender.close()
    staging = device.root / "var/lib/modelguard/staging"
    deadline = time.monotonic() + 10
    while list(staging.iterdir()) and time.monotonic() < deadline:
        pass
    left = list(staging.iterdir())
    print(f"30 half uploads: {len(told)} answered ({', '.join(sorted({status.decode() for status in told}))}), left in staging: {len(left)}; "
          f"rollback and its way back beside them: {took:.0f} ms")
    if left or b"503" not in told:
        failures.append(f"uploads: {left} {told}")


def main():
    began = time.monotonic()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    failures = []
    with Device(items=12, soak="50ms", max_latency="2s") as device:
        device.start()
        for label in [f"v{number + 1}" for number in range(2 * ROLLBACKS + 2)]:
            device.cli("deploy", "digits", device.bundle(label), "--wait", check=0)
        pathlib.Path(f"/proc/{device.daemon.pid}/clear_refs").write_text("5")
        before = (device.last_number(), device.model()["current"])
        for name, (where, data, right) in REQUESTS.items():
            took, status = milliseconds(lambda: ask(device, where, data))
            ok = status in right and (device.last_number(), device.model()["current"]) == before
            if not ok:
                failures.append(name)
            print(f"{'ok   ' if ok else 'WRONG'} {where:<8}{name:<42} {status or 'closed':<7}{took:>7.1f} ms")
        pipelined(device, 300)
        print("ok    300 pipelined requests answered in order")
        uploads(device, failures)
        crowded(device, failures)
        peak = next(int(line.split()[1]) / 1024 for line in pathlib.Path(f"/proc/{device.daemon.pid}/status").read_text().splitlines()
                    if line.startswith("VmHWM"))
        print(f"peak RSS of the daemon: {peak:.0f} MiB")
        if peak > MOST_PEAK_MIB:
            failures.append(f"peak {peak:.0f} MiB")
        device.check_promises()
    print(f"{len(REQUESTS)} requests, {len(failures)} wrong {failures}; {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
